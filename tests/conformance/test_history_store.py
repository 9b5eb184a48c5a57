"""The history store: rows and events as they were appended last."""

from __future__ import annotations

import pytest

from perdure.core.events import CarriedChild
from perdure.core.rows import InstanceRow
from perdure.ports.errors import HistoryDamaged
from perdure.ports.store import Filter, Resting
from tests.conformance.clusters import Cluster
from tests.conformance.facts import Histories, event, row, turn


def seqs(stored) -> list[int]:
    return [event.seq for event in stored.events]


async def load(cluster: Cluster, instance_id: str = "a"):
    return (await cluster.store.load([instance_id])).get(instance_id)


async def test_a_turn_is_loaded_as_it_was_appended(cluster: Cluster) -> None:
    given = row("a", last_seq=2, input='"é"', command_ids=["c1", "c2"], parent_id="p")
    given.children = [CarriedChild("c", 0, 1)]
    await Histories(cluster).write(turn(given, 1, 2))
    for again in (cluster.crash, cluster.reopen):
        stored = await load(cluster)
        assert stored.row == given
        assert stored.events == [event(given, 1), event(given, 2)]
        await again()


async def test_later_turns_add_their_events(cluster: Cluster) -> None:
    histories = Histories(cluster)
    await histories.write(turn(row("a", last_seq=2), 1, 2))
    await histories.write(turn(row("a", last_seq=3, status="COMPLETED"), 3))
    stored = await load(cluster)
    assert (stored.row.status, seqs(stored)) == ("COMPLETED", [1, 2, 3])


async def test_instances_do_not_mix(cluster: Cluster) -> None:
    histories = Histories(cluster)
    await histories.write(turn(row("a", last_seq=1), 1), turn(row("ab", last_seq=2), 1, 2), turn(row("", last_seq=0)))
    await histories.write(turn(row("é", last_seq=1), 1))
    stored = await cluster.store.load(["a", "ab", "é", "never"])
    assert {name: seqs(found) for name, found in stored.items()} == {"a": [1], "ab": [1, 2], "é": [1]}


async def test_many_instances_are_loaded_at_once(cluster: Cluster) -> None:
    rows = [row(f"i{number}", last_seq=1) for number in range(600)]
    await Histories(cluster).write(*(turn(of, 1) for of in rows))
    stored = await cluster.store.load([of.instance_id for of in rows])
    assert [found.row for found in stored.values()] == rows
    assert all(seqs(found) == [1] for found in stored.values())


async def test_rows_alone_may_be_loaded(cluster: Cluster) -> None:
    await Histories(cluster).write(turn(row("a", last_seq=1), 1))
    stored = (await cluster.store.load(["a"], events=False))["a"]
    assert (stored.row.instance_id, stored.events) == ("a", [])


async def test_a_history_with_a_gap_is_refused_by_name_and_others_are_loaded(cluster: Cluster) -> None:
    histories = Histories(cluster)
    await histories.write(
        turn(row("a", last_seq=1), 1), turn(row("b", last_seq=3), 1, 3), turn(row("c", last_seq=2), 1)
    )
    await histories.write(turn(row("gone", status="PURGED", last_seq=7)))
    with pytest.raises(HistoryDamaged, match=r"event 2 of 3 is missing.*event 2 of 2 is missing.*Repair") as told:
        await cluster.store.load(["a", "b", "c", "gone"])
    assert set(told.value.damages) == {"b", "c"}
    assert set(await cluster.store.load(["a", "gone"])) == {"a", "gone"}
    assert set(await cluster.store.load(["a", "b", "c"], events=False)) == {"a", "b", "c"}


async def test_loading_nothing_gives_nothing(cluster: Cluster) -> None:
    assert await cluster.store.load([]) == {}
    assert await cluster.store.load(["a"]) == {}


async def test_what_is_only_in_the_log_is_not_loaded(cluster: Cluster) -> None:
    histories = Histories(cluster)
    await histories.write(turn(row("a", last_seq=1), 1))
    await histories.commit(turn(row("a", last_seq=2), 2), turn(row("b", last_seq=1), 1))
    assert seqs(await load(cluster)) == [1]
    assert await load(cluster, "b") is None


async def test_repeating_an_append_is_harmless(cluster: Cluster) -> None:
    histories = Histories(cluster)
    given = turn(row("a", last_seq=2), 1, 2)
    position = await histories.write(given)
    for _ in range(2):
        await histories.store(position, given)
        assert seqs(await load(cluster)) == [1, 2]


async def test_a_lower_position_never_undoes_a_higher_one(cluster: Cluster) -> None:
    histories = Histories(cluster)
    early, late = turn(row("a", last_seq=1), 1), turn(row("a", last_seq=2, status="COMPLETED"), 2)
    first = await histories.commit(early)
    second = await histories.commit(late)
    await histories.store(second, late)
    await histories.store(first, early)
    stored = await load(cluster)
    assert (stored.row.status, stored.row.last_seq, seqs(stored)) == ("COMPLETED", 2, [1, 2])
    assert await cluster.store.stored_to(0) == second + 1


async def test_the_epoch_orders_before_the_offset(cluster: Cluster) -> None:
    await cluster.store.append(0, 1, (1 << 48) | 3, [turn(row("a", status="COMPLETED"))])
    await cluster.store.append(0, 1, (0 << 48) | 900, [turn(row("a", status="RUNNING"))])
    assert (await load(cluster)).row.status == "COMPLETED"
    await cluster.store.append(0, 1, (2 << 48) | 0, [turn(row("a", status="FAILED"))])
    assert (await load(cluster)).row.status == "FAILED"


async def test_a_new_generation_replaces_the_events_of_the_earlier_one(cluster: Cluster) -> None:
    histories = Histories(cluster)
    await histories.write(turn(row("a", generation=0, last_seq=2), 1, 2))
    await histories.write(turn(row("a", generation=1, last_seq=1), 1))
    stored = await load(cluster)
    assert (stored.row.generation, stored.events) == (1, [event(row("a", generation=1), 1)])


async def test_a_new_run_replaces_the_events_of_the_earlier_one(cluster: Cluster) -> None:
    histories = Histories(cluster)
    await histories.write(turn(row("a", "0.0.5", last_seq=2, status="COMPLETED"), 1, 2))
    await histories.write(turn(row("a", "0.0.40", last_seq=1), 1))
    stored = await load(cluster)
    assert (stored.row.run, stored.events) == ("0.0.40", [event(row("a", "0.0.40"), 1)])


async def test_an_earlier_generation_that_comes_late_changes_nothing(cluster: Cluster) -> None:
    histories = Histories(cluster)
    old, new = turn(row("a", generation=0, last_seq=1), 1), turn(row("a", generation=1, last_seq=1), 1)
    first = await histories.commit(old)
    await histories.write(new)
    await histories.store(first, old)
    stored = await load(cluster)
    assert (stored.row.generation, seqs(stored)) == (1, [1])


async def test_a_later_run_in_the_log_survives_the_purge_of_the_earlier_one(cluster: Cluster) -> None:
    histories = Histories(cluster)
    purged = await histories.commit(turn(row("a", "0.0.5", last_seq=1), 1))
    later = turn(row("a", "0.0.9", last_seq=1), 1)
    position = await histories.commit(later)
    await histories.store(purged, turn(row("a", "0.0.5", status="PURGED")))
    assert seqs(await load(cluster)) == []
    await histories.store(position, later)
    assert seqs(await load(cluster)) == [1]


async def test_a_purged_instance_comes_as_its_tombstone_without_events(cluster: Cluster) -> None:
    histories = Histories(cluster)
    await histories.write(turn(row("a", last_seq=2, status="COMPLETED", output='"secret"'), 1, 2))
    tombstone = row("a", status="PURGED", start_command_id="c", updated_at_us=77)
    await histories.write(turn(tombstone))
    stored = await load(cluster)
    assert (stored.row, stored.events) == (tombstone, [])


async def test_a_late_write_does_not_bring_a_purged_run_back(cluster: Cluster) -> None:
    histories = Histories(cluster)
    running = turn(row("a", last_seq=1), 1)
    first = await histories.write(running)
    await histories.write(turn(row("a", status="PURGED")))
    await histories.store(first, running)
    stored = await load(cluster)
    assert (stored.row.status, stored.events) == ("PURGED", [])


async def test_what_the_caller_does_to_its_row_afterwards_stays_with_it(cluster: Cluster) -> None:
    given = row("a", command_ids=["c1"])
    await Histories(cluster).write(turn(given))
    given.status = "FAILED"
    given.command_ids.append("c2")
    (await load(cluster)).row.command_ids.append("c3")
    assert (await load(cluster)).row == row("a", command_ids=["c1"])


async def test_stored_to_is_the_highest_of_the_partition(cluster: Cluster) -> None:
    assert await cluster.store.stored_to(1) == 0
    for stored_to in (5, 9, 7):
        await cluster.store.append(1, stored_to, stored_to, [])
    await cluster.crash()
    assert [await cluster.store.stored_to(partition) for partition in (0, 1)] == [0, 9]


async def list_all(cluster: Cluster, where: Filter, limit: int) -> list[InstanceRow]:
    found: list[InstanceRow] = []
    page = await cluster.store.list(where, limit)
    while True:
        assert len(page.rows) <= limit
        found += page.rows
        if not page.next:
            return found
        page = await cluster.store.list(where, limit, page.next)


async def store_rows(cluster: Cluster) -> None:
    rows = [
        row("b", created_at_us=10, status="COMPLETED"),
        row("a", created_at_us=10),
        row("order-é", created_at_us=30, name="shipping"),
        row("order-2", created_at_us=20, status="FAILED"),
        row("order-1", created_at_us=20, name="shipping"),
        row("gone", created_at_us=15, status="PURGED"),
    ]
    for number, of in enumerate(rows):
        await cluster.store.append(number % 2, 1, number, [turn(of)])


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
async def test_a_listing_is_newest_first_then_by_id_without_tombstones(cluster: Cluster, limit: int) -> None:
    await store_rows(cluster)
    rows = await list_all(cluster, Filter(), limit)
    assert [of.instance_id for of in rows] == ["order-é", "order-1", "order-2", "a", "b"]


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        (Filter(names=["shipping"]), ["order-é", "order-1"]),
        (Filter(names=["shipping", "order"], statuses=["FAILED", "COMPLETED"]), ["order-2", "b"]),
        (Filter(statuses=["PURGED"]), []),
        (Filter(id_prefix="order-"), ["order-é", "order-1", "order-2"]),
        (Filter(id_prefix="order-é"), ["order-é"]),
        (Filter(id_prefix="%"), []),
        (Filter(created_from_us=20), ["order-é", "order-1", "order-2"]),
        (Filter(created_to_us=20), ["a", "b"]),
        (Filter(created_from_us=20, created_to_us=30, names=["order"]), ["order-2"]),
    ],
)
async def test_a_listing_holds_to_every_condition(cluster: Cluster, where: Filter, ids: list[str]) -> None:
    await store_rows(cluster)
    for limit in (1, 100):
        assert [of.instance_id for of in await list_all(cluster, where, limit)] == ids


async def test_a_page_token_that_is_none_is_refused(cluster: Cluster) -> None:
    await store_rows(cluster)
    for token in ("x", "1.", "1.AAAA", "2.MTA6YQ", "1.MTA6YQ==", "é"):
        with pytest.raises(ValueError, match="page token"):
            await cluster.store.list(Filter(), 1, token)


async def test_rows_that_come_between_two_pages_do_not_disturb_the_second(cluster: Cluster) -> None:
    await store_rows(cluster)
    page = await cluster.store.list(Filter(), 2)
    await cluster.store.append(0, 1, 99, [turn(row("newest", created_at_us=99))])
    page = await cluster.store.list(Filter(), 2, page.next)
    assert [of.instance_id for of in page.rows] == ["order-2", "a"]


async def test_stalled_instances_of_a_partition_are_found(cluster: Cluster) -> None:
    for number, partition in enumerate((0, 0, 1, 0)):
        await cluster.store.append(partition, 1, number, [turn(row(f"i{number}", status="STALLED"))])
    await cluster.store.append(0, 1, 9, [turn(row("i1", status="RUNNING"))])
    assert [of.instance_id for of in await cluster.store.stalled(0, 10)] == ["i0", "i3"]
    assert [of.instance_id for of in await cluster.store.stalled(0, 1)] == ["i0"]
    assert [of.instance_id for of in await cluster.store.stalled(1, 10)] == ["i2"]


async def test_old_tombstones_are_forgotten_and_counted(cluster: Cluster) -> None:
    given = [("old", "PURGED", 10), ("new", "PURGED", 20), ("alive", "COMPLETED", 5)]
    for number, (name, status, updated_at_us) in enumerate(given):
        await cluster.store.append(0, 1, number, [turn(row(name, status=status, updated_at_us=updated_at_us))])
    assert await cluster.store.forget_tombstones(20) == 1
    assert await cluster.store.forget_tombstones(20) == 0
    assert set(await cluster.store.load(["old", "new", "alive"])) == {"new", "alive"}


async def test_of_a_partition_at_rest_the_highest_marker_is_kept(cluster: Cluster) -> None:
    assert await cluster.store.resting(0) is None
    await cluster.store.rest(0, 0, Resting(7, b"seventh", 9, 8))
    await cluster.store.rest(0, 0, Resting(3, b"third", 4, 5))
    await cluster.store.rest(1, 0, Resting(1, b"another's", 2, 3))
    await cluster.crash()
    kept = await cluster.store.resting(0)
    # Where log and store are one file, nothing expires, and nothing has to be kept.
    assert kept == (None if cluster.log_keeps_its_tail else Resting(7, b"seventh", 9, 8))
    assert await cluster.store.resting(0, 1) is None
    await cluster.store.rest(0, 1, Resting(2, b"next epoch", 3, 1))
    assert await cluster.store.resting(0) is None
    assert (await cluster.store.resting(0, 1)) == (
        None if cluster.log_keeps_its_tail else Resting(2, b"next epoch", 3, 1)
    )
