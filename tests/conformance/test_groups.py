"""Groups: who owns a partition, and what a member is told."""

from __future__ import annotations

import asyncio

import pytest

from perdure.ports.errors import Fenced, NotAssigned
from tests.conformance.clusters import PARTITIONS, TOPICS, Cluster
from tests.conformance.facts import Listener, out, settle, until, values, within

BOTH = [TOPICS.instances, TOPICS.history]
ALL = tuple(range(PARTITIONS))


async def test_join_returns_when_the_first_assignment_was_delivered(cluster: Cluster) -> None:
    listener = Listener()
    await cluster.log.join("g", BOTH, listener)
    assert listener.told == [("assigned", ALL)]


async def test_members_share_the_partitions_and_each_has_one_owner(cluster: Cluster) -> None:
    listeners = [Listener() for _ in range(3)]
    for listener in listeners:
        await cluster.client().join("g", BOTH, listener)
    await until(lambda: sorted(p for listener in listeners for p in listener.owned) == list(ALL))
    assert [len(listener.owned) for listener in listeners] == [1, 1, 1]


async def test_a_member_too_many_is_told_of_an_empty_assignment(cluster: Cluster) -> None:
    listeners = [Listener() for _ in range(PARTITIONS + 1)]
    for listener in listeners:
        await within(cluster.client().join("g", BOTH, listener))
    assert listeners[-1].told[0] == ("assigned", ())


async def test_a_partition_moves_only_after_its_owner_has_let_go(cluster: Cluster) -> None:
    old, new = Listener(), Listener()
    membership = await cluster.log.join("g", BOTH, old)
    old.hold.clear()
    joining = asyncio.ensure_future(cluster.client().join("g", BOTH, new))
    await until(lambda: ("revoked", ALL) in old.told)
    await settle()
    assert new.told == []
    await membership.reader(TOPICS.instances, 0).commit(5)  # still the owner's: it may finish its work
    old.hold.set()
    await within(joining)
    await until(lambda: len(old.told) == 3)
    assert sorted(old.owned + new.owned) == list(ALL)


async def test_who_stays_keeps_what_it_had(cluster: Cluster) -> None:
    listeners = [Listener() for _ in range(2)]
    for listener in listeners:
        await cluster.client().join("g", BOTH, listener)
    await until(lambda: sorted(p for listener in listeners for p in listener.owned) == list(ALL))
    before = [set(listener.owned) for listener in listeners]
    third = Listener()
    await cluster.client().join("g", BOTH, third)
    await until(lambda: all(len(listener.owned) == 1 for listener in [*listeners, third]))
    assert all(set(listener.owned) <= had for listener, had in zip(listeners, before, strict=True))


async def test_all_topics_of_a_membership_are_co_partitioned(cluster: Cluster) -> None:
    listeners = [Listener() for _ in range(2)]
    memberships = [await cluster.client().join("g", BOTH, listener) for listener in listeners]
    await until(lambda: sorted(p for listener in listeners for p in listener.owned) == list(ALL))
    for partition in ALL:
        owners = []
        for membership in memberships:
            try:
                membership.reader(TOPICS.instances, partition)
                membership.reader(TOPICS.history, partition)
                owners.append(membership)
            except NotAssigned:
                with pytest.raises(NotAssigned):
                    membership.reader(TOPICS.history, partition)
        assert len(owners) == 1


async def test_leaving_is_told_and_hands_everything_to_the_others(cluster: Cluster) -> None:
    stays, goes = Listener(), Listener()
    await cluster.log.join("g", BOTH, stays)
    membership = await cluster.client().join("g", BOTH, goes)
    had = goes.owned
    await within(membership.leave())
    assert goes.told[-1] == ("revoked", had)
    await until(lambda: stays.owned == ALL)
    await within(membership.leave())
    assert goes.told[-1] == ("revoked", had)
    with pytest.raises(NotAssigned):
        membership.reader(TOPICS.instances, had[0])


async def test_a_listener_may_leave_in_the_middle_of_its_call(cluster: Cluster) -> None:
    class Leaver(Listener):
        async def on_revoked(self, partitions) -> None:
            await super().on_revoked(partitions)
            await membership.leave()

    leaver, other = Leaver(), Listener()
    membership = await cluster.log.join("g", BOTH, leaver)
    await within(cluster.client().join("g", BOTH, other))
    await until(lambda: other.owned == ALL)


async def test_closing_a_log_leaves_its_groups(cluster: Cluster) -> None:
    stays, goes = Listener(), Listener()
    await cluster.log.join("g", BOTH, stays)
    client = cluster.client()
    await client.join("g", BOTH, goes)
    await within(client.close())
    assert goes.told[-1][0] == "revoked"
    await until(lambda: stays.owned == ALL)


async def test_a_member_that_does_not_answer_is_thrown_out_and_cannot_commit(cluster: Cluster) -> None:
    cluster.shorten_sessions(0.1)
    stuck, other = Listener(), Listener()
    membership = await cluster.log.join("g", BOTH, stuck)
    reader = membership.reader(TOPICS.instances, 0)
    writer = await cluster.log.open_writer("owner-0")
    stuck.hold.clear()
    await within(cluster.client().join("g", BOTH, other))
    await until(lambda: other.owned == ALL)
    with pytest.raises(NotAssigned, match="another member"):
        await reader.commit(1)
    await (await cluster.client().open_writer("owner-0")).commit([out("new owner")])
    with pytest.raises(Fenced):
        await writer.commit([out("zombie")])
    stuck.hold.set()
    await until(lambda: len(stuck.owned) + len(other.owned) == PARTITIONS and bool(stuck.owned))


async def test_leaving_does_not_wait_for_ever_for_a_listener_that_hangs(cluster: Cluster) -> None:
    cluster.shorten_sessions(0.1)
    stuck = Listener()
    client = cluster.client()
    await client.join("g", BOTH, stuck)
    stuck.hold.clear()
    await within(cluster.log.join("g", BOTH, Listener()))
    await within(client.close())


async def test_a_listener_that_fails_does_not_stop_its_group(cluster: Cluster) -> None:
    class Failing(Listener):
        async def on_revoked(self, partitions) -> None:
            raise RuntimeError("a bug of the listener")

    other = Listener()
    await cluster.log.join("g", BOTH, Failing())
    await within(cluster.client().join("g", BOTH, other))
    await until(lambda: len(other.owned) > 0)


async def test_a_join_that_is_cancelled_leaves_no_member_behind(cluster: Cluster) -> None:
    holder, given_up = Listener(), Listener()
    await cluster.log.join("g", BOTH, holder)
    holder.hold.clear()
    joining = asyncio.ensure_future(cluster.client().join("g", BOTH, given_up))
    await until(lambda: ("revoked", ALL) in holder.told)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    holder.hold.set()
    await until(lambda: holder.owned == ALL)
    assert given_up.told == []


async def test_groups_are_independent(cluster: Cluster) -> None:
    one, other = Listener(), Listener()
    await cluster.log.join("one", BOTH, one)
    await cluster.log.join("other", [TOPICS.instances], other)
    assert one.owned == other.owned == ALL


async def test_members_of_a_group_read_the_same_topics(cluster: Cluster) -> None:
    await cluster.log.join("g", BOTH, Listener())
    with pytest.raises(ValueError, match=r"test\.instances, test\.history"):
        await cluster.client().join("g", [TOPICS.instances], Listener())


async def test_a_crashed_member_is_succeeded(cluster: Cluster) -> None:
    membership = await cluster.log.join("g", BOTH, Listener())
    await cluster.log.append([out("a"), out("b")])
    reader = membership.reader(TOPICS.instances, 0)
    await within(reader.read(1))
    await reader.commit(reader.position)
    await cluster.crash()
    successor = Listener()
    membership = await within(cluster.log.join("g", BOTH, successor))
    assert successor.owned == ALL
    assert values(await within(membership.reader(TOPICS.instances, 0).read(9))) == ["b"]


async def test_many_members_come_and_go_and_every_partition_ends_with_one_owner(cluster: Cluster) -> None:
    listeners = [Listener() for _ in range(5)]
    memberships = await within(asyncio.gather(*(cluster.client().join("g", BOTH, listener) for listener in listeners)))
    leaving = [asyncio.ensure_future(membership.leave()) for membership in memberships[::2]]
    late = Listener()
    await within(cluster.client().join("g", BOTH, late))
    await within(asyncio.gather(*leaving))
    present = [*listeners[1::2], late]
    await until(lambda: sorted(p for listener in present for p in listener.owned) == list(ALL))
    assert all(listener.owned == () for listener in listeners[::2])
