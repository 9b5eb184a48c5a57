"""Instances whose code cannot go on: parked alone, and tried again under other code."""

import asyncio

import pytest

from perdure.core.commands import RaiseEvent, ResumeWorkflow, SuspendWorkflow
from perdure.core.events import EventRaised, WorkflowRecovered, WorkflowStalled, WorkflowStarted
from perdure.ports.errors import StoreUnavailable

from .programs import app_of, chain, collector
from .world import Store, World, run_virtually, until


def _old(ctx, count: int):
    found = []
    for _ in range(count):
        found.append((yield ctx.wait_for_external_event("e")))
        if found[-1] == "stall":
            raise SystemExit(1)
    return found


def _new(ctx, count: int):
    found = []
    for _ in range(count):
        found.append((yield ctx.wait_for_external_event("e")))  # noqa: PERF401 - it yields
    return found


def _app(function):
    app = app_of(chain, collector)
    app.add_workflow(function, name="fragile")
    return app


def test_a_turn_that_stalls_in_the_middle_leaves_the_rest_for_after_a_load():
    """stall, Resume and more events in one batch: what needs replay waits until the stall itself is stored."""

    async def day():
        async with World(app=_app(_old)) as world:
            node = await world.node()
            key = await world.start("fragile", 9)
            other = await world.start("collector", 2)
            await world.decided()
            await world.log.append(
                [
                    world.out(key, RaiseEvent("e", '"a"')),
                    world.out(key, RaiseEvent("e", '"stall"')),
                    world.out(key, ResumeWorkflow("r1")),  # replays, stalls again
                    world.out(other, RaiseEvent("e", "1")),
                    world.out(key, RaiseEvent("e", '"b"')),
                    world.out(key, ResumeWorkflow("r2")),
                    world.out(key, RaiseEvent("e", '"c"')),
                    world.out(other, RaiseEvent("e", "2")),
                ]
            )
            await world.ended(other)
            assert world.output(other) == [1, 2]
            await world.decided()
            kinds = [type(event) for event in world.journal.history(key)]
            assert kinds.count(WorkflowStalled) == 3
            assert kinds.count(WorkflowRecovered) == 2
            assert [event.data for event in world.journal.history(key) if isinstance(event, EventRaised)] == [
                '"a"', '"stall"', '"b"', '"c"',
            ]  # fmt: skip
            assert world.status(key) == "STALLED"
            assert node.stats.loads >= 2
            await world.check()

    run_virtually(day())


def test_what_is_left_of_a_turn_survives_a_takeover():
    async def day():
        async with World(app=_app(_old)) as world:
            node = await world.node()
            key = await world.start("fragile", 3)
            await world.check()
            node.store.gate.clear()
            await world.send(key, RaiseEvent("e", '"stall"'), ResumeWorkflow("r"), RaiseEvent("e", '"b"'))
            await until(lambda: world.status(key) == "STALLED")
            await asyncio.sleep(1)
            assert len(world.journal.markers(0)[-1][2].undecided) == 2
            node.crash()
            await world.node("second")
            await world.decided()
            assert [type(event) for event in world.journal.history(key)] == [
                WorkflowStarted, EventRaised, WorkflowStalled, *_resumed(world, key), EventRaised,
            ]  # fmt: skip
            await world.check()

    def _resumed(world, key):
        found = [type(event) for event in world.journal.history(key)][3:-1]
        assert WorkflowRecovered in found
        assert found.count(WorkflowStalled) == 1
        return found

    run_virtually(day())


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "only in the log"])
@pytest.mark.parametrize("how", ["stop", "crash"])
def test_a_stalled_instance_is_tried_again_when_other_code_takes_over(stored, how):
    async def day():
        async with World(app=_app(_old)) as world:
            node = await world.node()
            key = await world.start("fragile", 2)
            await world.check()
            if not stored:
                node.store.dead = True
            await world.send(key, RaiseEvent("e", '"stall"'), RaiseEvent("e", '"after"'))
            await until(lambda: world.status(key) == "STALLED")
            if stored:
                await world.check()
            await (node.stop() if how == "stop" else asyncio.sleep(0, node.crash()))
            same = await world.node(app=_app(_old))
            await asyncio.sleep(5)
            assert world.status(key) == "STALLED"
            await same.stop()
            await world.node(app=_app(_new))
            await world.ended(key)
            assert world.output(key) == ["stall", "after"]
            await world.check()

    run_virtually(day())


def test_a_workflow_that_this_deployment_does_not_know_waits_for_one_that_does():
    async def day():
        async with World(app=_app(_new)) as world:
            node = await world.node()
            key = await world.start("fragile", 2)
            await world.send(key, RaiseEvent("e", "1"))
            await world.check()
            await node.stop()
            node = await world.node(app=app_of(chain))
            await world.send(key, RaiseEvent("e", "2"))
            await until(lambda: world.status(key) == "STALLED")
            assert world.instance(key).stalled.reason == "unregistered"
            await world.check()
            await node.stop()
            await world.node(app=_app(_new))
            await world.ended(key)
            assert world.output(key) == [1, 2]
            await world.check()

    run_virtually(day())


def test_code_that_diverges_parks_its_instance_and_no_other():
    def diverged(ctx, count: int):
        yield ctx.call_activity("something else")

    def steps(ctx, count: int):
        for number in range(count):
            yield ctx.call_activity("step", input=number)
        return "done"

    async def day():
        async with World(app=_app(steps)) as world:
            node = await world.node()
            world.paused.add("1")
            key = await world.start("fragile", 2)
            other = await world.start("collector", 1)
            await until(lambda: world.instance(key).next_seq == 5)
            await world.check()
            await node.stop()
            node = await world.node(app=_app(diverged))
            await world.send(key, RaiseEvent("x", "1"))
            await world.send(other, RaiseEvent("e", "1"))
            await world.ended(other)
            await until(lambda: world.status(key) == "STALLED")
            assert "step" in world.instance(key).stalled.detail
            assert "something else" in world.instance(key).stalled.detail
            await world.check()
            await node.stop()
            await world.node(app=_app(steps))
            world.paused.clear()
            await world.ended(key)
            assert world.output(key) == "done"
            await world.check()

    run_virtually(day())


def test_a_suspended_instance_is_loaded_without_running_its_code():
    async def day():
        async with World(app=_app(_new)) as world:
            node = await world.node()
            key = await world.start("fragile", 2)
            await world.send(key, RaiseEvent("e", "1"), SuspendWorkflow("s"), RaiseEvent("e", "2"))
            await world.check()
            await node.stop()
            await world.node(cache_instances_max=1)
            await asyncio.sleep(1)
            assert world.status(key) == "SUSPENDED"
            await world.send(key, ResumeWorkflow("r"))
            await world.ended(key)
            assert world.output(key) == [1, 2]
            await world.check()

    run_virtually(day())


def test_what_a_stall_leaves_undecided_stays_before_what_still_waits():
    """More waits for the instance than one batch takes; the stall is at its beginning."""

    async def day():
        async with World(app=_app(_old)) as world:
            node = await world.node()
            key = await world.start("fragile", 9)
            await world.decided()
            await node.stop()
            world.slow_loads_s = 1.0  # so that all of it waits for the load
            await world.node("second", batch_requests_max=3)
            names = ["stall", "b", "c", "d", "f"]
            await world.log.append([world.out(key, RaiseEvent("e", f'"{name}"')) for name in names])
            await world.decided()
            raised = [event.data for event in world.journal.history(key) if isinstance(event, EventRaised)]
            assert raised == [f'"{name}"' for name in names]

    run_virtually(day())


def test_stalled_ones_are_looked_for_again_where_the_store_did_not_answer_at_the_takeover(monkeypatch):
    """They may get no command for months."""

    async def day():
        async with World(app=_app(_old)) as world:
            node = await world.node()
            key = await world.start("fragile", 2)
            await world.decided()
            await world.send(key, RaiseEvent("e", '"stall"'))
            await until(lambda: any(isinstance(event, WorkflowStalled) for event in world.journal.history(key)))
            await node.stop()
            ordinary, refusals = Store.stalled, iter(range(3))

            async def stalled(self, partition, limit):
                if next(refusals, None) is not None:
                    raise StoreUnavailable("not now")
                return await ordinary(self, partition, limit)

            monkeypatch.setattr(Store, "stalled", stalled)
            await world.node("second", app=_app(_new))
            await until(lambda: any(isinstance(event, WorkflowRecovered) for event in world.journal.history(key)))

    run_virtually(day())
