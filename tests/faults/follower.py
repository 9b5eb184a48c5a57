"""Reads topics from their first record on, for as long as a test lasts.

It has to run from the start: the owner of a partition deletes history once it is stored, and who came later would take
what is left for all there was. A follower that is too slow says so instead of skipping what it missed, unless it may:
commands are deleted as soon as they are decided, and who wants some of them does without the others.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

CAUGHT_UP_SECONDS = 30.0


class Follower:
    """`topics`: name to partition count. Its records are what was committed, in the order of each partition."""

    def __init__(self, address, topics, *, gaps_allowed=False):
        self._address = address
        self._gaps_allowed = gaps_allowed
        self._places = [TopicPartition(name, number) for name, count in topics.items() for number in range(count)]
        self.records = {name: [] for name in topics}
        self.failure = None
        self._ready = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()), name="follower", daemon=True)

    def start(self):
        self._thread.start()
        self._ready.result(CAUGHT_UP_SECONDS)

    def raise_failure(self):
        """What ended the follower, if anything has: its records are not all there is then."""
        if self.failure is not None:
            raise self.failure

    def catch_up(self, seconds=CAUGHT_UP_SECONDS):
        """Returns when everything that is committed now has been read. Raises what ended the follower."""
        self.raise_failure()
        asyncio.run_coroutine_threadsafe(self._catch_up(seconds), self._loop).result(seconds + 10)

    def stop(self):
        if self.failure is None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(CAUGHT_UP_SECONDS)

    async def _follow(self):
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._address,
            group_id=None,
            isolation_level="read_committed",
            auto_offset_reset="none",
            enable_auto_commit=False,
        )
        try:
            await self._consumer.start()
            self._consumer.assign(self._places)
            for place in self._places:
                self._consumer.seek(place, 0)
            self._ready.set_result(None)
            while not self._stopping.is_set():
                await self._take()
        except BaseException as error:
            self.failure = error
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            await self._consumer.stop()

    async def _take(self):
        try:
            fetched = await self._consumer.getmany(timeout_ms=200)
        except OffsetOutOfRangeError as error:
            if self._gaps_allowed:
                await self._consumer.seek_to_beginning(*error.args[0])
                return
            raise AssertionError("history was deleted before the follower had read it: no verdict") from None
        except KafkaError:
            await asyncio.sleep(0.2)  # brokers may be away for a while
            return
        for place, records in fetched.items():
            self.records[place.topic].extend(records)

    async def _catch_up(self, seconds):
        end = self._loop.time() + seconds
        wanted = await self._consumer.end_offsets(self._places)
        while True:
            self.raise_failure()
            behind = [place for place in self._places if await self._consumer.position(place) < wanted[place]]
            if not behind:
                return
            assert self._loop.time() < end, f"the follower has not caught up with {behind}"
            await asyncio.sleep(0.05)
