"""A small scaler: looks at the lag as KEDA sees it, and starts and ends processes as the chart's rules say."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from tests.scaling.rules import PARTITIONS, Scaled

LOOK_SECONDS = 0.5
CONNECTED_SECONDS = 60


class Scaler:
    """`hold` and `resume`, any number of times. `lags` and `counts`: by role, at the last look; `most`: since it was told to forget."""

    def __init__(self, kafka, rules, fleet):
        self.lags, self.counts, self.most = {}, {}, dict.fromkeys(rules, 0)
        self.failure = None
        self.looks = 0
        self._kafka, self._fleet = kafka, fleet
        self._scaled = {role: Scaled(rule) for role, rule in rules.items()}
        self._acts, self._closing, self._between = threading.Event(), threading.Event(), threading.Lock()
        self._ready = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="scaler", daemon=True)

    def start(self):
        self._thread.start()
        self._ready.result(CONNECTED_SECONDS)

    def resume(self):
        self._acts.set()

    def hold(self):
        """Returns when it will change nothing more."""
        self._acts.clear()
        with self._between:
            pass

    def forget(self):
        """`most` is of what comes."""
        self.most = dict.fromkeys(self.most, 0)

    def close(self):
        self._closing.set()
        self._thread.join(CONNECTED_SECONDS)

    async def _main(self):
        try:
            self._admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
            self._consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka, group_id=None)
            await self._admin.start()
            await self._consumer.start()
            self._ready.set_result(None)
            while not self._closing.is_set():
                await self._look()
                await asyncio.sleep(LOOK_SECONDS)
        except BaseException as error:
            self.failure = error
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            await self._consumer.stop()
            await self._admin.close()

    async def _look(self):
        try:
            lags = {role: await self._lag(each.rule) for role, each in self._scaled.items()}
        except KafkaError:
            return  # as KEDA: it looks again
        with self._between:
            self.lags = lags
            for role, each in self._scaled.items():
                running = len(self._fleet.services[role])
                if self._acts.is_set():
                    self._fleet.reach(role, each.count(lags[role], running, time.monotonic()), lags[role])
                self.counts[role] = len(self._fleet.services[role])
                self.most[role] = max(self.most[role], self.counts[role])
            self.looks += 1

    async def _lag(self, rule):
        """Offsets between what the group has stored and the end, markers of transactions among them."""
        places = [TopicPartition(rule.topic, number) for number in range(PARTITIONS)]
        ends = await self._consumer.end_offsets(places)
        stored = await self._admin.list_consumer_group_offsets(rule.group, partitions=places)
        at = {place: each.offset for place, each in stored.items()}
        return sum(ends[place] - max(0, at.get(place, 0)) for place in places)
