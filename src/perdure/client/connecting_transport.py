"""The log as transport for a client that has no engine and no gateway: over a log of its own.

It connects with the first request, and anew with the next one after reading answers had ended for good. Whoever is
refused a connection is told so at once; the following request tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from perdure.client.errors import EngineStopped, EngineUnavailable, GatewayNeeded
from perdure.client.ids import IdMint
from perdure.client.log_transport import LogTransport
from perdure.client.transport import ClientCommand, Transport, Until
from perdure.codec.encoder import Encoder
from perdure.codec.versions import OLDEST
from perdure.core.names import Topics
from perdure.core.replies import InstanceSnapshot, Reply
from perdure.letters import LetterFilter, LetterPage, LetterRecord, Settlement, Settling
from perdure.ports.clock import Clock, Entropy
from perdure.ports.errors import PortError
from perdure.ports.log import Log
from perdure.ports.store import Filter, Page

__all__ = ["ConnectingTransport"]


class ConnectingTransport(Transport):
    """Owns the log that `connect` gives, and closes it. Reaches no store: `list` and `history` raise GatewayNeeded.

    `learn` raises an encoder to the write version of the log's namespace; without it nothing is held back.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Log]],
        topics: Topics,
        entropy: Entropy,
        clock: Clock,
        learn: Callable[[Log, Topics, Encoder], Awaitable[object]] | None = None,
    ) -> None:
        self.ids = IdMint(clock, entropy)
        self._connect = connect
        self._topics = topics
        self._entropy = entropy
        self._clock = clock
        self._learn = learn
        self._encode = Encoder(None if learn is None else OLDEST)
        self._log: Log | None = None
        self._inner: LogTransport | None = None
        self._has_ended = False  # answers of this connection cannot be read any more
        self._is_closed = False
        self._changing = asyncio.Lock()

    async def send(self, instance_id: str, command: ClientCommand, *, timeout_s: float | None = None) -> Reply:
        return await (await self._connected()).send(instance_id, command, timeout_s=timeout_s)

    async def inspect(
        self, instance_id: str, *, until: Until = "now", timeout_s: float | None = None, detail: bool = False
    ) -> InstanceSnapshot | None:
        connected = await self._connected()
        return await connected.inspect(instance_id, until=until, timeout_s=timeout_s, detail=detail)

    async def list(self, where: Filter, limit: int, after: str = "") -> Page:
        del where, limit, after
        raise GatewayNeeded("lists (and terminating or purging by a filter) come")

    async def history(self, instance_id: str) -> Sequence[Any]:
        del instance_id
        raise GatewayNeeded("a history comes")

    async def list_letters(self, where: LetterFilter, limit: int, after: str = "") -> LetterPage:
        return await (await self._connected()).list_letters(where, limit, after)

    async def letter(self, letter_id: str) -> LetterRecord | None:
        return await (await self._connected()).letter(letter_id)

    async def settle_letters(
        self, letter_ids: Sequence[str], settling: Settling, *, request: str, requested_by: str = ""
    ) -> Sequence[Settlement]:
        connected = await self._connected()
        return await connected.settle_letters(letter_ids, settling, request=request, requested_by=requested_by)

    async def check(self) -> None:
        await (await self._connected()).check()

    async def close(self) -> None:
        self._is_closed = True
        async with self._changing:
            await self._give_back()

    async def _connected(self) -> LogTransport:
        async with self._changing:
            if self._is_closed:
                raise EngineStopped("the client was closed")
            if self._has_ended:
                await self._give_back()
            if self._inner is None:
                try:
                    self._log = await self._connect()
                except PortError as error:
                    raise EngineUnavailable(str(error)) from None
                learn = None if self._learn is None else partial(self._learn, self._log, self._topics, self._encode)
                self._inner = LogTransport(
                    self._log, None, self._topics, self._entropy, self._clock, encode=self._encode, learn=learn
                )
                self._inner.on_end = self._ended
            return self._inner

    async def _give_back(self) -> None:
        inner, log, self._inner, self._log, self._has_ended = self._inner, self._log, None, None, False
        try:
            if inner is not None:
                await inner.close()
        finally:
            if log is not None:
                await log.close()

    def _ended(self, error: Exception) -> None:
        del error  # those who wait were told it
        self._has_ended = True
