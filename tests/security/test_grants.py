"""Cassandra's grants: what each role does there fails by name without any one of them.

That a role does this and nothing else is seen in test_rights, by Cassandra's own audit log of a day.
"""

from __future__ import annotations

import asyncio
import itertools
import os

import pytest

from perdure.adapters.cassandra import CassandraHistoryStore, CassandraTimerStore, create_schema, open_driver
from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import EPOCH_SHIFT, Filter, Resting, StoredTimer, StoredTurn
from perdure.services.grants import grants_of
from perdure.services.restoration import ACTIVE
from tests.conformance.facts import event, row
from tests.security.grants import grants_in

pytestmark = pytest.mark.slow

SECONDS = 20.0
"""For one grant: Cassandra remembers it for 20 ms (tests/brokers/secured.py)."""
TIME_END_US = 1 << 50


@pytest.fixture(scope="module")
def keyspace(brokers):
    """With its tables, and every grant of the plan; made by somebody who may make tables in it and nothing else."""
    name = f"t{os.getpid()}x{os.urandom(3).hex()}"
    statements = grants_of(name)
    brokers.make_roles("nobody", *{each.role for each in grants_in(statements)})
    brokers.statements(
        f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
        f"GRANT CREATE ON KEYSPACE {name} TO nobody",
    )
    asyncio.run(create_schema(brokers.cassandra_settings("nobody", name), {"": 1}))
    brokers.statements(*(each for each in statements if "bootstrap" not in each))
    return name


async def test_who_may_create_in_somebody_elses_keyspace_has_made_its_tables(brokers, keyspace):
    driver = await open_driver(brokers.cassandra_settings("nobody", keyspace))
    await driver.close()


async def test_who_may_create_no_keyspace_and_was_given_none_is_refused_by_name(brokers, keyspace):
    with pytest.raises(StoreUnavailable, match=r"does not let user 'nobody' do this: .* no CREATE permission on <all"):
        await create_schema(brokers.cassandra_settings("nobody", f"{keyspace}b"), {"": 1})


class Doing:
    """What one role does, over a session of its own. Each time with an instance and a timer of its own."""

    def __init__(self, brokers, keyspace, role):
        self.settings = brokers.cassandra_settings(role, keyspace)
        self.role = role
        self.does = getattr(self, role.replace("-", "_"))
        self.driver = None
        self._numbers = itertools.count(1)

    async def said(self):
        """By what it was refused; "" if it was not."""
        try:
            if self.driver is None:
                self.driver = await open_driver(self.settings)
            await self.does(next(self._numbers))
        except StoreUnavailable as error:
            return str(error)
        return ""

    async def starts_anew(self):
        if self.driver is not None:
            await self.driver.close()
        self.driver = None

    @property
    def store(self):
        return CassandraHistoryStore(self.driver, "ns")

    async def orchestrator(self, number):
        store, instance_id = self.store, f"instance-{number}"
        await store.stored_to(0)
        await store.resting(0)
        live = row(instance_id, f"0.0.{number}", last_seq=1, status="STALLED")
        await store.append(0, 2 * number, 2 * number, [StoredTurn(live, [event(live, 1)])])
        await store.load([instance_id])
        await store.stalled(0, 10)
        await store.list(Filter(), 10)
        gone = row(instance_id, live.run, last_seq=2, status="PURGED")
        await store.append(0, 2 * number + 1, 2 * number + 1, [StoredTurn(gone)])
        await store.rest(0, 0, Resting(2 * number + 1, b"", 0, 0))
        await store.forget_tombstones(1 << 33)

    async def timer(self, number):
        store, identity = CassandraTimerStore(self.driver, "ns"), f"timer-{number}"
        await store.put(0, number, [StoredTimer(1, "i", identity, b"", number)])
        await store.slices(0, number)
        await store.load(0, number)
        await store.remove(0, number, [("i", identity, number)])
        await store.drop_slice(0, number, number)

    async def gateway(self, number):
        await self.store.stored_to(0)
        await self.store.load(["kept"])
        await self.store.list(Filter(), 10)

    async def grow(self, number):
        await self.store.stored_to(1)
        await self.store.resting(1)
        await self.store.append(1, number, 1 << EPOCH_SHIFT | number, [])

    async def restore(self, number):
        await self.store.list(Filter(statuses=ACTIVE), 10)

    async def activity_worker(self, number):
        """It has opened the stores, and asks nothing of them."""

    subscriber = activity_worker


async def test_without_any_one_of_its_grants_a_role_is_refused_by_name(brokers, keyspace):
    grants = grants_in(grants_of(keyspace))
    doings = {role: Doing(brokers, keyspace, role) for role in sorted({each.role for each in grants})}
    with brokers.cassandra_admin() as admin:
        assert await doings["orchestrator"].said() == ""
        kept = row("kept", "0.0.9", last_seq=1)
        await doings["orchestrator"].store.append(0, 9, 9, [StoredTurn(kept, [event(kept, 1)])])
        async with asyncio.TaskGroup() as all_at_once:
            for role, doing in doings.items():
                mine = [each for each in grants if each.role == role]
                all_at_once.create_task(_each_taken_away(doing, mine, keyspace, admin))
        for each in doings.values():
            await each.starts_anew()


async def _each_taken_away(doing, grants, keyspace, admin):
    """The one before is given back while the next is missing: what is said names that, once Cassandra's cache is over."""
    assert await doing.said() == ""
    for grant in grants:
        admin.execute(grant.taking(keyspace))
        try:
            async with asyncio.timeout(SECONDS):
                said = await _refused_without(doing, grant, keyspace)
        except TimeoutError:
            pytest.fail(f"not needed: {grant}")
        assert f"does not let user {doing.role!r} do this: give it the grants that `perdure bootstrap --print`" in said
        admin.execute(grant.giving(keyspace))
    async with asyncio.timeout(SECONDS):
        while await doing.said():
            pass


async def _refused_without(doing, grant, keyspace):
    reason = f"{doing.role} has no {grant.right} permission on <table {keyspace}.{grant.table}>"
    while True:
        if grant.table == "schema_versions":
            await doing.starts_anew()  # nobody looks at it later
        said = await doing.said()
        if reason in said:
            return said
