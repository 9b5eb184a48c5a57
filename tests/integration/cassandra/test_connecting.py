"""Starts that fail say why, by name, and without secrets."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace

import pytest
from cassandra import AuthenticationFailed, InvalidRequest, OperationTimedOut, Unauthorized, Unavailable
from cassandra.cluster import NoHostAvailable

from perdure.adapters.cassandra import (
    CassandraHistoryStore,
    CassandraSecurity,
    CassandraSettings,
    Driver,
    create_schema,
    keyspace_statement,
    open_driver,
    parse_address,
)
from perdure.adapters.cassandra.connecting import reactor
from perdure.adapters.cassandra.errors import unavailable
from perdure.ports.errors import PortError, StoreUnavailable
from tests.conformance.facts import row, turn

SETTINGS = CassandraSettings(
    (("db", 9042),), "shop", security=CassandraSecurity("ann", "p4ss", key_password="k3y", tls=True)
)


def test_addresses_are_read() -> None:
    assert parse_address("cassandra://a:1,b:2/shop") == ((("a", 1), ("b", 2)), "shop")
    assert parse_address("cassandra://a/shop") == ((("a", 9042),), "shop")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("kafka://a/shop", "no address of Cassandra"),
        ("cassandra://a", "no keyspace"),
        ("cassandra://a/Shop-1", "no keyspace"),
        ("cassandra://a:x/shop", "no host:port"),
        ("cassandra:///shop", "no host:port"),
        ("cassandra://ann:p4ss@a/shop", "no user and no password"),
        ("cql://ann:p4ss@a/shop", "no address of Cassandra"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_secrets(address: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        parse_address(address)
    assert "p4ss" not in str(refused.value)


def test_settings_show_no_secret() -> None:
    assert "p4ss" not in repr(SETTINGS)
    assert "k3y" not in repr(SETTINGS)


def test_a_consistency_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="LOCAL_QUORUM"):
        replace(SETTINGS, consistency="TWO-ISH")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NoHostAvailable("x", {"db": ConnectionRefusedError()}), "cannot be reached"),
        (NoHostAvailable("x", {"db": AuthenticationFailed("bad")}), "refused user 'ann'"),
        (Unavailable("x", 6, 2, 1), "too few live replicas for LOCAL_QUORUM"),
        (OperationTimedOut(), "did not answer within 5 s"),
        (Unauthorized("no"), "does not let user 'ann'"),
        (InvalidRequest("no table"), "bootstrap"),
    ],
)
def test_a_failure_is_told_with_what_to_do(error: Exception, says: str) -> None:
    told = unavailable(SETTINGS, error)
    assert says in str(told)
    assert "db:9042" in str(told)
    assert "p4ss" not in str(told)


def test_a_driver_without_libev_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cassandra.io.libevreactor", None)
    monkeypatch.delitem(sys.modules, "perdure.adapters.cassandra.connection", raising=False)
    with pytest.raises(PortError, match="libev"):
        reactor()


def test_replication_is_by_data_centre() -> None:
    assert "'NetworkTopologyStrategy', 'east': 3" in keyspace_statement("shop", {"east": 3})
    with pytest.raises(ValueError, match="data centre"):
        keyspace_statement("shop", {"ea'st": 3})


async def test_a_name_that_stands_for_no_address_is_told() -> None:
    settings = CassandraSettings((("nobody.invalid", 9042),), "shop", connect_timeout_s=2)
    with pytest.raises(StoreUnavailable, match="names that stand for no address"):
        await open_driver(settings)


async def test_nobody_at_the_address_is_told() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: refused at once
        settings = CassandraSettings((held.getsockname(),), "shop", connect_timeout_s=2)
        with pytest.raises(StoreUnavailable, match="cannot be reached: check PERDURE_STORE"):
            await open_driver(settings)


async def test_a_keyspace_without_tables_is_refused(driver: Driver) -> None:
    with pytest.raises(PortError, match=r"version 0 .*perdure bootstrap"):
        await open_driver(replace(driver.settings, keyspace="nothing_here"))


async def test_a_keyspace_of_a_newer_version_is_refused(driver: Driver) -> None:
    table = f"{driver.settings.keyspace}.schema_versions"
    driver.session.execute(f"INSERT INTO {table} (component, version) VALUES ('store', 99)")
    try:
        with pytest.raises(PortError, match=r"version 99, and this Perdure knows .*: upgrade"):
            await open_driver(driver.settings)
    finally:
        driver.session.execute(f"DELETE FROM {table} WHERE component = 'store' AND version = 99")


async def test_making_the_schema_again_changes_nothing(driver: Driver, namespace: str) -> None:
    store = CassandraHistoryStore(driver, namespace)
    await store.append(0, 1, 1, [turn(row("a", last_seq=1), 1)])
    await create_schema(driver.settings, {"": 1})
    assert "a" in await store.load(["a"])


async def test_an_interrupted_bootstrap_is_finished_by_the_next(driver: Driver, namespace: str) -> None:
    """As if it had died after the tables and before the version."""
    driver.session.execute(f"DELETE FROM {driver.settings.keyspace}.schema_versions WHERE component = 'store'")
    with pytest.raises(PortError, match="bootstrap"):
        await open_driver(driver.settings)
    await create_schema(driver.settings, {"": 1})
    await (await open_driver(driver.settings)).close()


async def test_a_store_that_is_gone_is_told_by_every_call(driver: Driver, namespace: str) -> None:
    other = await open_driver(driver.settings)
    store = CassandraHistoryStore(other, namespace)
    await store.append(0, 1, 1, [turn(row("a", last_seq=1), 1)])
    await other.close()
    for call in (store.load(["a"]), store.stored_to(0), store.append(0, 2, 2, [turn(row("a", last_seq=2), 2)])):
        with pytest.raises(StoreUnavailable, match="Cassandra at"):
            await call


async def test_a_request_that_takes_too_long_is_told(driver: Driver, namespace: str) -> None:
    hasty = await open_driver(driver.settings)
    hasty.session.cluster.profile_manager.default.request_timeout = 0.000_001
    with pytest.raises(StoreUnavailable, match="did not answer within"):
        await CassandraHistoryStore(hasty, namespace).append(0, 1, 1, [turn(row(f"i{n}")) for n in range(50)])
    await hasty.close()
