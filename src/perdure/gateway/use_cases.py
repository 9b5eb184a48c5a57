"""What a gateway does, once, whatever the binding: HTTP today.

Thin over the client: here bodies become payloads, and snapshots go out as the owner told them. Errors are the
client's, by name; each binding says how its protocol shows them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from perdure.client.client import AsyncWorkflowClient
from perdure.client.errors import CommandRejected, InstanceNotFound, rejection_error
from perdure.client.ids import check_known_id
from perdure.client.listing import Where, make_filter
from perdure.client.stored import snapshot_of
from perdure.client.transport import REQUEST_TIMEOUT_SECONDS, Until
from perdure.client.values import BulkResult
from perdure.client.wire import event_body
from perdure.core.errors import PayloadTooLarge
from perdure.core.replies import InstanceSnapshot
from perdure.gateway.payload import payload_in
from perdure.gateway.problems import Problem
from perdure.letters import LetterPage, LetterRecord, Settlement, Settling
from perdure.ports.store import Page

__all__ = ["UseCases"]

T = TypeVar("T")


class UseCases:
    def __init__(self, client: AsyncWorkflowClient) -> None:
        self._client = client

    async def start(
        self,
        name: str,
        body: bytes,
        *,
        instance_id: str | None,
        command_id: str | None,
        requested_by: str | None,
        unwrap: bool = False,
        start_at: datetime | None = None,
        rerun_of: str = "",
    ) -> str:
        """The new instance's id."""
        if not name:
            raise Problem(400, "ERR_WORKFLOW_NAME_MISSING", "the workflow's name is missing")
        return await self._client.schedule_new_workflow(
            _named(name), input=payload_in(body, unwrap=unwrap), instance_id=instance_id, start_at=start_at,
            command_id=command_id, requested_by=requested_by or "", rerun_of=rerun_of,
        )  # fmt: skip

    async def get(self, instance_id: str, *, detail: bool = False) -> InstanceSnapshot:
        """The instance as its owner has it now. Raises InstanceNotFound."""
        return await self._inspect(instance_id, "now", REQUEST_TIMEOUT_SECONDS, detail=detail)

    async def wait(self, instance_id: str, until: Until, timeout_s: float) -> InstanceSnapshot:
        """The instance once it is so far; Problem 408 ERR_WAIT_TIMEOUT after timeout_s."""
        if not timeout_s:  # the client's 0 means for ever, a poll's 0 means now
            known = await self.get(instance_id)
            ended = known.status in ("COMPLETED", "FAILED", "TERMINATED")
            if ended or (until == "started" and known.status != "PENDING"):
                return known
            raise _not_yet(instance_id, until)
        try:
            return await self._inspect(instance_id, until, timeout_s)
        except TimeoutError:
            raise _not_yet(instance_id, until) from None

    async def raise_event(
        self, instance_id: str, event_name: str, body: bytes, command_id: str | None, requested_by: str | None
    ) -> None:
        if not event_name:
            raise Problem(400, "ERR_WORKFLOW_EVENT_NAME_MISSING", "the event's name is missing")
        await self._client.raise_workflow_event(
            instance_id, event_name, data=payload_in(body), command_id=command_id, requested_by=requested_by or ""
        )

    async def pause(self, instance_id: str, command_id: str | None, requested_by: str | None) -> None:
        await self._client.pause_workflow(instance_id, command_id=command_id, requested_by=requested_by or "")

    async def resume(self, instance_id: str, command_id: str | None, requested_by: str | None) -> None:
        await self._client.resume_workflow(instance_id, command_id=command_id, requested_by=requested_by or "")

    async def terminate(
        self,
        instance_id: str,
        command_id: str | None,
        requested_by: str | None,
        *,
        body: bytes = b"",
        recursive: bool = True,
    ) -> None:
        await self._client.terminate_workflow(
            instance_id, output=payload_in(body), recursive=recursive, command_id=command_id,
            requested_by=requested_by or "",
        )  # fmt: skip

    async def purge(
        self, instance_id: str, command_id: str | None, requested_by: str | None, *, recursive: bool = True
    ) -> None:
        await self._client.purge_workflow(
            instance_id, recursive, command_id=command_id, requested_by=requested_by or ""
        )

    async def rerun(
        self, instance_id: str, new_instance_id: str | None, command_id: str | None, requested_by: str | None
    ) -> str:
        return await self._client.rerun_workflow(
            instance_id, new_instance_id=new_instance_id, command_id=command_id, requested_by=requested_by or ""
        )

    async def list(self, where: Where, limit: int, page: str) -> tuple[Sequence[InstanceSnapshot], str]:
        """Instances and the next page's token. Problem 400 for a page that is none, and for a filter."""
        found = await _told(self._page(where, limit, page))
        return [snapshot_of(row) for row in found.rows], found.next

    async def _page(self, where: Where, limit: int, page: str) -> Page:
        return await self._client.transport.list(make_filter(where), limit, page)

    async def history(self, instance_id: str) -> Sequence[dict[str, Any]]:
        return [event_body(event) for event in await self._client.get_history(instance_id)]

    async def terminate_many(
        self, where: Where, output: Any, recursive: bool, limit: int, requested_by: str | None
    ) -> BulkResult:
        return await _told(
            self._client.terminate_workflows(
                output=output, recursive=recursive, limit=limit, requested_by=requested_by or "", **where
            )
        )

    async def purge_many(self, where: Where, recursive: bool, limit: int, requested_by: str | None) -> BulkResult:
        return await _told(
            self._client.purge_workflows(recursive=recursive, limit=limit, requested_by=requested_by or "", **where)
        )

    async def list_letters(self, limit: int, page: str, **where: str) -> LetterPage:
        return await _told(self._client.list_dead_letters(limit=limit, page=page, **where))

    async def letter(self, letter_id: str) -> LetterRecord:
        """Raises DeadLetterNotFound."""
        return await _told(self._client.get_dead_letter(letter_id))

    async def settle_letters(
        self, letter_ids: Sequence[str], settling: Settling, command_id: str | None, requested_by: str | None
    ) -> Sequence[Settlement]:
        """What became of each, refusals among them."""
        transport = self._client.transport
        request = command_id or transport.ids.mint()
        return await _told(
            transport.settle_letters(letter_ids, settling, request=request, requested_by=requested_by or "")
        )

    async def settle_letter(
        self, letter_id: str, settling: Settling, command_id: str | None, requested_by: str | None
    ) -> None:
        """Raises DeadLetterNotFound, DeadLetterSettled, DeadLetterNotReplayable, DeadLetterNotSettled."""
        (settlement,) = await self.settle_letters([letter_id], settling, command_id, requested_by)
        if settlement.reason:
            raise rejection_error(settlement.reason, settlement.message)

    async def check(self) -> None:
        """Raises what keeps the engine from being reached."""
        await self._client.transport.check()

    async def _inspect(
        self, instance_id: str, until: Until, timeout_s: float, *, detail: bool = False
    ) -> InstanceSnapshot:
        check_known_id(instance_id)
        found = await self._client.transport.inspect(instance_id, until=until, timeout_s=timeout_s, detail=detail)
        if found is None:
            raise InstanceNotFound(f"no workflow instance has the ID '{instance_id}'")
        return found


def _named(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Problem(400, "ERR_NAME_INVALID", "the workflow's name is not valid Unicode") from None
    return name


def _not_yet(instance_id: str, until: str) -> Problem:
    return Problem(408, "ERR_WAIT_TIMEOUT", f"'{instance_id}' has not {until} yet: ask again")


async def _told(call: Awaitable[T]) -> T:
    """A filter or a page that is wrong is the asker's affair."""
    try:
        return await call
    except (CommandRejected, PayloadTooLarge):
        raise
    except ValueError as error:
        raise Problem(400, "ERR_MALFORMED_REQUEST", str(error)) from None
