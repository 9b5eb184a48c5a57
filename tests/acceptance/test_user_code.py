"""User code that misbehaves: it is parked with its line, and nobody else is harmed."""

import asyncio
import time
from datetime import timedelta

import pytest
import structlog

import perdure as wf
from perdure import testing
from perdure.workflow.guard import Guard

TURN_SECONDS_MAX = 0.3


def hostile_app(released, begun):
    app = wf.App()

    @app.workflow
    def blocks(ctx):
        begun.append(ctx.instance_id)
        time.sleep(4)
        yield ctx.create_timer(timedelta(0))

    @app.workflow
    def loops(ctx):
        begun.append(ctx.instance_id)
        while True:
            pass
        yield

    @app.workflow
    def recurses(ctx):
        begun.append(ctx.instance_id)

        def deeper(level):
            return deeper(level + 1) + 1

        deeper(0)
        yield ctx.create_timer(timedelta(0))

    @app.workflow
    def exits(ctx):
        begun.append(ctx.instance_id)
        raise SystemExit(3)
        yield

    @app.workflow
    def swallows(ctx):
        begun.append(ctx.instance_id)
        while not released.is_set():
            try:
                released.wait(0.01)
            except BaseException:
                pass
        yield ctx.create_timer(timedelta(0))

    @app.workflow
    def harmless(ctx):
        return (yield ctx.wait_for_external_event("go"))

    return app


def repaired_app():
    app = wf.App()
    for name in ("blocks", "loops", "recurses", "exits", "swallows"):

        def repaired(ctx):
            yield ctx.create_timer(timedelta(0))
            return "repaired"

        app.add_workflow(repaired, name=name)
    return app


@pytest.fixture
def released(signal_of):
    event = signal_of("released")
    yield event
    event.set()


HOSTILE = [
    ("blocks", "turn deadline", "time.sleep(4)"),
    ("loops", "turn deadline", "while True"),
    ("recurses", "resources", "deeper(0)"),
    ("exits", "base exception", "raise SystemExit"),
    ("swallows", "turn deadline", "while not released"),
]


@pytest.mark.parametrize(("name", "reason", "line"), HOSTILE)
def test_a_hostile_orchestrator_is_parked_with_its_line_and_harms_nobody(
    real_world_of, released, ledger, name, reason, line
):
    world = real_world_of(hostile_app(released, ledger), turn_seconds_max=TURN_SECONDS_MAX)
    world.start("harmless", instance_id="before")
    world.start(name, instance_id="h")
    world.start("harmless", instance_id="after")

    stalled = world.stalled("h")
    assert stalled["reason"] == reason
    assert_names_line(stalled["detail"], line)
    for neighbour in ("before", "after"):
        world.raise_workflow_event(neighbour, "go", data=neighbour)
        assert world.result(neighbour) == neighbour

    assert ledger == ["h"]
    world.restart()
    world.start("harmless", instance_id="later")
    world.raise_workflow_event("later", "go", data=1)
    assert world.result("later") == 1
    assert (world.status("h"), list(ledger)) == ("STALLED", ["h"])  # a restart does not try the same code again

    world.restart(repaired_app())
    assert world.result("h") == "repaired"


def assert_names_line(detail, code):
    """The detail holds "file:line" of this file, and the code stands there or on the next lines of its loop."""
    place = next(part for part in detail.replace("(", " ").replace(")", " ").split() if part.startswith(__file__))
    number = int(place.rpartition(":")[2])
    with open(__file__) as source:
        lines = source.read().splitlines()
    assert any(code in line for line in lines[number - 4 : number]), f"{place}: {lines[number - 1]}"


@pytest.mark.parametrize(("name", "reason"), [("recurses", "resources"), ("exits", "base exception")])
def test_the_kit_parks_what_it_can_catch(kit_of, released, name, reason):
    world = kit_of(hostile_app(released, []))
    world.start(name, instance_id="h")
    assert world.stalled("h")["reason"] == reason


def test_a_resume_tries_a_stalled_instance_again(world_of, ledger, signal_of):
    app, healed = wf.App(), signal_of("healed")

    @app.workflow
    def moody(ctx):
        yield ctx.create_timer(timedelta(0))
        if not healed.is_set():
            ledger.append("bad")
            raise SystemExit
        return "good"

    world = world_of(app)
    world.start("moody", instance_id="m")
    assert world.stalled("m")["reason"] == "base exception"
    world.resume_workflow("m")
    world.until(lambda: len(ledger) == 2, "it is tried again")
    assert world.stalled("m")["reason"] == "base exception"
    healed.set()
    world.resume_workflow("m")
    assert world.result("m") == "good"


def test_events_for_a_stalled_instance_are_kept(kit_of):
    app, mood = wf.App(), ["bad"]

    @app.workflow
    def moody(ctx):
        first = yield ctx.wait_for_external_event("item")
        if mood[-1] == "bad":
            raise SystemExit
        return [first, (yield ctx.wait_for_external_event("item"))]

    world = kit_of(app)
    world.start("moody", instance_id="m")
    world.raise_workflow_event("m", "item", data=1)
    world.stalled("m")
    world.raise_workflow_event("m", "item", data=2)
    mood.append("good")
    world.resume_workflow("m")
    assert world.result("m") == [1, 2]
    world.start("moody", instance_id="t")
    mood.append("bad")
    world.raise_workflow_event("t", "item")
    world.terminate_workflow("t")
    assert world.status("t") == "TERMINATED"


@pytest.mark.parametrize("mode", ["warn", "strict"])
def test_the_guard_names_the_place_on_a_real_engine_too(embedded_of, mode):
    app, findings = wf.App(), []

    @app.workflow
    def reads_the_clock(ctx):
        time.time()
        return (yield ctx.wait_for_external_event("go", timeout=timedelta(0.001)))

    world = embedded_of(app, watch=Guard(mode, findings.append).watch)
    world.start("reads_the_clock", instance_id="g")
    if mode == "strict":
        stalled = world.stalled("g")
        assert stalled["reason"] == "guard"
        assert_names_line(stalled["detail"].split(":", 2)[0] + ":" + stalled["detail"].split(":", 2)[1], "time.time()")
    else:
        world.raise_workflow_event("g", "go", data=1)
        assert world.result("g") == 1
    assert [(finding.what, finding.file) for finding in findings] == [("time.time", __file__)]


# -- code that is let go -------------------------------------------------------------------------------------------


def tenacious_app(said):
    """Its `finally` and `except BaseException` do whatever they can when the generator is closed."""
    app = wf.App()

    @app.activity
    def note(ctx, text):
        said.append(text)

    @app.workflow
    def tenacious(ctx, number):
        try:
            got = yield ctx.wait_for_external_event("go")
        except BaseException:
            ctx.logger.warning("from except")
            ctx.set_custom_status("from except")
            ctx.call_activity(note, input="from except")
            yield ctx.call_activity(note, input="yielded from except")
            raise
        finally:
            ctx.set_custom_status("from finally")
            ctx.continue_as_new("from finally")
            yield ctx.call_activity(note, input="from finally")
        return got

    @app.workflow
    async def clings(ctx, number):
        try:
            return await ctx.wait_for_external_event("go")
        except BaseException:
            ctx.set_custom_status("from except")
            await ctx.call_activity(note, input="awaited from except")
            raise

    return app


def test_closing_user_code_changes_nothing_when_it_is_evicted(kit_of):
    said = []
    settings = testing.kit_settings()
    settings.orchestrator.cache_instances_max = 1
    with structlog.testing.capture_logs() as logs:
        world = kit_of(tenacious_app(said), settings=settings)
        for number in range(5):
            world.start("clings", number, instance_id=f"c{number}")
            world.start("tenacious", number, instance_id=f"t{number}")
        assert world.client.engine.orchestrator.stats.evictions >= 8
        for number in range(5):
            assert world.events(f"t{number}") == world.events(f"c{number}") == ["WorkflowStarted"]
            world.raise_workflow_event(f"c{number}", "go", data=number)
            assert world.result(f"c{number}") == number
    assert said == []
    assert [line for line in logs if line["event"] == "from except"] == []


@pytest.mark.parametrize("name", ["tenacious", "clings"])
def test_closing_user_code_changes_nothing_when_it_is_terminated_or_the_engine_ends(world_of, ledger, name):
    world = world_of(tenacious_app(ledger))
    world.start(name, 1, instance_id="t")
    world.start(name, 1, instance_id="s")
    world.until(lambda: world.status("s") == "RUNNING", "it runs")
    world.terminate_workflow("t")
    world.restart()
    assert world.events("t") == ["WorkflowStarted", "WorkflowTerminated"]
    assert world.events("s") == ["WorkflowStarted"]
    assert (world.custom_status("t"), world.custom_status("s"), list(ledger)) == (None, None, [])


# -- async def -----------------------------------------------------------------------------------------------------


def async_app():
    app = wf.App()

    @app.activity
    async def double(ctx, number):
        await asyncio.sleep(0)
        return 2 * number

    @app.activity
    def fail(ctx):
        raise ValueError("no")

    @app.workflow
    async def inner(ctx, number):
        return await ctx.call_activity(double, input=number)

    @app.workflow
    async def outer(ctx, number):
        one, two = await wf.when_all(
            [ctx.call_activity(double, input=number), ctx.call_child_workflow(inner, input=number)]
        )
        try:
            await ctx.call_activity(fail)
        except wf.TaskFailedError as error:
            told = error.details.message
        winner = await wf.when_any([ctx.wait_for_external_event("go"), ctx.create_timer(timedelta(seconds=0.01))])
        return [one, await helper(ctx, two), told, winner.result]

    async def helper(ctx, number):
        return await ctx.call_activity(double, input=number)

    @app.workflow
    async def sleeps(ctx):
        await asyncio.sleep(1)

    @app.workflow
    async def gathers(ctx):
        await asyncio.gather(ctx.call_activity(double, input=1), ctx.call_activity(double, input=2))

    @app.workflow
    async def awaits_a_future(ctx):
        await asyncio.get_running_loop().create_future()

    @app.workflow
    async def makes_a_task(ctx):
        await asyncio.create_task(helper(ctx, 1))

    @app.workflow
    async def times_out(ctx):
        async with asyncio.timeout(3):
            await ctx.wait_for_external_event("go")

    return app


def test_an_async_orchestrator_awaits_what_a_generator_yields(world_of):
    assert world_of(async_app()).run("outer", 3) == [6, 12, "no", None]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["sleeps", "gathers", "awaits_a_future", "makes_a_task", "times_out"])
def test_asyncio_in_an_orchestrator_fails_at_once_with_advice(world_of, name):
    world = world_of(async_app())
    state = world.end_of(world.start(name, instance_id="a"))
    assert (state.runtime_status.name, state.failure_details.error_type) == ("FAILED", "TypeError")
    assert "ctx.create_timer" in state.failure_details.message
    assert "wf.when_all" in state.failure_details.message


# -- the same at every replay --------------------------------------------------------------------------------------


def test_draws_and_times_are_the_same_in_replay(world_of, ledger):
    app = wf.App()

    @app.workflow
    def draws(ctx):
        drawn = []
        for step in range(3):
            drawn.append(
                [str(ctx.uuid4()), ctx.random().random(), ctx.random_int(0, 10**9), ctx.random_string(8),
                 ctx.random_choice("abcdefgh"), ctx.current_utc_datetime.isoformat(), ctx.now().isoformat()]
            )  # fmt: skip
            ledger.append([step, drawn[step]])
            yield ctx.wait_for_external_event("go")
        return drawn

    world = world_of(app)
    world.start("draws", instance_id="d")
    for _ in range(3):
        world.until(lambda: world.status("d") == "RUNNING", "it runs")
        world.skip(world.tick)
        world.restart()
        world.raise_workflow_event("d", "go")
    drawn = world.result("d")
    assert len({row[0] for row in drawn}) == 3
    assert [step for step, _ in ledger] == [0, 0, 1, 0, 1, 2, 0, 1, 2]  # once live and three times again
    for step, row in ledger:
        assert row == drawn[step]


def test_two_instances_and_two_runs_draw_differently(kit_of):
    app = wf.App()

    @app.workflow
    def draws(ctx):
        return str(ctx.uuid4())
        yield

    world = kit_of(app)
    assert len({world.run("draws", instance_id=each) for each in ("a", "b", "a")}) == 3


def test_time_never_runs_backwards_for_an_instance(kit_of):
    app = wf.App()

    @app.activity
    def echo(ctx):
        return None

    @app.workflow
    def looks(ctx, count):
        times = [ctx.current_utc_datetime]
        for _ in range(count):
            yield ctx.wait_for_external_event("go")
            yield ctx.call_activity(echo)
            times.append(ctx.current_utc_datetime)
        return [each.isoformat() for each in times]

    world = kit_of(app)
    world.start("looks", 6, instance_id="l")
    for step in (1, -24, 2, -100, 150, -1):
        world.client.clock.step(timedelta(hours=step))
        world.skip(timedelta(minutes=1))
        world.raise_workflow_event("l", "go")
        world.restart()
    times = world.result("l")
    assert times == sorted(times)
    assert len(set(times)) > 2
    stamps = [event.at_us for event in world.get_history("l")]
    assert stamps == sorted(stamps)


def test_the_replay_safe_logger_speaks_once(kit_of):
    app = wf.App()

    @app.workflow
    def talks(ctx):
        ctx.logger.info("begun", number=1)
        replaying = ctx.is_replaying
        yield ctx.wait_for_external_event("go")
        ctx.logger.info("gone on with %s", "args")
        yield ctx.wait_for_external_event("go")
        ctx.logger.warning("over")
        return replaying

    settings = testing.kit_settings()
    settings.orchestrator.cache_instances_max = 0
    with structlog.testing.capture_logs() as logs:
        world = kit_of(app, settings=settings)
        world.start("talks", instance_id="t")
        world.raise_workflow_event("t", "go")
        world.restart()
        world.raise_workflow_event("t", "go")
        assert world.result("t") is True  # the last time it ran, its beginning was replayed
    lines = [line for line in logs if line.get("instance_id") == "t"]
    assert [line["event"] for line in lines] == ["begun", "gone on with args", "over"]
    assert [line["log_level"] for line in lines] == ["info", "info", "warning"]
