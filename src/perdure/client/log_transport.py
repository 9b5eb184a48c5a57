"""The log as transport: commands are appended to the topic `instances`, answers come back on `replies`.

In process, and wherever a client may reach the cluster itself. The engine's owner answers in the commit that made
the change, so that no reader polls the store.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from perdure.client.errors import EngineStopped, GatewayNeeded, InstanceNotFound, UpgradeNeeded, rejection_error
from perdure.client.ids import IdMint
from perdure.client.inbox import Inbox
from perdure.client.requests import Requests
from perdure.client.stored import CATCH_UP_SECONDS, stored_history
from perdure.client.transport import REQUEST_TIMEOUT_SECONDS, ClientCommand, Transport, Until
from perdure.codec.encoder import Encoder, HeldBack
from perdure.core.commands import InspectInstance
from perdure.core.limits import LIST_PAGE_BYTES_MAX, REQUEST_RESEND_SECONDS
from perdure.core.names import Topics, partition_of
from perdure.core.replies import InstanceSnapshot, Reply
from perdure.core.rows import InstanceRow
from perdure.letters import DeadLetters, LetterFilter, LetterPage, LetterRecord, Settlement, Settling
from perdure.ports.clock import Clock, Entropy
from perdure.ports.log import Log
from perdure.ports.registry import SchemaRegistry
from perdure.ports.store import Filter, HistoryStore, Page
from perdure.telemetry.requests import starting

__all__ = ["LogTransport"]

LIST_PART_ROWS = 50


class LogTransport(Transport):
    """Closes neither the log nor the store. Opens its inbox with the first request, or by `open`.

    Without a store, `list` and `history` raise GatewayNeeded; all else goes by the log alone. `learn` raises `encode` to
    the namespace's write version: at the beginning, and when that held back cannot say what is asked for.
    """

    def __init__(
        self,
        log: Log,
        store: HistoryStore | None,
        topics: Topics,
        entropy: Entropy,
        clock: Clock,
        *,
        resend_s: float = REQUEST_RESEND_SECONDS,
        request_timeout_s: float = REQUEST_TIMEOUT_SECONDS,
        encode: Encoder | None = None,
        learn: Callable[[], Awaitable[object]] | None = None,
        registry: SchemaRegistry | None = None,
    ) -> None:
        self.ids = IdMint(clock, entropy)
        self.letters = DeadLetters(log, topics, clock, registry, encode)
        self._log = log
        self._store = store
        self._clock = clock
        self._topics = topics
        self._request_timeout_s = request_timeout_s
        self._token = self.ids.mint()
        self._serial = itertools.count(1)
        self._partitions = 0
        self._learn = learn
        self._requests = Requests(log, self._place, resend_s, encode or Encoder())
        self._inbox = Inbox(log, topics, self._token, self._requests.answered, self._inbox_ended)
        self.on_end: Callable[[Exception], None] = lambda _: None  # answers cannot be read any more, and why
        self._is_open = False
        self._opening = asyncio.Lock()
        self._ended: Exception | None = None

    async def open(self) -> None:
        """Make ready for answers. Raises TopicMissing. Twice is harmless."""
        async with self._opening:
            if not self._is_open and self._ended is None:
                if self._learn is not None:
                    await self._learn()
                self._partitions = await self._log.partitions(self._topics.instances)
                await self._inbox.open()
                self._is_open = True
        self._check_open()

    async def send(self, instance_id: str, command: ClientCommand, *, timeout_s: float | None = None) -> Reply:
        if not command.command_id:
            command.command_id = self.ids.mint()
        wait_s = self._request_timeout_s if timeout_s is None else timeout_s
        try:
            with starting(command, instance_id, self._clock):
                return await self._ask(instance_id, command, wait_s)
        except TimeoutError:
            raise TimeoutError(
                f"no answer about '{instance_id}' within {wait_s:g} s: is an orchestrator running? The request may "
                f"still take effect; repeat it under the command ID {command.command_id}"
            ) from None

    async def inspect(
        self, instance_id: str, *, until: Until = "now", timeout_s: float | None = None, detail: bool = False
    ) -> InstanceSnapshot | None:
        try:
            question = InspectInstance(self.ids.mint(), "", until, detail)
            reply = await self._ask(instance_id, question, timeout_s or None)
        except TimeoutError:
            what = "no answer about" if until == "now" else f"not {until}:"
            raise TimeoutError(f"{what} '{instance_id}' within {timeout_s:g} s") from None
        if reply.accepted:
            return reply.snapshot
        if reply.reason == "UnknownInstance":
            return None
        raise rejection_error(reply.reason, reply.message)

    async def list(self, where: Filter, limit: int, after: str = "") -> Page:
        if self._store is None:
            raise GatewayNeeded("lists (and terminating or purging by a filter) come")
        rows: list[InstanceRow] = []
        size = 0
        while True:  # in parts, as each row may hold three payloads of a megabyte
            asked = min(limit - len(rows), LIST_PART_ROWS)
            page = await self._store.list(where, asked, after)
            rows += page.rows
            size += sum(len(row.input) + len(row.output) + len(row.custom_status) for row in page.rows)
            after = page.next
            ended = not after or len(page.rows) < asked  # a store may end a page early, and why goes for ours, too
            if ended or len(rows) >= limit or size >= LIST_PAGE_BYTES_MAX:
                return Page(rows, after)

    async def history(self, instance_id: str) -> Sequence[Any]:
        if self._store is None:
            raise GatewayNeeded("a history comes")
        try:
            known = await self.inspect(instance_id, timeout_s=CATCH_UP_SECONDS)
        except TimeoutError:
            return await stored_history(self._store, instance_id, None)
        if known is None:
            raise InstanceNotFound(f"no workflow instance has the ID '{instance_id}'")
        return await stored_history(self._store, instance_id, known)

    async def list_letters(self, where: LetterFilter, limit: int, after: str = "") -> LetterPage:
        self._check_open()
        return await self.letters.page(where, limit, after)

    async def letter(self, letter_id: str) -> LetterRecord | None:
        self._check_open()
        return await self.letters.get(letter_id)

    async def settle_letters(
        self, letter_ids: Sequence[str], settling: Settling, *, request: str, requested_by: str = ""
    ) -> Sequence[Settlement]:
        self._check_open()
        return await self.letters.settle(letter_ids, settling, request=request, requested_by=requested_by)

    async def check(self) -> None:
        await self.open()
        await self._log.bounds(self._topics.instances, 0)
        if self._store is not None:
            await self._store.stored_to(0)

    def fail_pending(self, error: Exception) -> None:
        """Whoever waits now is told; later requests are asked as ever."""
        self._requests.fail_all(error)

    def abort(self, error: Exception) -> None:
        """The engine cannot go on: whoever waits, and whoever asks from now on, is told why."""
        self._end(error)

    async def close(self) -> None:
        self._end(EngineStopped("the client was closed"))
        await self._inbox.close()
        await self._requests.close()

    async def _ask(self, instance_id: str, command: Any, timeout_s: float | None) -> Reply:
        if not self._is_open:
            async with asyncio.timeout(timeout_s):
                await self.open()
        self._check_open()
        token = f"{self._token}.{next(self._serial)}"
        command.reply_to = f"{self._inbox.partition}/{token}"
        try:
            return await self._requests.ask(instance_id, command, token, timeout_s)
        except HeldBack as error:
            held = error
        try:
            async with asyncio.timeout(timeout_s):
                await (self._learn or _nothing)()  # it may have been raised since
            return await self._requests.ask(instance_id, command, token, timeout_s)
        except HeldBack:
            raise UpgradeNeeded(str(held)) from None

    def _place(self, instance_id: str) -> tuple[str, int]:
        return self._topics.instances, partition_of(instance_id, self._partitions)

    def _inbox_ended(self, error: Exception) -> None:
        self._end(error)
        self.on_end(error)

    def _end(self, error: Exception) -> None:
        self._ended = self._ended or error
        self._requests.fail_all(error)

    def _check_open(self) -> None:
        if self._ended is not None:
            raise self._ended


async def _nothing() -> None:
    """A client whose encoder is raised by others, or by nobody."""
