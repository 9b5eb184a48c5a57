"""Brokers that all come back at other addresses. The ones that a process was given lead to them; those it knew do not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perdure.ports.errors import LogUnavailable
from tests.brokers.private import PrivateBroker, private_kafka
from tests.chaos.proxy import Link, Proxies
from tests.integration.kafka.clusters import KafkaCluster
from tests.integration.kafka.under_load import PATIENCE_S, Load

pytestmark = [pytest.mark.brokers, pytest.mark.slow]

AWAY_S = 4  # longer than a session of its members


@pytest.fixture
def links() -> Iterator[tuple[Link, Link]]:
    with Proxies() as proxies:
        yield proxies.open(), proxies.open()


@pytest.fixture
def broker(links: tuple[Link, Link], tmp_path: Path) -> Iterator[PrivateBroker]:
    with private_kafka(tmp_path, advertised=[link.port for link in links]) as made:
        for door, port in made.doors.items():
            next(link for link in links if link.port == port).leads_to(door)
        yield made


async def when_serving(cluster: KafkaCluster) -> None:
    """A node's doors may open a moment after it serves."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await cluster.create_topics()
                return
            except LogUnavailable:
                await asyncio.sleep(0.2)


async def test_a_process_finds_brokers_that_are_all_elsewhere(
    broker: PrivateBroker, links: tuple[Link, Link], namespace: str
) -> None:
    before, after = links
    await asyncio.to_thread(after.cut)
    cluster = KafkaCluster(f"127.0.0.1:{before.port}", namespace)
    servers = tuple(f"127.0.0.1:{link.port}" for link in links)
    cluster.settings = replace(cluster.settings, servers=servers, metadata_age_ms=1_000, answer_timeout_ms=3_000)
    await cluster.open()
    await when_serving(cluster)
    load = Load(cluster.log)
    await load.start()
    await load.everything_moves()
    await asyncio.to_thread(before.cut)
    await asyncio.sleep(AWAY_S)
    await asyncio.to_thread(after.passes)
    try:
        await load.everything_moves()
        await load.stop()
    finally:
        await load.abandon()
        await cluster.close_clients()
