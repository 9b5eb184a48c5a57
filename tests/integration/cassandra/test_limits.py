"""A node whose limits are lower than what the engine writes is named, with what they have to be."""

from __future__ import annotations

import os

import pytest
from cassandra import InvalidRequest, Unauthorized

from perdure.adapters.cassandra import Driver, check_limits
from perdure.adapters.cassandra import limits as limits_module
from perdure.adapters.cassandra.batches import BATCH_BYTES_MAX
from perdure.core.limits import RECORD_BYTES_MAX
from tests.integration.cassandra.clusters import CassandraCluster

NODE = "127.0.0.1:9042"


async def test_what_cassandra_comes_with_fits(driver: Driver) -> None:
    assert await check_limits(driver) == ([], [])


async def test_the_settings_that_are_compared_are_those_of_the_node(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nothing would ever be found: every name is asked for something that no node has."""
    above = [rule._replace(least=1 << 40) for rule in limits_module.OTHERS]
    monkeypatch.setattr(limits_module, "OTHERS", above)
    monkeypatch.setattr(limits_module, "MUTATION", limits_module.MUTATION._replace(least=1 << 40))
    wrong, _ = await check_limits(driver)
    named = [fault.split(": ")[1].split(" is ")[0] for fault in wrong]
    assert named == ["max_mutation_size", *(rule.name for rule in above if not rule.name.startswith("column_"))]


async def test_the_largest_row_is_taken_by_what_fits(cluster: CassandraCluster) -> None:
    blob = os.urandom(RECORD_BYTES_MAX)
    requests = cluster.driver.requests()
    key = (cluster.namespace, "i" * 512, "0.0.0", 0, 0, 1)
    await requests.write([requests.bound("put_history", *key, 1, 1, blob, 1)])
    rows = await requests.read("get_history", *key[:4], 0)
    assert [blob in row for row in rows] == [True]


async def test_a_batch_of_one_partition_may_be_larger_than_the_limit_of_batches(cluster: CassandraCluster) -> None:
    """So `batch_size_fail_threshold` is compared with batches of several only."""
    requests = cluster.driver.requests()
    rows = [
        requests.bound("put_visible", cluster.namespace, 1, 1, -number, f"i{number}", "n" * 1024, "RUNNING", 1)
        for number in range(100)
    ]
    assert len(rows) * 1024 > 50 * 1024 > BATCH_BYTES_MAX
    await requests.write([requests.batch(rows)])


@pytest.mark.parametrize("error", [Unauthorized("no SELECT"), InvalidRequest("unconfigured table settings")])
async def test_who_may_not_read_the_settings_is_told_so_and_goes_on(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(driver.session, "execute", refuse)
    wrong, notes = await check_limits(driver)
    assert wrong == []
    assert ["could not be read and were not checked" in note for note in notes] == [True]
    assert str(error) in notes[0]
