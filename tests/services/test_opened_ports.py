"""A process's way to both clusters: each is given back whatever the other one does, and the store's limits are asked."""

import asyncio
from types import SimpleNamespace

import pytest

from perdure import assembly
from perdure.adapters import cassandra
from perdure.services.process import Process
from perdure.services.settings import ServiceSettings, read_settings
from perdure.workflow.app import App

SECONDS = 30


class Clusters:
    """Fakes of both. `kafka_answers`: until then its close does not end."""

    def __init__(self, monkeypatch):
        self.kafka_answers = asyncio.Event()
        self.closed = []
        monkeypatch.setattr(assembly, "kafka_log", self._open_kafka)
        monkeypatch.setattr(cassandra, "open_driver", self._open_cassandra)
        monkeypatch.setattr(cassandra, "CassandraHistoryStore", lambda *_: None)
        monkeypatch.setattr(cassandra, "CassandraTimerStore", lambda *_: None)

    async def _open_kafka(self, *_):
        return SimpleNamespace(close=self._close_kafka, groups=None)

    async def _open_cassandra(self, *_):
        return SimpleNamespace(close=self._close_cassandra)

    async def _close_kafka(self):
        await self.kafka_answers.wait()
        self.closed.append("kafka")

    async def _close_cassandra(self):
        self.closed.append("cassandra")


@pytest.fixture
def clusters(monkeypatch):
    return Clusters(monkeypatch)


async def test_cassandra_is_closed_though_kafka_does_not_answer(clusters):
    """As the process does it: it waits for a bounded time, and shorter than Kafka's client may take."""
    ports = await assembly.kafka_cassandra_ports(read_settings(), "timer", "t")
    process = Process("timer", App(), ServiceSettings(health_port=0), announce=lambda _: None)
    await asyncio.wait_for(process._bounded(ports.close(), 0.05, "connections were not closed in time"), SECONDS)
    assert clusters.closed == ["cassandra"]


async def test_both_are_closed_before_a_close_ends(clusters):
    ports = await assembly.kafka_cassandra_ports(read_settings(), "timer", "t")
    clusters.kafka_answers.set()
    await asyncio.wait_for(ports.close(), SECONDS)
    assert sorted(clusters.closed) == ["cassandra", "kafka"]


async def test_the_limits_that_are_compared_are_those_of_the_cassandra_that_was_opened(clusters, monkeypatch):
    asked = []

    async def check_limits(driver):
        asked.append(driver)
        return ["too low"], []

    monkeypatch.setattr(cassandra, "check_limits", check_limits)
    ports = await assembly.kafka_cassandra_ports(read_settings(), "timer", "t")
    assert await ports.store_limits() == (["too low"], [])
    await asyncio.wait_for(asked[0].close(), SECONDS)
    assert clusters.closed == ["cassandra"]


@pytest.mark.parametrize("role", ["orchestrator", "timer"])
async def test_an_orchestrator_has_the_schema_registry_that_is_set_and_gives_it_back(clusters, environment, role):
    environment.setenv("PERDURE_SCHEMA_REGISTRY", "http://127.0.0.1:8081")
    clusters.kafka_answers.set()
    ports = await assembly.kafka_cassandra_ports(read_settings(), role, "t")
    assert (ports.registry is not None) == (role == "orchestrator")
    await asyncio.wait_for(ports.close(), SECONDS)
    if ports.registry is not None:
        assert ports.registry._http.is_closed
