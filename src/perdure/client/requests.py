"""Questions on their way: each is a record in the log and a future, until its answer comes.

Law: a question leaves the table only by its answer, its asker's giving up, or an error that says it was never
written. Whatever else goes wrong, it is asked again under the same command id, which the engine recognises.

Every question has a reply token of its own, so that two askers of one command id are not confused. What is asked in
one tick of the loop goes out in one append; one timer serves all repeats, because all wait equally long and the table
is therefore in the order of their due times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from perdure.codec.encoder import Encoder
from perdure.core.commands import InspectInstance, StartWorkflow
from perdure.core.replies import Reply
from perdure.ports.errors import CommitUnknown, LogClosed, RecordTooLarge
from perdure.ports.log import Log, Outgoing
from perdure.telemetry.requests import carried

__all__ = ["Requests"]

log = structlog.get_logger(__name__)

BATCH_RECORDS_MAX = 1_000
EARLY_S = 0.001  # a loop may run a timer a clock tick before it is due


@dataclass(slots=True, eq=False)
class _Request:
    command: Any
    record: Outgoing
    answer: asyncio.Future[Reply]
    due: float
    sent: bool = False  # may be in the log: an error of a later append no longer means "never written"


class Requests:
    """The open questions of one transport. `place` gives topic and partition of an instance."""

    def __init__(self, log: Log, place: Callable[[str], tuple[str, int]], resend_s: float, encode: Encoder) -> None:
        self._log = log
        self._place = place
        self._resend_s = resend_s
        self._encode = encode
        self._open: dict[str, _Request] = {}
        self._outbox: list[_Request] = []
        self._flusher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, instance_id: str, command: Any, token: str, timeout_s: float | None) -> Reply:
        """The answer. TimeoutError after timeout_s; None: never."""
        loop = asyncio.get_running_loop()
        request = _Request(
            command, self._record(instance_id, command), loop.create_future(), loop.time() + self._resend_s
        )
        self._open[token] = request
        self._post(request)
        self._arm()
        try:
            if timeout_s is None:
                return await request.answer
            async with asyncio.timeout(timeout_s):
                return await request.answer
        finally:
            self._open.pop(token, None)
            if not self._open and self._timer is not None:
                self._timer.cancel()  # an idle client keeps no timer: a virtual clock would run after it
                self._timer = None

    def answered(self, reply: Reply) -> None:
        """An answer has come; one that nobody waits for (any more) is dropped."""
        request = self._open.get(reply.token)
        if request is not None and not request.answer.done():
            request.answer.set_result(reply)

    def fail_all(self, error: Exception) -> None:
        """No answers will come."""
        for request in self._open.values():
            _fail(request, error)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.wait({self._flusher})

    def _record(self, instance_id: str, command: Any) -> Outgoing:
        topic, partition = self._place(instance_id)
        volatile = type(command) is InspectInstance
        return Outgoing(topic, partition, instance_id.encode(), self._encode(command), carried(command), volatile)

    def _post(self, request: _Request) -> None:
        self._outbox.append(request)
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while self._outbox:
                batch = [each for each in self._outbox[:BATCH_RECORDS_MAX] if not each.answer.done()]
                del self._outbox[:BATCH_RECORDS_MAX]
                if batch:
                    await self._append(batch)
        finally:
            self._flusher = None

    async def _append(self, batch: list[_Request]) -> None:
        try:
            await self._log.append([request.record for request in batch])
        except RecordTooLarge as error:
            culprit = batch.pop(error.index)
            _fail(culprit, error)
            self._outbox[:0] = batch
            return
        except CommitUnknown as error:
            log.warning("requests may not have been written; they are repeated", count=len(batch), error=str(error))
        except LogClosed as error:
            self.fail_all(error)
            return
        except Exception as error:  # noqa: BLE001 - whatever the log says is the askers' answer
            for request in batch:
                if not request.sent:
                    _fail(request, error)
            return
        for request in batch:
            request.sent = True

    def _arm(self) -> None:
        if self._timer is None and self._open:
            first = next(iter(self._open.values()))
            self._timer = asyncio.get_running_loop().call_at(first.due, self._repeat_due)

    def _repeat_due(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        due = []
        for token, request in self._open.items():
            if request.due > now + EARLY_S:
                break
            due.append((token, request))
        for token, request in due:
            del self._open[token]  # and back at the end: the table stays in the order of due times
            self._open[token] = request
            request.due = now + self._resend_s
            self._repeat(request)
        self._arm()

    def _repeat(self, request: _Request) -> None:
        command = request.command
        if type(command) is StartWorkflow and command.minted:
            # The first may have been accepted: the engine must look, instead of trusting the id's youth.
            command.minted = False
            request.record.value = self._encode(command)
        self._post(request)


def _fail(request: _Request, error: Exception) -> None:
    if not request.answer.done():
        request.answer.set_exception(error)
