"""Questions are answered by the owner, from what is committed; whoever waits is told, and forgotten when gone."""

import asyncio
import json

from perdure.core.commands import InspectInstance, RaiseEvent, StartWorkflow, TerminateWorkflow
from perdure.core.instance import Instance
from perdure.core.limits import WAITERS_PER_INSTANCE_MAX
from perdure.roles.orchestrator import waiters as waiting
from perdure.roles.orchestrator.waiters import Waiters

from .world import World, run_virtually, until


def test_a_snapshot_tells_what_is_committed():
    async def day():
        async with World(2) as world:
            await world.node()
            key = await world.start("collector", 2)
            await world.send(key, RaiseEvent("e", "1"))
            await world.decided()
            seen = (await world.inspect(key)).snapshot
            fold = world.instance(key)
            assert (seen.instance_id, seen.run, seen.generation) == (key, fold.run, 0)
            assert (seen.name, seen.status, seen.input, seen.custom_status) == ("collector", "RUNNING", "2", "1")
            assert seen.events == fold.next_seq - 1
            await world.check()

    run_virtually(day())


def test_an_unknown_id_is_said_to_be_unknown_and_leaves_nothing_behind():
    async def day():
        async with World() as world:
            node = await world.node()
            await world.check()
            writes = [write for write in world.broker.writes if write.kind == "commit"]
            for until_what in ("now", "started", "completed"):
                reply = await world.inspect("nobody", until_what)
                assert (reply.accepted, reply.reason) == (False, "UnknownInstance")
            assert [write for write in world.broker.writes if write.kind == "commit"] == writes
            assert not node.service.owners[0].tenure.memory.lives
            assert not node.service.owners[0].tenure.memory.parked

    run_virtually(day())


def test_a_question_beside_the_commands_it_came_with():
    """In one batch: the question is answered after all of its batch, whatever its place in it."""

    async def day():
        async with World() as world:
            await world.node()
            key = await world.start("collector", 2)
            await world.decided()
            await world.send(key, InspectInstance("q", "0/q"), RaiseEvent("e", "1"), RaiseEvent("e", "2"))
            await until(lambda: world.reply_to("q"))
            assert world.reply_to("q").snapshot.status in ("RUNNING", "COMPLETED")
            await world.send("new", InspectInstance("early", "0/early"), StartWorkflow("waiting"))
            await until(lambda: world.reply_to("early"))
            await world.check()

    run_virtually(day())


def test_who_waits_for_completion_is_told_once():
    async def day():
        async with World() as world:
            await world.node()
            key = await world.start("waiting")
            waits = [asyncio.create_task(world.inspect(key, "completed")) for _ in range(5)]
            await asyncio.sleep(25)  # asked again twice
            assert not any(each.done() for each in waits)
            await world.send(key, RaiseEvent("go", '"x"'))
            replies = await asyncio.gather(*waits)
            assert {reply.snapshot.output for reply in replies} == {'"x"'}
            await asyncio.sleep(30)
            told = [reply.correlation for _, reply in world.journal.replies()]
            assert len(told) == len(set(told)) == 5
            await world.check()

    run_virtually(day())


def test_who_waits_is_told_of_a_termination_and_of_a_delayed_start():
    async def day():
        async with World() as world:
            await world.node()
            key = await world.start("waiting")
            waiting = asyncio.create_task(world.inspect(key, "completed"))
            late = StartWorkflow("waiting", "null", "late", start_at_us=world.clock.now_us() + 60_000_000)
            world._pump.cancel()
            await world.send("late", late)
            begun = asyncio.create_task(world.inspect("late", "started"))
            await world.decided()
            await world.send(key, TerminateWorkflow())
            assert (await waiting).snapshot.status == "TERMINATED"
            assert not begun.done()
            await world.send("late", TerminateWorkflow())
            assert (await begun).snapshot.status == "TERMINATED"

    run_virtually(day())


def test_a_wait_outlives_a_change_of_owner():
    async def day():
        async with World() as world:
            first = await world.node()
            key = await world.start("waiting")
            waiting = asyncio.create_task(world.inspect(key, "completed"))
            await world.check()
            first.crash()
            await world.node()
            await world.send(key, RaiseEvent("go", "1"))
            assert (await waiting).snapshot.status == "COMPLETED"

    run_virtually(day())


def test_a_question_that_waits_for_the_store_is_not_remembered_in_the_log():
    async def day():
        async with World() as world:
            first = await world.node()
            key = await world.start("waiting")
            await world.check()
            await first.stop()
            node = await world.node()
            node.store.gate.clear()
            asking = asyncio.create_task(world.inspect(key))
            await asyncio.sleep(6)
            await world.start("chain", 0, minted=True)
            await world.decided()
            assert world.journal.markers(0)[-1][2].undecided == []
            node.store.gate.set()
            assert (await asking).snapshot.status == "RUNNING"

    run_virtually(day())


def test_one_waiter_too_many_is_told_to_come_back():
    async def day():
        async with World() as world:
            await world.node()
            key = await world.start("waiting")
            await world.decided()
            asked = [InspectInstance(f"w{n}", f"0/w{n}", "completed") for n in range(WAITERS_PER_INSTANCE_MAX + 1)]
            await world.send(key, *asked)
            reply = await until(lambda: world.reply_to(f"w{WAITERS_PER_INSTANCE_MAX}"))
            assert not reply.accepted
            assert "again later" in reply.message
            await world.send(key, RaiseEvent("go", "1"))
            await until(lambda: world.reply_to("w0"))
            assert len(world.journal.replies()) == WAITERS_PER_INSTANCE_MAX + 1

    run_virtually(day())


def test_waiters_that_ask_no_more_are_swept_and_make_room():
    waiters = Waiters()
    for number in range(WAITERS_PER_INSTANCE_MAX):
        assert waiters.add("a", InspectInstance(f"c{number}", "", "completed"), 0.0)
    assert not waiters.add("a", InspectInstance("late", "", "completed"), 20.0)
    assert waiters.add("a", InspectInstance("c0", "", "completed"), 20.0)  # asked again
    assert len(waiters) == WAITERS_PER_INSTANCE_MAX
    assert waiters.add("a", InspectInstance("late", "", "completed"), 31.0)
    assert len(waiters) == 2
    waiters.sweep(55.0)
    assert len(waiters) == 1
    waiters.sweep(100.0)
    assert len(waiters) == 0
    assert waiters.take(Instance("a")) == []


def test_waiters_of_a_partition_are_bounded_whatever_their_instances(monkeypatch):
    monkeypatch.setattr(waiting, "WAITERS_PER_PARTITION_MAX", 3)
    waiters = Waiters()
    for number in range(3):
        assert waiters.add(f"i{number}", InspectInstance("c", "", "completed"), 0.0)
    assert not waiters.add("i3", InspectInstance("c", "", "completed"), 1.0)
    assert waiters.add("i0", InspectInstance("c", "", "completed"), 1.0), "who asks again has its place"
    ended = Instance("i1")
    ended.ended = "COMPLETED"
    assert len(waiters.take(ended)) == 1
    assert waiters.add("i3", InspectInstance("c", "", "completed"), 2.0)
    waiters.sweep(100.0)
    assert len(waiters) == 0
    assert waiters.add("i4", InspectInstance("c", "", "completed"), 100.0)


def test_a_quiet_partition_forgets_clients_that_are_gone():
    async def day():
        async with World() as world:
            node = await world.node()
            key = await world.start("waiting")
            await world.decided()
            await world.send(key, *(InspectInstance(f"w{n}", f"0/w{n}", "completed") for n in range(10)))
            other = await world.start("collector", 10)
            for number in range(10):
                await asyncio.sleep(20)
                await world.send(other, RaiseEvent("e", str(number)))
            await world.ended(other)
            await world.send(key, RaiseEvent("go", "1"))
            await world.ended(key)
            await asyncio.sleep(1)
            assert [reply for _, reply in world.journal.replies()] == []
            assert node.service.failure is None

    run_virtually(day())


def test_a_description_says_what_it_awaits():
    async def day():
        async with World() as world:
            node = await world.node()
            world.paused.add("0")
            key, other = await world.start("chain", 1), await world.start("waiting")
            await world.send(other, RaiseEvent("else", "1"))
            await world.check()
            for _ in range(2):
                detail = json.loads((await world.inspect(key, detail=True)).snapshot.detail)
                assert [(step["kind"], step["name"]) for step in detail["awaits"]] == [("activity", "step")]
                detail = json.loads((await world.inspect(other, detail=True)).snapshot.detail)
                assert [(step["kind"], step["name"]) for step in detail["awaits"]] == [("event", "go")]
                assert detail["bufferedEvents"] == {"else": 1}
                assert "programs.py" in detail["at"]
                await node.stop()  # and again by a new owner, from history
                node = await world.node()
            world.paused.clear()
            await world.check()

    run_virtually(day())
