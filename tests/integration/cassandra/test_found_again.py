"""Nodes that are there again, and that the driver does not look for any more."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from perdure.adapters.cassandra import CassandraSettings, CassandraTimerStore, Driver, open_driver
from perdure.adapters.cassandra import driver as driver_module
from perdure.ports.errors import StoreUnavailable
from tests.chaos.proxy import Link, Proxies

pytestmark = pytest.mark.slow

PATIENCE_S = 60
OPTIONS, STARTUP = 0x05, 0x01
SUPPORTED, AUTHENTICATE = 0x06, 0x03


@pytest.fixture
def links(cassandra_settings: CassandraSettings) -> Iterator[tuple[Link, Link]]:
    """Two ways to Cassandra, of which the second is closed."""
    with Proxies() as proxies:
        found = proxies.open(), proxies.open()
        for link in found:
            link.leads_to(cassandra_settings.hosts[0][1])
        found[1].cut()
        yield found


@pytest.fixture
async def opened(
    driver: Driver, links: tuple[Link, Link], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Driver, CassandraTimerStore]]:
    monkeypatch.setattr(driver_module, "RENEW_SECONDS", 2.0)
    hosts = tuple(("127.0.0.1", link.port) for link in links)
    made = await open_driver(replace(driver.settings, hosts=hosts, request_timeout_s=5.0, connect_timeout_s=5.0))
    yield made, CassandraTimerStore(made, "found-again")
    await made.close()


async def is_away(store: CassandraTimerStore) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(StoreUnavailable):
            while True:
                await store.load(0, 0)


async def answers_at_last(store: CassandraTimerStore) -> None:
    """As roles do: asked again until there is an answer."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                assert await store.load(0, 0) == []
                return
            except StoreUnavailable:
                await asyncio.sleep(0.5)


def text(given: str) -> bytes:
    return struct.pack(">H", len(given)) + given.encode()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a node that does not know its users yet: it asks for one, and takes none."""
    try:
        while True:
            _, _, stream, opcode, length = struct.unpack(">BBhBi", await reader.readexactly(9))
            await reader.readexactly(length)
            code, body = {
                OPTIONS: (
                    SUPPORTED,
                    b"\0\2" + text("CQL_VERSION") + b"\0\1" + text("3.4.5") + text("COMPRESSION") + b"\0\0",
                ),
                STARTUP: (AUTHENTICATE, text("an.Authenticator")),
            }[opcode]
            writer.write(struct.pack(">BBhBi", 0x84, 0, stream, code, len(body)) + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def test_a_node_that_refused_its_user_while_it_started_is_found_again(
    opened: tuple[Driver, CassandraTimerStore], links: tuple[Link, Link], cassandra_settings: CassandraSettings
) -> None:
    _, store = opened
    await answers_at_last(store)
    starting = await asyncio.start_server(refuse, "127.0.0.1", 0)
    links[0].leads_to(starting.sockets[0].getsockname()[1])
    links[0].cut()
    await asyncio.to_thread(links[0].passes)
    await is_away(store)
    await asyncio.sleep(4)  # more than the driver's pause before it tries again
    links[0].leads_to(cassandra_settings.hosts[0][1])
    await asyncio.to_thread(links[0].cut)
    await asyncio.to_thread(links[0].passes)
    await answers_at_last(store)
    starting.close()


async def test_nodes_that_are_all_at_other_addresses_are_found_again(
    opened: tuple[Driver, CassandraTimerStore], links: tuple[Link, Link]
) -> None:
    made, store = opened
    await answers_at_last(store)
    first = made.session
    await asyncio.to_thread(links[0].cut)
    await is_away(store)
    await asyncio.to_thread(links[1].passes)
    await answers_at_last(store)
    assert first.is_shutdown or made.session is not first


async def test_a_session_whose_node_is_back_where_it_was_goes_on(
    opened: tuple[Driver, CassandraTimerStore], links: tuple[Link, Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "RENEW_SECONDS", PATIENCE_S)
    made, store = opened
    await answers_at_last(store)
    first = made.session
    await asyncio.to_thread(links[0].cut)
    await is_away(store)
    await asyncio.to_thread(links[0].passes)
    await answers_at_last(store)
    assert made.session is first
