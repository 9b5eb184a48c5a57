"""What only the memory adapter does: go wrong on demand."""

from __future__ import annotations

import asyncio

import pytest

from perdure.adapters.memory import Fault
from perdure.ports.errors import CommitFailed, CommitUnknown, Fenced, NotAssigned, StoreUnavailable
from perdure.ports.store import Filter, StoredTimer
from tests.conformance.clusters import TOPICS, MemoryCluster
from tests.conformance.facts import Listener, everything, out, row, settle, turn, until, values, within


@pytest.mark.parametrize(
    ("fault", "error", "written"),
    [
        (Fault.FAILED, CommitFailed, []),
        (Fault.UNKNOWN_WRITTEN, CommitUnknown, ["a", "b"]),
        (Fault.UNKNOWN_NOT_WRITTEN, CommitUnknown, []),
    ],
)
async def test_a_commit_fails_as_told_and_kills_its_writer(memory: MemoryCluster, fault, error, written) -> None:
    writer = await memory.log.open_writer("w")
    memory.broker.fail_next("commit", fault)
    await memory.log.append([out("elsewhere", 1)])
    with pytest.raises(error):
        await writer.commit([out("a"), out("b")])
    with pytest.raises(Fenced):
        await writer.commit([out("c")])
    assert values(await everything(memory.log)) == written
    await (await memory.log.open_writer("w")).commit([out("d")])
    assert values(await everything(memory.log)) == [*written, "d"]


@pytest.mark.parametrize("fault", Fault)
async def test_an_append_fails_as_told_and_the_next_one_succeeds(memory: MemoryCluster, fault: Fault) -> None:
    memory.broker.fail_next("append", fault)
    with pytest.raises((CommitFailed, CommitUnknown)):
        await memory.log.append([out("a")])
    await memory.log.append([out("b")])
    assert values(await everything(memory.log)) == (["a", "b"] if fault.writes else ["b"])


async def test_a_fence_makes_a_zombie_of_the_writer(memory: MemoryCluster) -> None:
    writer = await memory.log.open_writer("w")
    memory.broker.fence("w")
    with pytest.raises(Fenced):
        await writer.commit([out("a")])
    assert await everything(memory.log) == []


async def test_a_fence_may_come_between_the_call_and_the_write(memory: MemoryCluster) -> None:
    writer = await memory.log.open_writer("w")
    commit = asyncio.ensure_future(writer.commit([out("a")]))
    await asyncio.sleep(0)
    memory.broker.fence("w")
    with pytest.raises(Fenced):
        await commit
    assert await everything(memory.log) == []


async def test_a_rebalance_revokes_and_assigns_anew(memory: MemoryCluster) -> None:
    listener = Listener()
    membership = await memory.log.join("g", [TOPICS.instances], listener)
    reader = membership.reader(TOPICS.instances, 0)
    memory.broker.rebalance("g")
    await until(lambda: len(listener.told) == 3)
    assert [name for name, _ in listener.told] == ["assigned", "revoked", "assigned"]
    with pytest.raises(NotAssigned):
        await within(reader.read(1))
    await memory.log.append([out("a")])
    assert values(await within(membership.reader(TOPICS.instances, 0).read(1))) == ["a"]


async def test_an_expelled_member_reads_on_untold_and_cannot_commit_until_it_is_revived(memory: MemoryCluster) -> None:
    listener, other = Listener(), Listener()
    membership = await memory.log.join("g", [TOPICS.instances], listener)
    reader = membership.reader(TOPICS.instances, 0)
    memory.broker.expel(membership)
    await memory.client().join("g", [TOPICS.instances], other)
    assert other.owned == (0, 1, 2)
    await memory.log.append([out("a")])
    assert values(await within(reader.read(1))) == ["a"]
    with pytest.raises(NotAssigned):
        await reader.commit(1)
    await settle()
    assert listener.told == [("assigned", (0, 1, 2))]
    memory.broker.revive(membership)
    await until(lambda: len(listener.told) == 3 and len(other.owned) < 3)
    assert listener.told[1] == ("revoked", (0, 1, 2))
    assert sorted(listener.owned + other.owned) == [0, 1, 2]


async def test_an_expelled_member_may_leave(memory: MemoryCluster) -> None:
    listener = Listener()
    membership = await memory.log.join("g", [TOPICS.instances], listener)
    memory.broker.expel(membership)
    await within(membership.leave())
    assert listener.told[-1] == ("revoked", (0, 1, 2))
    memory.broker.revive(membership)
    await settle()
    assert listener.told[-1] == ("revoked", (0, 1, 2))


async def test_offsets_skip_a_number_after_each_transaction(memory: MemoryCluster) -> None:
    writer = await memory.log.open_writer("w")
    await writer.commit([out("a"), out("b")])
    await memory.log.append([out("c")])
    await writer.commit([out("d")])
    assert [record.offset for record in await everything(memory.log)] == [0, 1, 3, 4]
    assert await memory.log.bounds(TOPICS.instances, 0) == (0, 6)


async def test_positions_move_past_the_end_of_a_transaction(memory: MemoryCluster) -> None:
    membership = await memory.log.join("g", [TOPICS.instances], Listener())
    reader = membership.reader(TOPICS.instances, 0)
    await (await memory.log.open_writer("w")).commit([out("a")])
    await within(reader.read(1))
    assert reader.position == (await memory.log.bounds(TOPICS.instances, 0))[1]


async def test_a_store_that_is_unavailable_says_so_and_keeps_what_it_has(memory: MemoryCluster) -> None:
    await memory.store.append(0, 1, 1, [turn(row("a"))])
    await memory.timers.put(0, 0, [StoredTimer(1, "a", "x", b"")])
    memory.store.available = memory.timers.available = False
    for call in (
        memory.store.append(0, 2, 2, [turn(row("b"))]),
        memory.store.load(["a"]),
        memory.store.stored_to(0),
        memory.store.list(Filter(), 1),
        memory.store.stalled(0, 1),
        memory.store.forget_tombstones(1),
        memory.timers.put(0, 0, []),
        memory.timers.load(0, 0),
        memory.timers.remove(0, 0, []),
        memory.timers.drop_slice(0, 0, 0),
        memory.timers.slices(0, 0),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    memory.store.available = memory.timers.available = True
    assert set(await memory.store.load(["a", "b"])) == {"a"}
    assert await memory.store.stored_to(0) == 1
    assert len(await memory.timers.load(0, 0)) == 1
