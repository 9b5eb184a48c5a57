"""The store behind the log: away for a while, slow, small caches; none of it shows in a history."""

import asyncio
import json

import pytest

from perdure.core.commands import RaiseEvent, StartWorkflow

from .world import Fault, Node, World, run_virtually, until


def test_with_the_store_away_what_is_in_memory_goes_on_and_catches_up():
    async def day():
        async with World() as world:
            node = await world.node()
            keys = [await world.start("chain", 3) for _ in range(4)]
            waiting = await world.start("collector", 2)
            await world.send(waiting, RaiseEvent("e", "1"))
            await until(lambda: all(world.instance(key).started for key in [*keys, waiting]))
            world.store_available = False
            await world.ended(*keys)
            await until(lambda: node.stats.store_failures)
            unknown = await world.start("chain", 1)  # this one needs the store
            await world.send(waiting, RaiseEvent("e", "2"))
            await world.ended(waiting)
            assert world.instance(unknown).started is None
            world.store_available = True
            await world.ended(unknown)
            await world.check()

    run_virtually(day())


def test_a_store_too_far_behind_stops_the_reading_and_drops_nothing():
    async def day():
        async with World() as world:
            node = await world.node(store_lag_bytes_max=20_000, batch_requests_max=10)
            await asyncio.sleep(6)
            await world.check()
            world.store_available = False
            keys = [await world.start("waiting", "x" * 500, minted=True) for _ in range(200)]
            await asyncio.sleep(30)
            begun = sum(1 for key in keys if world.instance(key).started)
            assert 20 <= begun < 60  # as much as the bound allows, and a batch or two
            writes = len(world.broker.writes)
            await asyncio.sleep(30)
            assert len(world.broker.writes) == writes
            world.store_available = True
            await world.decided()
            assert all(world.instance(key).started for key in keys)
            await world.check()
            assert node.service.failure is None

    run_virtually(day())


def test_the_bound_holds_while_a_tail_is_being_loaded():
    async def day():
        async with World() as world:
            first = await world.node()
            stored = await world.start("waiting")
            await world.check()
            await asyncio.sleep(6)
            first.store.dead = True
            await world.send(stored, RaiseEvent("e", "1"))
            await world.decided()
            first.crash()
            second = Node(world, "second", store_lag_bytes_max=20_000, batch_requests_max=10)
            world.nodes.append(second)
            second.store.gate.clear()
            await second.start()
            await asyncio.sleep(6)
            keys = [await world.start("waiting", "x" * 500, minted=True) for _ in range(200)]
            await asyncio.sleep(30)
            assert sum(1 for key in keys if world.instance(key).started) < 60
            second.store.gate.set()
            await world.decided()
            await world.check()

    run_virtually(day())


def test_stop_does_not_wait_for_a_store_that_is_away():
    async def day():
        async with World() as world:
            node = await world.node(store_lag_bytes_max=100)
            key = await world.start("waiting")
            await world.decided()
            await world.check()
            world.store_available = False
            await world.send(key, RaiseEvent("e", '"' + "x" * 500 + '"'))
            await until(lambda: node.stats.store_failures)
            await asyncio.sleep(1)
            loop = asyncio.get_running_loop()
            before = loop.time()
            await node.stop()
            assert loop.time() - before < 5.9  # below the session time-out: it is not thrown out
            world.store_available = True
            await world.node("second")
            await world.check()

    run_virtually(day())


def test_a_takeover_waits_for_a_store_that_is_away():
    async def day():
        async with World() as world:
            world.store_available = False
            node = Node(world, "early")
            world.nodes.append(node)
            await node.service.start()
            key = await world.start("chain", 1)
            await asyncio.sleep(3)
            assert node.service.failure is None
            world.store_available = True
            await world.ended(key)
            await world.check()

    run_virtually(day())


def test_an_unexpected_error_of_the_store_is_tried_again():
    async def day():
        async with World() as world:
            node = await world.node()
            node.store.append_error = RuntimeError("a driver's bug")
            key = await world.start("chain", 2)
            await world.ended(key)
            await world.check()
            assert node.store.append_error is None

    run_virtually(day())


@pytest.mark.parametrize("room", [1, 3])
def test_a_tiny_cache_is_invisible(room):
    async def day(**settings):
        async with World() as world:
            node = await world.node(**settings)
            keys = [await world.start("chain", 4, f"chain{n}") for n in range(5)]
            keys += [await world.start("generations", 3, f"gen{n}") for n in range(3)]
            keys += [await world.start("parent", 3, "parent")]
            collectors = [await world.start("collector", 5, f"col{n}") for n in range(5)]
            for number in range(5):
                for key in collectors:
                    await world.send(key, RaiseEvent("e", json.dumps(number)))
                await asyncio.sleep(0.2)
            await world.ended(*keys, *collectors)
            await world.check()
            shapes = {
                key: [(type(event).__name__, event.generation, event.seq) for event in history]
                for (_, key), history in world.journal.histories().items()
            }
            return node.stats.evictions, shapes, {key: world.output(key) for key in keys + collectors}

    none, *expected = run_virtually(day())
    many, *found = run_virtually(day(cache_instances_max=room))
    assert none == 0
    assert many > 20
    assert found == expected


def test_what_is_not_stored_stays_in_memory_however_small_the_cache():
    async def day():
        async with World() as world:
            node = await world.node(cache_instances_max=2)
            await asyncio.sleep(6)
            await world.check()
            world.store_available = False
            keys = [await world.start("chain", 3, minted=True) for _ in range(10)]
            await world.ended(*keys)  # without the store: nobody had to be loaded
            assert node.stats.loads == 0
            world.store_available = True
            await world.check()
            await world.ended(await world.start("chain", 1, minted=True))
            await until(lambda: node.stats.evictions > 8)

    run_virtually(day())


def test_evicted_and_loaded_in_the_same_breath():
    """Loads end while others are decided, with a cache that is full of what cannot go: requests find their instance."""

    async def day():
        async with World() as world:
            node = await world.node(cache_instances_max=1, batch_requests_max=2, write_behind_s=0.5)
            keys = [await world.start("collector", 20) for _ in range(8)]
            for number in range(20):
                await world.log.append([world.out(key, RaiseEvent("e", str(number))) for key in keys])
                await asyncio.sleep(0.01)
            await world.ended(*keys)
            assert [world.output(key) for key in keys] == [list(range(20))] * 8
            assert node.service.failure is None
            assert node.stats.takeovers == 1
            await world.check()

    run_virtually(day())


def test_a_later_command_never_overtakes_one_that_waits_for_its_instance():
    async def day():
        async with World() as world:
            first = await world.node()
            keys = [await world.start("collector", 12) for _ in range(3)]
            await world.check()
            await first.stop()
            for trial in range(0, 12, 2):
                node = await world.node()
                node.store.gate.clear()
                for key in keys:
                    await world.send(key, RaiseEvent("e", str(trial)))
                await asyncio.sleep(0.5)
                await world.send("unknown", RaiseEvent("e", "0", "c1", "0/c"))
                await asyncio.sleep(0.5)
                node.store.gate.set()
                for _ in range(trial // 2):  # at one or another moment of the load's end
                    await asyncio.sleep(0)
                for key in keys:
                    await world.send(key, RaiseEvent("e", str(trial + 1)))
                await world.send("unknown", RaiseEvent("e", "0", "c2", "0/c"))
                await world.decided()
                assert node.service.failure is None
                await node.stop()
            assert [world.output(key) for key in keys] == [list(range(12))] * 3
            world.journal.check()

    run_virtually(day())


def test_commands_are_kept_in_the_log_until_their_batch_has_committed():
    async def day():
        async with World() as world:
            first = await world.node(batch_requests_max=1, delete_every=1)
            key = await world.start("collector", 4)
            await world.decided()
            for number in range(4):
                first.log.hold_commits()
                await world.send(key, RaiseEvent("e", str(number)))
                await first.log.held.wait()
                await world.start("chain", 1)  # gathered while the first one commits
                await asyncio.sleep(0.1)
                first.log.gate.set()
                first.log.hold_commits()
                await first.log.held.wait()
                start, _ = await world.log.bounds(world.topics.instances, 0)
                marker = world.journal.markers(0)[-1][2]
                assert start <= min([marker.next_offset, *marker.undecided])
                if number == 2:
                    first.crash()
                    break
                first.log.gate.set()
                await world.decided()
            assert start > 0
            await world.node("second")
            await world.send(key, RaiseEvent("e", "3"))
            await world.ended(key)
            assert world.output(key) == [0, 1, 2, 3]
            await world.check()

    run_virtually(day())


def test_history_is_kept_until_it_is_stored_and_the_last_marker_for_ever():
    async def day():
        async with World() as world:
            node = await world.node(delete_every=1)
            await world.ended(await world.start("chain", 5))
            await world.check()
            world.store_available = False
            waiting = await world.start("chain", 5)
            await asyncio.sleep(1)
            world.store_available = True
            await world.ended(waiting)
            start, _ = await world.log.bounds(world.topics.history, 0)
            assert 0 < start <= await world.store.stored_to(0)
            await world.check()
            await node.stop()
            await world.node("second")
            await world.ended(await world.start("chain", 1))
            await world.check()

    run_virtually(day())


# -- ids that clients mint -----------------------------------------------------------------------------------


def test_a_fresh_minted_id_starts_without_a_read():
    async def day():
        async with World() as world:
            node = await world.node()
            await asyncio.sleep(6)
            keys = [await world.start("chain", 1, minted=True) for _ in range(20)]
            await world.ended(*keys)
            assert node.store.loads == []
            other = await world.start("chain", 1)
            await world.ended(other)
            assert node.store.loads == [other]
            await world.check()

    run_virtually(day())


@pytest.mark.parametrize("ahead_s", [0.0, 4.0, 6.0, 300.0, -500.0])
def test_a_start_sent_again_starts_nothing_twice_even_when_all_is_done_and_evicted(ahead_s):
    async def day():
        async with World() as world:
            node = await world.node(cache_instances_max=1)
            await asyncio.sleep(600)
            key = world.new_id(ahead_s)
            start = StartWorkflow("chain", "1", f"start-{key}", minted=True)
            await world.send(key, start)
            await world.ended(key)
            for _ in range(40):
                await world.start("chain", 1)
                await asyncio.sleep(10)
                await world.send(key, start)
            await world.check()
            assert node.stats.evictions
            assert len(world.journal.history(key)) == len({(e.run, e.seq) for e in world.journal.history(key)})
            assert {event.run for event in world.journal.history(key)} == {world.instance(key).run}

    run_virtually(day())


@pytest.mark.parametrize("handover", ["stop", "crash", "fault"])
def test_a_start_sent_again_to_a_new_owner_starts_nothing_twice(handover):
    async def day():
        async with World() as world:
            node = await world.node(cache_instances_max=1)
            await asyncio.sleep(10)
            keys = [world.new_id(ahead) for ahead in (-4.0, 0.0, 4.0)]
            starts = {key: StartWorkflow("chain", "1", f"start-{key}", minted=True) for key in keys}
            for key, start in starts.items():
                await world.send(key, start)
            await world.ended(*keys)
            await world.check()
            if handover == "stop":
                await node.stop()
                await world.node("second", cache_instances_max=1)
            elif handover == "crash":
                node.crash()
                await world.node("second", cache_instances_max=1)
            else:
                world.broker.fail_next("commit", Fault.FAILED)
                await world.start("chain", 1)
            for _ in range(20):
                await asyncio.sleep(1)
                for key, start in starts.items():
                    await world.send(key, start)
            await world.check()
            for key in keys:
                assert {event.run for event in world.journal.history(key)} == {world.instance(key).run}

    run_virtually(day())


def test_one_damaged_history_stops_nobody_else():
    async def day():
        async with World() as world:
            first = await world.node()
            damaged, healthy = await world.start("collector", 1), await world.start("collector", 1)
            await world.check()
            await first.stop()
            world.store._instances[damaged].events[1] = b"\xc3\x01garbage"
            node = await world.node("second")
            reply = await world.ask(damaged, RaiseEvent("e", "1"))
            assert (reply.accepted, reply.reason) == (False, "Internal")
            assert damaged in reply.message
            assert not (await world.inspect(damaged)).accepted
            await world.send(damaged, RaiseEvent("e", "2"))
            await world.send(healthy, RaiseEvent("e", "3"))
            await world.ended(healthy)
            await world.decided()
            assert [letter[0] for letter in world.dead_letters()] == [damaged.encode()]
            assert node.service.failure is None

    run_virtually(day())


def test_a_damaged_history_in_the_tail_does_not_keep_the_others_from_being_stored():
    async def day():
        async with World() as world:
            first = await world.node()
            damaged, healthy = await world.start("collector", 2), await world.start("collector", 2)
            await world.check()
            first.store.dead = True
            await world.send(damaged, RaiseEvent("e", "1"))
            await world.send(healthy, RaiseEvent("e", "1"))
            await world.decided()
            first.crash()
            world.store._instances[damaged].events[1] = b"\xc3\x01garbage"
            await world.node("second")
            await world.send(healthy, RaiseEvent("e", "2"))
            await world.ended(healthy)
            await until(lambda: world.store._instances[healthy].row.status == "COMPLETED", 30)

    run_virtually(day())
