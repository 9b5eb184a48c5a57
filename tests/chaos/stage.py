"""Kafka and Cassandra of one's own, and lanes to them: each service process speaks to both through proxies of its own.

Kafka tells its clients where to connect, so it listens once for each lane and tells there that lane's proxy. Clients of
Cassandra keep to the port they were given. Who watches uses neither: the brokers' own ports.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from tests.brokers.private import private_cassandra, private_kafka
from tests.chaos.proxy import Link, Proxies

LANES = 12
"""Processes at one time: six, as many again that take their places, and none to spare for a leak."""


@dataclass(eq=False)
class Lane:
    kafka: Link
    cassandra: Link

    @property
    def links(self):
        return {"kafka": self.kafka, "cassandra": self.cassandra}


class Stage:
    """A context manager: `kafka`, `cassandra` (private brokers), `lanes`."""

    def __init__(self, folder):
        self._folder = folder
        self._closing = ExitStack()

    def __enter__(self):
        with ExitStack() as opened:
            proxies = opened.enter_context(Proxies())
            self.lanes = [Lane(proxies.open(), proxies.open()) for _ in range(LANES)]
            ports = [lane.kafka.port for lane in self.lanes]
            # A node that was killed is taken back only when its session has ended: 4 s instead of 9.
            self.kafka = private_kafka(self._folder, advertised=ports, broker_session_timeout_ms="4000")
            self.cassandra = private_cassandra(self._folder)
            with ThreadPoolExecutor(2) as pool:
                for entered in [pool.submit(opened.enter_context, each) for each in (self.kafka, self.cassandra)]:
                    entered.result()
            inside = {told: listened for listened, told in self.kafka.doors.items()}
            for lane in self.lanes:
                lane.kafka.leads_to(inside[lane.kafka.port])
                lane.cassandra.leads_to(self.cassandra.port)
            self._closing = opened.pop_all()
        return self

    def __exit__(self, *_):
        self._closing.close()

    def broker(self, name):
        return {"kafka": self.kafka, "cassandra": self.cassandra}[name]

    def links_to(self, name):
        return [lane.links[name] for lane in self.lanes]
