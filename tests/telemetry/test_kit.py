"""The tree of spans, exactly, in virtual time."""

from __future__ import annotations

import pytest
from opentelemetry import trace

from perdure.testing import engine
from tests.telemetry.collected import once, steps, tree
from tests.telemetry.conftest import provider_for
from tests.telemetry.programs import ORDER, make_app

pytestmark = pytest.mark.filterwarnings("ignore:You should use InstrumentationScope")


def names(spans):
    return tree(steps(spans))


def test_one_workflow_is_one_trace_with_every_attempt_timer_and_child_in_its_place(collected):
    with engine(make_app()) as env:
        env.run("order", "o", instance_id="o1")
    assert names(collected.spans) == [ORDER]
    assert len({span.trace_id for span in collected.spans if span.name != "process"}) == 1
    assert len(once(collected.spans)) == len(collected.spans)
    first, second = collected.named("activity||charge")
    assert [span.attributes["perdure.attempt"] for span in (first, second)] == [1, 2]
    assert (first.error, second.error) == ("ConnectionError", None)
    assert second.start_us - first.end_us == pytest.approx(1_000_000, abs=50_000)
    (timer,) = collected.named("timer")
    assert timer.end_us - timer.start_us == pytest.approx(5_000_000, abs=50_000)
    (whole,) = collected.named("orchestration||order")
    history = 6_000_000
    assert whole.end_us - whole.start_us == pytest.approx(history, abs=200_000)
    assert whole.attributes["perdure.status"] == "COMPLETED"
    assert whole.attributes["perdure.instance_id"] == "o1"
    (child,) = collected.named("orchestration||packing")
    assert child.attributes["perdure.parent.instance_id"] == "o1"


def test_turns_lie_below_their_workflow_and_show_it_before_it_ends(collected):
    with engine(make_app()) as env:
        env.schedule_new_workflow("waiting", instance_id="w1")
        assert env.status("w1") == "RUNNING"
        (turn,) = collected.named("turn||waiting")
        assert not collected.named("orchestration||waiting")
        env.raise_workflow_event("w1", "go", data=1)
        env.result("w1")
    (whole,) = collected.named("orchestration||waiting")
    assert turn.parent_id == whole.span_id
    assert turn.events == ["WorkflowStarted"]
    assert [span.parent_id for span in collected.named("turn||waiting")] == [whole.span_id] * 2


def test_no_text_of_a_failure_and_no_payload_leaves_with_a_span(collected):
    with engine(make_app()) as env:
        env.run("order", "payload-of-mine", instance_id="o1")
        env.schedule_new_workflow("doomed", instance_id="d1")
        env.wait_for_workflow_completion("d1")
    told = " ".join(span.to_json() for span in collected.raw)
    for private in ("4929", "secret-text", "payload-of-mine"):
        assert private not in told
    (failed,) = collected.named("orchestration||doomed")
    assert (failed.error, failed.attributes["error.type"]) == ("TaskFailedError", "TaskFailedError")
    assert failed.attributes["perdure.status"] == "FAILED"


def test_each_generation_has_a_trace_of_its_own_linked_to_the_one_before(collected):
    with engine(make_app()) as env:
        env.run("rounds", 0, instance_id="r1")
    first, second, third = sorted(
        collected.named("orchestration||rounds"), key=lambda span: span.attributes["perdure.generation"]
    )
    assert len({first.trace_id, second.trace_id, third.trace_id}) == 3
    assert (first.links, second.links, third.links) == ([], [first.key], [second.key])
    assert (second.parent_id, third.parent_id) == (0, 0)
    assert [span.attributes["perdure.status"] for span in (first, second, third)] == [
        "CONTINUED_AS_NEW", "CONTINUED_AS_NEW", "COMPLETED",
    ]  # fmt: skip
    for each in (first, second, third):
        (note,) = [span for span in collected.named("activity||note") if span.parent_id == each.span_id]
        assert note.trace_id == each.trace_id


def test_a_start_goes_on_in_its_callers_trace_and_an_event_is_linked_to_who_raised_it(collected):
    tracer = trace.get_tracer("shop")
    with engine(make_app()) as env:
        with tracer.start_as_current_span("checkout") as checkout:
            env.schedule_new_workflow("waiting", instance_id="w1")
        with tracer.start_as_current_span("approve") as approve:
            env.raise_workflow_event("w1", "go", data=1)
        env.result("w1")
    created, whole = collected.named("create_orchestration||waiting")[0], collected.named("orchestration||waiting")[0]
    context = checkout.get_span_context()
    assert (created.trace_id, created.parent_id) == (context.trace_id, context.span_id)
    assert (whole.trace_id, whole.parent_id) == (context.trace_id, created.span_id)
    (told,) = [span for span in collected.named("turn||waiting") if "EventRaised" in span.events]
    assert told.links == [(approve.get_span_context().trace_id, approve.get_span_context().span_id)]


def test_within_an_activity_the_attempt_is_the_current_span(collected):
    app = make_app()

    @app.activity
    def instrumented(ctx, _):
        trace.get_current_span().set_attribute("shop.lines", 3)
        trace.get_current_span().add_event("half way")
        with trace.get_tracer("shop").start_as_current_span("query"):
            return 1

    @app.activity
    async def instrumented_too(ctx, _):
        with trace.get_tracer("shop").start_as_current_span("fetch"):
            return 2

    @app.workflow
    def both(ctx, _):
        yield ctx.call_activity(instrumented, input=None)
        yield ctx.call_activity(instrumented_too, input=None)

    with engine(app) as env:
        env.run("both", instance_id="b1")
    (plain,), (query,) = collected.named("activity||instrumented"), collected.named("query")
    assert (query.trace_id, query.parent_id) == plain.key
    assert plain.attributes["shop.lines"] == 3
    assert plain.events == ["half way"]
    (waited,), (fetch,) = collected.named("activity||instrumented_too"), collected.named("fetch")
    assert (fetch.trace_id, fetch.parent_id) == waited.key


def test_what_the_sampler_drops_is_dropped_whole(monkeypatch):
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    collected = provider_for(monkeypatch, sampler=ParentBased(TraceIdRatioBased(0.5)))
    with engine(make_app()) as env:
        for number in range(40):
            env.run("order", "o", instance_id=f"o{number}")
    spans = steps(collected.spans)
    kept = {span.trace_id for span in spans}
    assert 5 < len(kept) < 35
    assert names(spans) == [ORDER] * len(kept)


def test_what_is_stopped_by_its_time_out_is_told_by_the_orchestrator(collected):
    import asyncio
    from datetime import timedelta

    app = make_app()

    @app.activity
    async def hangs(ctx, _):
        await asyncio.sleep(1000)

    @app.workflow
    def impatient(ctx, _):
        yield ctx.call_activity(hangs, input=None, timeout=timedelta(seconds=3))

    with engine(app) as env:
        env.schedule_new_workflow("impatient", instance_id="i1")
        env.wait_for_workflow_completion("i1")
    (attempt,) = collected.named("activity||hangs")
    assert attempt.error == "ActivityTimeout"
    assert attempt.end_us - attempt.start_us == pytest.approx(3_000_000, abs=100_000)
    assert attempt.parent_id == collected.named("orchestration||impatient")[0].span_id


def test_an_activity_that_nobody_knows_is_told_as_a_failed_attempt(collected):
    app = make_app()

    @app.workflow
    def mistaken(ctx, _):
        yield ctx.call_activity("nobody", input=None)

    with engine(app) as env:
        env.schedule_new_workflow("mistaken", instance_id="m1")
        env.wait_for_workflow_completion("m1")
    (attempt,) = collected.named("activity||nobody")
    assert attempt.error == "ActivityNotRegistered"


def test_replay_tells_nothing_again(collected):
    with engine(make_app()) as env:
        env.schedule_new_workflow("waiting", instance_id="w1")
        env.status("w1")
        env.restart()
        before = len(steps(collected.spans))
        env.raise_workflow_event("w1", "go", data=1)
        env.result("w1")
        env.restart()
        assert env.status("w1") == "COMPLETED"
    after = [span.name for span in steps(collected.spans)][before:]
    assert after == ["orchestration||waiting"]


def test_without_a_provider_nothing_is_told_and_nothing_is_written():
    with engine(make_app()) as env:
        env.run("order", "o", instance_id="o1")
        assert env.history("o1")[0].traceparent == ""
        assert env.engine.worker._dispatcher.tracing is None
