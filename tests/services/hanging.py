"""A log whose readers hang, as those of a client do that has lost its way: everything else of it answers."""

import asyncio

from perdure.ports.log import Membership, Reader
from perdure.services.watched import WatchedLog, WatchedReader


class HangingLog(WatchedLog):
    """`hang`: reads give nothing from now on. `away`: an error that `bounds` and `fetch` raise, or what they await.
    `gap`: offsets at the end that no record has."""

    def __init__(self, log):
        super().__init__(log)
        self.hangs = False
        self.away = None
        self.gap = 0
        self.listeners = []

    def hang(self):
        self.hangs = True
        for reader in self.readers:
            reader.wake()

    async def join(self, group, topics, listener):
        self.listeners.append(listener)
        joined = await super().join(group, topics, listener)
        return _Membership(self, joined)

    async def bounds(self, topic, partition):
        await self._answer()
        start, end = await super().bounds(topic, partition)
        return start, end + self.gap

    async def fetch(self, *place):
        await self._answer()
        return await super().fetch(*place)

    async def _answer(self):
        if callable(self.away):
            await self.away()
        elif self.away is not None:
            raise self.away


class _Membership(Membership):
    def __init__(self, log, membership):
        self._log = log
        self._membership = membership

    def reader(self, topic, partition):
        return _Reader(self._log, self._membership.reader(topic, partition))

    async def leave(self):
        await self._membership.leave()


class _Reader(WatchedReader, Reader):
    def __init__(self, log, reader):
        super().__init__(reader.topic, reader.partition, reader)
        self._log = log

    async def read(self, max_records):
        while not self._log.hangs:
            at = self._reader.position
            records = await self._reader.read(max_records)
            if not self._log.hangs:
                return records
            self._reader.seek(at)  # what it had been about to give is not given
        return await asyncio.Event().wait()
