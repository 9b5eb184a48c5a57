"""Services over a broker in memory: the app they run, and the processes a test has begun."""

import asyncio
import threading

import httpx

import perdure as wf
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import memory_ports, topic_specs
from perdure.codec.avro import encode
from perdure.core.effects import CancelTimer
from perdure.core.names import Topics
from perdure.ports.log import Outgoing, TopicSpec
from perdure.roles.subscriptions.register import add
from perdure.roles.subscriptions.subscription import subscription_of
from perdure.services.layout import Layout, layout_topic, record_layout
from perdure.services.process import Process
from perdure.services.settings import ServiceSettings
from tests.services.reading import MemoryGroups

TOPICS = Topics("perdure")
SECONDS = 30

app = wf.App()
held = threading.Event()
running = threading.Event()


@app.activity
def double(ctx, number):
    return number * 2


@app.activity
def hold(ctx, number):
    running.set()
    held.wait(SECONDS)
    return number


@app.workflow
def doubled(ctx, number):
    return (yield ctx.call_activity(double, input=number))


@app.workflow
def holding(ctx, number):
    return (yield ctx.call_activity(hold, input=number))


class World:
    """A broker in memory, bootstrapped, and the processes on it."""

    def __init__(self, **given):
        self.ports = memory_ports(SystemClock(), SystemEntropy())
        self.settings = ServiceSettings(health_port=0, **given)
        self.told = {}
        self._tasks = []

    async def bootstrap(self, partitions=2):
        ones = [TopicSpec(layout_topic(TOPICS), 1), TopicSpec(TOPICS.subscriptions, 1)]
        await self.ports.log.create_topics([*topic_specs(TOPICS, partitions), *ones])
        await record_layout(self.ports.log, TOPICS, Layout(partitions))

    async def open_ports(self, settings, role, owner):
        made = memory_ports(SystemClock(), SystemEntropy(), beside=self.ports)
        made.groups = MemoryGroups(self.ports.log)
        return made

    def process(self, role, **options):
        ready = asyncio.Event()

        def announce(told):
            self.told[role] = told
            ready.set()

        made = Process(role, app, self.settings, announce=announce, **{"open_ports": self.open_ports, **options})
        made.ready = ready
        made.ending = asyncio.ensure_future(made.run())
        self._tasks.append(made)
        return made

    async def up(self, role, **options):
        made = self.process(role, **options)
        waiting = asyncio.ensure_future(made.ready.wait())
        await asyncio.wait({waiting, made.ending}, timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if made.ending.done():
            made.ending.result()
        assert made.ready.is_set()
        return made

    async def write_to_timers(self):
        """Something that a timer service would read in every shard; harmless."""
        value = encode(CancelTimer("0.0.0", 0, 1, 1, "timer", 0))
        await self.ports.log.append([Outgoing(TOPICS.timers, number, b"nobody", value) for number in range(2)])

    async def subscribe(self):
        """A message that becomes a start, one that becomes an event, one that is passed over; returns when they have."""
        log = self.ports.log
        await log.create_topics([TopicSpec("numbers", 1)])
        ours = [
            subscription_of(
                "s", {"topic": "numbers", "workflow": "doubled", "instance_id": "key", "when": "value < `5`"}
            ),
            subscription_of("e", {"topic": "numbers", "event": "heard", "instance_id": "key"}),
        ]
        await add(log, TOPICS, ours)
        await log.append([Outgoing("numbers", 0, b"n1", b"1"), Outgoing("numbers", 0, b"n9", b"9")])
        url = self.told["subscriber"]["probes"]
        async with asyncio.timeout(SECONDS):
            while 'passed_over_total{subscription="s"} 1.0' not in (text := (await asked(url, "/metrics")).text) or (
                'raised_total{subscription="e"} 2.0' not in text
            ):
                await asyncio.sleep(0.01)

    async def close(self):
        for made in self._tasks:
            made.stop()
        if self._tasks:
            await asyncio.wait([made.ending for made in self._tasks], timeout=SECONDS)
        for made in self._tasks:
            made.ending.exception()
        await self.ports.close()


async def asked(url, path):
    async with httpx.AsyncClient(timeout=SECONDS) as http:
        return await http.get(f"{url}{path}")
