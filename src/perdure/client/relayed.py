"""The async twin for a foreign loop: every verb of the async client, awaited in the caller's loop, run in its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from perdure.client.client import AsyncWorkflowClient
from perdure.client.portal import Portal

__all__ = ["RelayedWorkflowClient"]

P = ParamSpec("P")
T = TypeVar("T")


def _relayed(
    verb: Callable[Concatenate[AsyncWorkflowClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[RelayedWorkflowClient, P], Coroutine[Any, Any, T]]:
    async def call(self: RelayedWorkflowClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.portal.relay(verb, self.inner, *args, **kwargs)

    functools.update_wrapper(call, verb)
    return call


class RelayedWorkflowClient:
    """Usable from any loop, the engine's own included. `owned`: as in WorkflowClient."""

    def __init__(self, inner: AsyncWorkflowClient, portal: Portal, *, owned: bool = False) -> None:
        self.inner = inner
        self.portal = portal
        self._owned = owned

    schedule_new_workflow = _relayed(AsyncWorkflowClient.schedule_new_workflow)
    get_workflow_state = _relayed(AsyncWorkflowClient.get_workflow_state)
    wait_for_workflow_start = _relayed(AsyncWorkflowClient.wait_for_workflow_start)
    wait_for_workflow_completion = _relayed(AsyncWorkflowClient.wait_for_workflow_completion)
    raise_workflow_event = _relayed(AsyncWorkflowClient.raise_workflow_event)
    pause_workflow = _relayed(AsyncWorkflowClient.pause_workflow)
    resume_workflow = _relayed(AsyncWorkflowClient.resume_workflow)
    terminate_workflow = _relayed(AsyncWorkflowClient.terminate_workflow)
    purge_workflow = _relayed(AsyncWorkflowClient.purge_workflow)
    rerun_workflow = _relayed(AsyncWorkflowClient.rerun_workflow)
    describe_workflow = _relayed(AsyncWorkflowClient.describe_workflow)
    get_history = _relayed(AsyncWorkflowClient.get_history)
    list_workflows = _relayed(AsyncWorkflowClient.list_workflows)
    terminate_workflows = _relayed(AsyncWorkflowClient.terminate_workflows)
    purge_workflows = _relayed(AsyncWorkflowClient.purge_workflows)
    list_dead_letters = _relayed(AsyncWorkflowClient.list_dead_letters)
    get_dead_letter = _relayed(AsyncWorkflowClient.get_dead_letter)
    replay_dead_letter = _relayed(AsyncWorkflowClient.replay_dead_letter)
    drop_dead_letter = _relayed(AsyncWorkflowClient.drop_dead_letter)
    replay_dead_letters = _relayed(AsyncWorkflowClient.replay_dead_letters)
    drop_dead_letters = _relayed(AsyncWorkflowClient.drop_dead_letters)

    async def close(self) -> None:
        """Give up what this client holds. The engine in this process goes on. Twice is harmless."""
        if self._owned:
            self._owned = False
            await self.portal.relay(self.inner.close)
            self.portal.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
