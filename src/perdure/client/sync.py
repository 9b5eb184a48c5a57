"""The blocking twin: every verb of the async client, through a portal. No verb is written again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from perdure.client.client import AsyncWorkflowClient
from perdure.client.portal import Portal

__all__ = ["WorkflowClient"]

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    verb: Callable[Concatenate[AsyncWorkflowClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[WorkflowClient, P], T]:
    """The same verb, blocking, with the same signature (mypy sees it, too)."""

    def call(self: WorkflowClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.portal.call(verb, self.inner, *args, **kwargs)

    functools.update_wrapper(call, verb)
    return call


class WorkflowClient:
    """Blocks its caller, never the engine; may be called from any thread, also while an event loop runs in it.

    `owned`: closing it closes the transport and the portal, too; else they are the engine's.
    """

    def __init__(self, inner: AsyncWorkflowClient, portal: Portal, *, owned: bool = False) -> None:
        self.inner = inner
        self.portal = portal
        self._owned = owned

    schedule_new_workflow = _blocking(AsyncWorkflowClient.schedule_new_workflow)
    get_workflow_state = _blocking(AsyncWorkflowClient.get_workflow_state)
    wait_for_workflow_start = _blocking(AsyncWorkflowClient.wait_for_workflow_start)
    wait_for_workflow_completion = _blocking(AsyncWorkflowClient.wait_for_workflow_completion)
    raise_workflow_event = _blocking(AsyncWorkflowClient.raise_workflow_event)
    pause_workflow = _blocking(AsyncWorkflowClient.pause_workflow)
    resume_workflow = _blocking(AsyncWorkflowClient.resume_workflow)
    terminate_workflow = _blocking(AsyncWorkflowClient.terminate_workflow)
    purge_workflow = _blocking(AsyncWorkflowClient.purge_workflow)
    rerun_workflow = _blocking(AsyncWorkflowClient.rerun_workflow)
    describe_workflow = _blocking(AsyncWorkflowClient.describe_workflow)
    get_history = _blocking(AsyncWorkflowClient.get_history)
    list_workflows = _blocking(AsyncWorkflowClient.list_workflows)
    terminate_workflows = _blocking(AsyncWorkflowClient.terminate_workflows)
    purge_workflows = _blocking(AsyncWorkflowClient.purge_workflows)
    list_dead_letters = _blocking(AsyncWorkflowClient.list_dead_letters)
    get_dead_letter = _blocking(AsyncWorkflowClient.get_dead_letter)
    replay_dead_letter = _blocking(AsyncWorkflowClient.replay_dead_letter)
    drop_dead_letter = _blocking(AsyncWorkflowClient.drop_dead_letter)
    replay_dead_letters = _blocking(AsyncWorkflowClient.replay_dead_letters)
    drop_dead_letters = _blocking(AsyncWorkflowClient.drop_dead_letters)

    def close(self) -> None:
        """Give up what this client holds. The engine in this process goes on. Twice is harmless."""
        if self._owned:
            self._owned = False
            self.portal.call(self.inner.close)
            self.portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
