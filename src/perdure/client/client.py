"""The client: Dapr's verbs, and those that its users ask for. Asynchronous; the other twins are made from this one.

A verb's arguments keep Dapr's names and meanings. Beyond Dapr, each that changes something takes a `command_id` (a
repeat under it gets the first answer and has no second effect) and `requested_by` (text for the history).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, Unpack

from perdure.client.bulk import ACTIVE, TERMINAL, each_of
from perdure.client.errors import DeadLetterNotFound, InstanceNotFound, rejection_error
from perdure.client.ids import check_chosen_id, check_command_id, check_event_name, check_known_id, derived_id
from perdure.client.listing import PAGE_ROWS_MAX, Where, make_filter
from perdure.client.transport import REQUEST_TIMEOUT_SECONDS, ClientCommand, Transport, Until
from perdure.client.values import BulkResult, JsonText, WorkflowDescription, WorkflowPage, payload_text, to_us
from perdure.core.commands import (
    PurgeWorkflow,
    RaiseEvent,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.letters import LetterFilter, LetterPage, LetterRecord, Settling
from perdure.workflow.app import App
from perdure.workflow.status import WorkflowState

__all__ = ["AsyncWorkflowClient", "Named"]

Named = Callable[..., Any] | str
"""A workflow: its function, or its registered name."""


class AsyncWorkflowClient:
    """Belongs to one event loop, its transport's. `app` tells the names under which functions are registered.

    A command that the engine refuses raises a subclass of CommandRejected (`perdure.client.errors`), an unanswered one
    TimeoutError.
    """

    def __init__(self, transport: Transport, *, app: App | None = None) -> None:
        self.transport = transport
        self._names = app if app is not None else App()

    async def schedule_new_workflow(
        self,
        workflow: Named,
        *,
        input: Any = None,
        instance_id: str | None = None,
        start_at: datetime | None = None,
        reuse_id_policy: Any = None,
        command_id: str | None = None,
        requested_by: str = "",
        rerun_of: str = "",
    ) -> str:
        """Start a workflow and return its instance id; `start_at` (naive: UTC) delays it.

        An id of your own has letters, digits, - and _, at most 64. Without one the id is minted; with a command_id it
        is derived from that, so that a repeat starts nothing twice. Raises WorkflowAlreadyExists while a run of the id
        is active, UnknownWorkflowError, InvalidInstanceId, PayloadError, PayloadTooLarge.
        """
        if reuse_id_policy is not None:
            raise NotImplementedError(
                "reuse_id_policy is not built: a finished id can be started again, an active one raises "
                "WorkflowAlreadyExists (terminate it first)"
            )
        name = self._names.name_of(workflow)
        command = StartWorkflow(name, payload_text(input, f"the input of workflow '{name}'"), rerun_of=rerun_of)
        if start_at is not None:
            command.start_at_us = to_us(start_at)
        return await self._start(command, instance_id, command_id, requested_by)

    async def get_workflow_state(self, instance_id: str, *, fetch_payloads: bool = True) -> WorkflowState | None:
        """The state as the instance's owner has it now; None if no instance has this id."""
        return await self._state(instance_id, "now", fetch_payloads, REQUEST_TIMEOUT_SECONDS)

    async def wait_for_workflow_start(
        self, instance_id: str, *, fetch_payloads: bool = False, timeout_in_seconds: float = 0
    ) -> WorkflowState | None:
        """The state once its code has begun to run. 0: wait for ever; else TimeoutError. None if it is unknown."""
        return await self._state(instance_id, "started", fetch_payloads, timeout_in_seconds)

    async def wait_for_workflow_completion(
        self, instance_id: str, *, fetch_payloads: bool = True, timeout_in_seconds: float = 0
    ) -> WorkflowState | None:
        """The state once its run has ended. 0: wait for ever; else TimeoutError. None if it is unknown."""
        return await self._state(instance_id, "completed", fetch_payloads, timeout_in_seconds)

    async def raise_workflow_event(
        self,
        instance_id: str,
        event_name: str,
        *,
        data: Any = None,
        command_id: str | None = None,
        requested_by: str = "",
    ) -> None:
        """Deliver an event: buffered until waited for. Raises InstanceNotFound, NotRunning, EventBufferFull, …"""
        check_event_name(event_name)
        text = payload_text(data, f"the data of event '{event_name}'")
        await self._tell(instance_id, RaiseEvent(event_name, text), command_id, requested_by)

    async def pause_workflow(self, instance_id: str, *, command_id: str | None = None, requested_by: str = "") -> None:
        """Suspend it: what comes is recorded and handled on resume. A paused one stays so. Raises NotRunning, …"""
        await self._tell(instance_id, SuspendWorkflow(), command_id, requested_by)

    async def resume_workflow(self, instance_id: str, *, command_id: str | None = None, requested_by: str = "") -> None:
        """End a pause; a STALLED instance is tried again. Raises InstanceNotFound, NotRunning."""
        await self._tell(instance_id, ResumeWorkflow(), command_id, requested_by)

    async def terminate_workflow(
        self,
        instance_id: str,
        *,
        output: Any = None,
        recursive: bool = True,
        command_id: str | None = None,
        requested_by: str = "",
    ) -> None:
        """End it now, and with `recursive` its children. Running activities go on to their end, unheard."""
        text = payload_text(output, "the output of a termination")
        await self._tell(instance_id, TerminateWorkflow(text, recursive), command_id, requested_by)

    async def purge_workflow(
        self,
        instance_id: str,
        recursive: bool = True,  # noqa: FBT001, FBT002, RUF100 - Dapr's argument
        *,
        command_id: str | None = None,
        requested_by: str = "",
    ) -> None:
        """Forget a finished instance, and with `recursive` its children. Raises InstanceNotFound, NotFinished."""
        await self._tell(instance_id, PurgeWorkflow(recursive), command_id, requested_by)

    async def rerun_workflow(
        self,
        instance_id: str,
        *,
        new_instance_id: str | None = None,
        command_id: str | None = None,
        requested_by: str = "",
    ) -> str:
        """Start the same workflow with the same input under a new id, which is returned.

        After a continue_as_new the input is the latest generation's. The history tells of which it is a rerun.
        """
        check_known_id(instance_id)
        if new_instance_id == instance_id:
            raise ValueError("a rerun needs an ID of its own: the same one would take the place of what it repeats")
        known = await self.transport.inspect(instance_id, timeout_s=REQUEST_TIMEOUT_SECONDS)
        if known is None:
            raise InstanceNotFound(f"no workflow instance has the ID '{instance_id}'")
        command = StartWorkflow(known.name, known.input, rerun_of=instance_id)
        return await self._start(command, new_instance_id, command_id, requested_by)

    async def describe_workflow(self, instance_id: str) -> WorkflowDescription | None:
        """The state, with what it awaits since when, attempts, last failure and buffered events; None if unknown."""
        check_known_id(instance_id)
        known = await self.transport.inspect(instance_id, timeout_s=REQUEST_TIMEOUT_SECONDS, detail=True)
        return None if known is None else WorkflowDescription.from_snapshot(known)

    async def get_history(self, instance_id: str) -> list[Any]:
        """The events (`perdure.core.events`) of the latest run and generation. Raises InstanceNotFound.

        They come from the history store, which is written behind the log: it is given two seconds to catch up with
        what was decided when you asked; after that the last events may be missing.
        """
        check_known_id(instance_id)
        return list(await self.transport.history(instance_id))

    async def list_workflows(
        self, *, limit: int = 100, page: str = "", fetch_payloads: bool = True, **where: Unpack[Where]
    ) -> WorkflowPage:
        """Instances that fit, newest first, from the store (usually under half a second behind).

        Filters: name, status (each one or several), id_prefix, created_from (inclusive), created_to (exclusive).
        `page` is an earlier page's `next`. Raises ValueError for a wrong status, page or limit.
        """
        if not 1 <= limit <= PAGE_ROWS_MAX:
            raise ValueError(f"limit is {limit}: a page has 1 to {PAGE_ROWS_MAX} instances")
        found = await self.transport.list(make_filter(where), limit, page)
        return WorkflowPage.from_stored(found, fetch_payloads)

    async def terminate_workflows(
        self,
        *,
        output: Any = None,
        recursive: bool = True,
        limit: int = PAGE_ROWS_MAX,
        requested_by: str = "",
        **where: Unpack[Where],
    ) -> BulkResult:
        """Terminate every active instance that fits the filters of list_workflows, at most `limit` at a time."""

        said = None if output is None else JsonText(payload_text(output, "the output"))  # refused once, not for each

        async def terminate(each: str) -> None:
            await self.terminate_workflow(each, output=said, recursive=recursive, requested_by=requested_by)

        return await each_of(self.transport, make_filter(where), ACTIVE, limit, terminate)

    async def purge_workflows(
        self,
        *,
        recursive: bool = True,
        limit: int = PAGE_ROWS_MAX,
        requested_by: str = "",
        **where: Unpack[Where],
    ) -> BulkResult:
        """Purge every finished instance that fits the filters of list_workflows, at most `limit` at a time."""

        async def purge(each: str) -> None:
            await self.purge_workflow(each, recursive, requested_by=requested_by)

        return await each_of(self.transport, make_filter(where), TERMINAL, limit, purge)

    async def list_dead_letters(
        self,
        *,
        limit: int = 100,
        page: str = "",
        state: str = "open",
        instance_id: str = "",
        origin: str = "",
        reason: str = "",
    ) -> LetterPage:
        """Dead letters (`docs/dead-letters.md`) that fit, oldest first: records that could not be handled, and why.

        state: open, replayed, dropped or all. origin: a topic, such as instances. reason: a part of it, in any case.
        `page` is an earlier page's `next`; a page may hold fewer than `limit`. Raises ValueError.
        """
        if not 1 <= limit <= PAGE_ROWS_MAX:
            raise ValueError(f"limit is {limit}: a page has 1 to {PAGE_ROWS_MAX} dead letters")
        return await self.transport.list_letters(LetterFilter(state, instance_id, origin, reason), limit, page)

    async def get_dead_letter(self, letter_id: str) -> LetterRecord:
        """A dead letter with its record's key, value and headers as they were. Raises DeadLetterNotFound, ValueError."""
        found = await self.transport.letter(letter_id)
        if found is None:
            raise DeadLetterNotFound(f"there is no dead letter {letter_id}, or retention has deleted it")
        return found

    async def replay_dead_letter(
        self, letter_id: str, *, command_id: str | None = None, requested_by: str = ""
    ) -> None:
        """Send its record again to where it came from, once for ever.

        Raises DeadLetterNotFound, DeadLetterSettled, DeadLetterNotReplayable, DeadLetterNotSettled, ValueError.
        """
        await self._settle(letter_id, "replay", command_id, requested_by)

    async def drop_dead_letter(self, letter_id: str, *, command_id: str | None = None, requested_by: str = "") -> None:
        """Put it away: it is never replayed. Raises as `replay_dead_letter`."""
        await self._settle(letter_id, "drop", command_id, requested_by)

    async def replay_dead_letters(
        self, letter_ids: Sequence[str], *, command_id: str | None = None, requested_by: str = ""
    ) -> BulkResult:
        """Replay each, at most 100; those that were settled before are skipped. Raises ValueError."""
        return await self._settle_each(letter_ids, "replay", command_id, requested_by)

    async def drop_dead_letters(
        self, letter_ids: Sequence[str], *, command_id: str | None = None, requested_by: str = ""
    ) -> BulkResult:
        """Drop each, at most 100; those that were settled before are skipped. Raises ValueError."""
        return await self._settle_each(letter_ids, "drop", command_id, requested_by)

    async def close(self) -> None:
        """Give up what this client still waits for. Twice is harmless."""
        await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _state(
        self, instance_id: str, until: Until, fetch_payloads: bool, timeout_s: float
    ) -> WorkflowState | None:
        check_known_id(instance_id)
        known = await self.transport.inspect(instance_id, until=until, timeout_s=timeout_s)
        return None if known is None else WorkflowState.from_snapshot(known, fetch_payloads)

    async def _settle(self, letter_id: str, settling: Settling, command_id: str | None, requested_by: str) -> None:
        request = self._request_id(command_id)
        (told,) = await self.transport.settle_letters([letter_id], settling, request=request, requested_by=requested_by)
        if told.reason:
            raise rejection_error(told.reason, told.message)

    async def _settle_each(
        self, letter_ids: Sequence[str], settling: Settling, command_id: str | None, requested_by: str
    ) -> BulkResult:
        request, result = self._request_id(command_id), BulkResult([], [], {})
        told = await self.transport.settle_letters(letter_ids, settling, request=request, requested_by=requested_by)
        for each in told:
            if not each.reason:
                result.done.append(each.letter_id)
            elif each.reason == "LetterSettled":
                result.skipped.append(each.letter_id)
            else:
                result.failed[each.letter_id] = each.message
        return result

    def _request_id(self, command_id: str | None) -> str:
        if command_id is not None:
            check_command_id(command_id)
        return command_id or self.transport.ids.mint()

    async def _start(
        self, command: StartWorkflow, instance_id: str | None, command_id: str | None, requested_by: str
    ) -> str:
        if instance_id is not None:
            check_chosen_id(instance_id)
        elif command_id is not None:
            instance_id = derived_id(command_id)
        else:
            instance_id = self.transport.ids.mint()
            command.minted = True
        await self._send(instance_id, command, command_id, requested_by)
        return instance_id

    async def _tell(self, instance_id: str, command: ClientCommand, command_id: str | None, requested_by: str) -> None:
        check_known_id(instance_id)
        await self._send(instance_id, command, command_id, requested_by)

    async def _send(self, instance_id: str, command: ClientCommand, command_id: str | None, requested_by: str) -> None:
        command.command_id = self._request_id(command_id)
        command.requested_by = requested_by
        reply = await self.transport.send(instance_id, command)
        if not reply.accepted:
            raise rejection_error(reply.reason, reply.message)
