"""What the store has lost or garbled stops the instance it belongs to, by name, and nobody else."""

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from perdure.core.commands import RaiseEvent

from .world import World, run_virtually, until


def lose(events):
    del events[2]


def garble(events):
    events[2] = b"\xc3\x01 and something else"


@pytest.mark.parametrize(
    ("damage", "says"), [(lose, "event 2 of 3 is missing"), (garble, "cannot be read")], ids=["lost", "garbled"]
)
def test_a_damaged_instance_is_refused_by_name_and_the_others_go_on(damage, says):
    async def day():
        async with World() as world:
            first = await world.node()
            keys = [await world.start("collector", 2) for _ in range(3)]
            await until(lambda: all(world.instance(key).started for key in keys))
            for key in keys:
                await world.send(key, RaiseEvent("e", "1"))
            await world.decided()
            await first.stop()
            broken, *sound = keys
            events = world.store._instances[broken].events
            kept = dict(events)
            assert max(events) == 3
            damage(events)

            second = await world.node()
            structlog.configure(
                wrapper_class=structlog.BoundLogger
            )  # the folder's fixture silences it, and restores it
            with capture_logs() as logs:
                replies = [await world.ask(broken, RaiseEvent("e", "2")) for _ in range(3)]
                replies.append(await world.inspect(broken))
                for key in sound:
                    await world.send(key, RaiseEvent("e", "2"))
                await world.ended(*sound)
            for reply in replies:
                assert reply.reason == "Internal"
                assert f"the stored history of '{broken}' cannot be read" in reply.message
                assert says in reply.message
                assert "Repair the store" in reply.message
            told = [entry for entry in logs if entry["log_level"] == "error"]
            assert [entry["instance_id"] for entry in told] == [broken]
            assert second.service.failure is None
            assert second.stats.takeovers == 1

            events |= kept
            await world.ask(broken, RaiseEvent("e", "3"))
            await world.ended(broken)
            assert world.output(broken) == [1, 3]

    run_virtually(day())


async def _damaged_behind_its_tail(world):
    """An instance whose stored rows are lost, with an event that only the log has; what the rows were."""
    first = await world.node()
    broken, sound = [await world.start("collector", 3) for _ in range(2)]
    await until(lambda: all(world.instance(key).started for key in (broken, sound)))
    await world.check()
    first.store.dead = True
    await world.send(broken, RaiseEvent("e", "1"))
    await world.decided()
    first.crash()
    events = world.store._instances[broken].events
    kept = dict(events)
    events.clear()
    return broken, sound, lambda: events.update(kept)


def test_what_only_the_log_has_of_a_damaged_instance_outlives_any_number_of_owners():
    async def day():
        async with World() as world:
            broken, sound, repair = await _damaged_behind_its_tail(world)
            for number in range(3):
                node = await world.node()
                await world.send(sound, RaiseEvent("e", str(number)))
                await world.decided()
                await asyncio.sleep(1)
                await node.stop()
            repair()
            await world.node()
            await world.send(broken, RaiseEvent("e", "2"), RaiseEvent("e", "3"))
            await world.ended(broken, sound)
            assert world.output(broken) == [1, 2, 3]
            await world.check()

    run_virtually(day())


def test_the_tail_of_a_repaired_instance_is_stored_like_any_other():
    async def day():
        async with World() as world:
            broken, sound, repair = await _damaged_behind_its_tail(world)
            second = await world.node()
            repair()
            await world.ask(broken, RaiseEvent("e", "2"))
            await world.check()  # the store has all of it
            second.crash()
            await world.node()
            await world.send(broken, RaiseEvent("e", "3"))
            await world.ended(broken)
            assert world.output(broken) == [1, 2, 3]
            for number in range(3):
                await world.send(sound, RaiseEvent("e", str(number)))
            await world.ended(sound)
            await world.check()

    run_virtually(day())


def test_a_partition_is_served_although_a_damaged_instances_tail_cannot_be_stored():
    async def day():
        async with World() as world:
            broken, sound, repair = await _damaged_behind_its_tail(world)
            second = await world.node()
            for number in range(3):
                await world.send(sound, RaiseEvent("e", str(number)))
            await world.ended(sound)
            repair()
            await world.ask(broken, RaiseEvent("e", "2"))
            await world.ask(broken, RaiseEvent("e", "3"))
            await world.ended(broken)
            assert world.output(broken) == [1, 2, 3]
            assert second.stats.takeovers == 1

    run_virtually(day())
