"""Positions that could not be stored wait on; no broker is needed."""

from __future__ import annotations

import asyncio

import pytest

from perdure.adapters.kafka.positions import Positions
from perdure.ports.errors import LogUnavailable, NotAssigned
from perdure.ports.log import Committed
from tests.conformance.facts import until

HERE, THERE = ("commands", 0), ("commands", 1)


class Group:
    """Stores, once `fails` of its stores have failed; `holds` keeps one from ending."""

    def __init__(self, *fails: Exception) -> None:
        self.fails = list(fails)
        self.stored: dict[tuple[str, int], int] = {}
        self.asked = 0
        self.holds = asyncio.Event()
        self.holds.set()

    async def store(self, positions: dict[tuple[str, int], Committed]) -> None:
        self.asked += 1
        await self.holds.wait()
        if self.fails:
            raise self.fails.pop(0)
        self.stored |= {place: each.offset for place, each in positions.items()}


async def test_a_position_that_could_not_be_stored_is_stored_later_by_itself() -> None:
    group = Group(LogUnavailable("away"), LogUnavailable("still away"))
    positions = Positions(group.store, 0.001)
    positions.set_lazily(HERE, Committed(5, ""))
    await until(lambda: group.stored == {HERE: 5})
    assert (group.asked, positions.waiting(HERE)) == (3, None)


async def test_one_that_came_while_a_store_failed_is_not_undone_by_the_older_one() -> None:
    group = Group(LogUnavailable("away"))
    group.holds.clear()
    positions = Positions(group.store, 0.001)
    positions.set_lazily(HERE, Committed(5, ""))
    positions.set_lazily(THERE, Committed(7, ""))
    await until(lambda: group.asked == 1)
    positions.set_lazily(HERE, Committed(6, ""))
    group.holds.set()
    await until(lambda: group.stored == {HERE: 6, THERE: 7})


async def test_one_that_is_to_be_stored_at_once_tells_its_failure_and_is_stored_later() -> None:
    group = Group(LogUnavailable("away"))
    positions = Positions(group.store, 0.001)
    with pytest.raises(LogUnavailable):
        await positions.set(HERE, Committed(5, ""))
    await until(lambda: group.stored == {HERE: 5})


@pytest.mark.parametrize("failure", [LogUnavailable("away"), NotAssigned("another's")])
async def test_what_was_dropped_while_its_store_failed_is_not_stored_any_more(failure: Exception) -> None:
    group = Group(failure)
    group.holds.clear()
    positions = Positions(group.store, 0.001)
    positions.set_lazily(HERE, Committed(5, ""))
    await until(lambda: group.asked == 1)
    positions.drop()
    group.holds.set()
    positions.set_lazily(THERE, Committed(7, ""))
    await until(lambda: group.stored == {THERE: 7})


async def test_what_another_member_has_by_now_is_not_stored_any_more() -> None:
    group = Group(NotAssigned("another's"))
    positions = Positions(group.store, 0.001)
    positions.set_lazily(HERE, Committed(5, ""))
    await until(lambda: not group.fails)
    positions.set_lazily(THERE, Committed(7, ""))
    await until(lambda: group.stored == {THERE: 7})
