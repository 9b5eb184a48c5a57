"""A cluster with a timer role, and what a test says and sees."""

import asyncio

from perdure.adapters.memory import MemoryBroker, MemoryLog, MemoryTimerStore
from perdure.codec.avro import decode, encode
from perdure.core.effects import CancelTimer, SetTimer
from perdure.core.names import Topics
from perdure.ports.log import Outgoing, TopicSpec
from perdure.roles.timers import TimerService, TimerSettings

from .virtual import VirtualClock

SECOND = 1_000_000


class CountingLog(MemoryLog):
    def __init__(self, broker, client_id="memory"):
        super().__init__(broker, client_id)
        self.appends = []
        self.faults = []

    async def append(self, records):
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None and not fault.writes:
            raise fault.error()
        await super().append(records)
        self.appends.append(list(records))
        if fault is not None:
            raise fault.error()


class CountingStore(MemoryTimerStore):
    def __init__(self):
        super().__init__()
        self.calls = []
        self.put_takes_s = self.load_takes_s = 0.0

    async def load(self, shard, slice_no):
        rows = await super().load(shard, slice_no)
        await asyncio.sleep(self.load_takes_s)
        return rows

    async def put(self, shard, slice_no, timers):
        await super().put(shard, slice_no, timers)
        await asyncio.sleep(self.put_takes_s)
        self.calls.append(("put", slice_no, len(timers)))

    async def remove(self, shard, slice_no, keys):
        await super().remove(shard, slice_no, keys)
        self.calls.append(("remove", slice_no, len(keys)))

    async def drop_slice(self, shard, slice_no, position):
        await super().drop_slice(shard, slice_no, position)
        self.calls.append(("drop", slice_no, 0))

    @property
    def rows(self):
        return {key: dict(held) for key, held in self._slices.items() if held}


class World:
    def __init__(self, partitions=1, settings=None):
        self.clock = VirtualClock()
        self.broker = MemoryBroker(self.clock)
        self.store = CountingStore()
        self.topics = Topics("t")
        self.settings = settings or TimerSettings()
        self.partitions = partitions
        self.log = CountingLog(self.broker, "test")
        self.services = []

    async def open(self):
        names = (self.topics.instances, self.topics.timers, self.topics.dead_letters)
        await self.log.create_topics([TopicSpec(name, self.partitions) for name in names])
        return self

    async def start(self):
        log = CountingLog(self.broker, f"service-{len(self.services)}")
        service = TimerService(log=log, store=self.store, clock=self.clock, topics=self.topics, settings=self.settings)
        service.log = log
        self.services.append(service)
        await service.start()
        return service

    async def crash(self, service):
        service.log.crash()
        await service.abandon()
        await asyncio.sleep(0.001)

    @property
    def now_us(self):
        return self.clock.now_us()

    def request(self, kind, n, fire_at_us, timer_kind="timer", partition=0):
        value = encode(kind(f"1.{partition}.{n}", 0, 1, 1, timer_kind, fire_at_us))
        return Outgoing(self.topics.timers, partition, b"i%d" % n, value)

    async def set(self, n, fire_at_us, timer_kind="timer", partition=0):
        await self.log.append([self.request(SetTimer, n, fire_at_us, timer_kind, partition)])

    async def cancel(self, n, fire_at_us, timer_kind="timer", partition=0):
        await self.log.append([self.request(CancelTimer, n, fire_at_us, timer_kind, partition)])

    async def fired(self):
        """(number, due time, append time in ms) in the order of the log."""
        out = []
        for partition in range(self.partitions):
            for record in await self.log.fetch(self.topics.instances, partition, 0, 100_000):
                command = decode(record.value)
                out.append((int(record.key[1:]), command.fire_at_us, record.timestamp_ms))
        return out

    async def committed(self, partition=0):
        return self.broker.committed("t.timer", self.topics.timers, partition).offset


async def until(fact, deadline_s=600.0):
    """Wait for a fact, by the loop's clock."""
    end = asyncio.get_running_loop().time() + deadline_s
    while not (value := await fact() if asyncio.iscoroutinefunction(fact) else fact()):
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0.01)
    return value
