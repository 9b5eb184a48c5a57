"""Recorded histories against code."""

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest

import perdure as wf
from perdure import testing
from perdure.codec.avro import encode

app = wf.App()


@app.activity
def reserve(ctx, order):
    return "reserved"


@app.activity
def ship(ctx, order):
    return "shipped"


@app.activity
def refund(ctx, order):
    return "refunded"


@app.workflow
def packing(ctx, order):
    return "packed"
    yield


@app.workflow
def fulfil(ctx, order):
    retry = wf.RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3)
    yield ctx.call_activity(reserve, input=order, retry_policy=retry)
    yield ctx.call_child_workflow(packing, input=order)
    yield ctx.wait_for_external_event("paid")
    ctx.set_custom_status("paid")
    return (yield ctx.call_activity(ship, input=order))


@pytest.fixture(scope="module")
def recorded():
    with testing.engine(app) as env:
        env.schedule_new_workflow(fulfil, input={"id": 1}, instance_id="f")
        waiting = env.history("f")
        env.raise_workflow_event("f", "paid")
        env.result("f")
        return SimpleNamespace(waiting=waiting, completed=env.history("f"))


def test_the_same_code_goes_on_where_the_history_ends(recorded):
    found = testing.replay(recorded.waiting, app)
    assert (found.state, found.asks_for) == ("waiting", ())
    assert "paid" in found.waits_for
    assert found.where.startswith(f"{__file__}:")


def test_a_completed_history_gives_its_result_again(recorded):
    assert testing.replay(recorded.completed, app).output == "shipped"


def test_one_workflow_function_is_enough(recorded):
    def packing(ctx, order):
        yield

    def fulfil_by_names(ctx, order):
        yield ctx.call_activity("reserve", input="another input is fine")
        yield ctx.call_child_workflow("packing")
        yield ctx.wait_for_external_event("paid")
        return "early"

    assert testing.replay(recorded.waiting, fulfil_by_names).state == "waiting"


def test_a_changed_step_is_shown_with_both_sides_and_the_line(recorded):
    def fulfil_refunding(ctx, order):
        yield ctx.call_activity("refund", input=order)

    with pytest.raises(
        testing.Diverged, match=r"history has activity 'reserve' .* asked for activity 'refund'"
    ) as caught:
        testing.replay(recorded.waiting, fulfil_refunding)
    assert f"{__file__}:" in str(caught.value)


def test_a_step_that_is_gone_is_shown(recorded):
    def fulfil_nothing(ctx, order):
        return "done"
        yield

    with pytest.raises(testing.Diverged, match=r"history has activity 'reserve' .* did not ask for it"):
        testing.replay(recorded.waiting, fulfil_nothing)


def test_another_end_is_a_divergence_too(recorded):
    def fulfil_waiting(ctx, order):
        yield ctx.call_activity("reserve")
        yield ctx.call_child_workflow("packing")
        yield ctx.wait_for_external_event("paid")
        ctx.set_custom_status("paid")
        yield ctx.call_activity("ship")
        yield ctx.wait_for_external_event("a signature")

    with pytest.raises(testing.Diverged, match=r"WorkflowCompleted.*waits for .*a signature"):
        testing.replay(recorded.completed, fulfil_waiting)

    def fulfil_failing(ctx, order):
        yield ctx.call_activity("reserve")
        yield ctx.call_child_workflow("packing")
        yield ctx.wait_for_external_event("paid")
        ctx.set_custom_status("paid")
        yield ctx.call_activity("ship")
        raise LookupError("changed its mind")

    with pytest.raises(testing.Diverged, match="changed its mind"):
        testing.replay(recorded.completed, fulfil_failing)


def test_code_that_asks_for_more_at_the_end_is_told(recorded):
    cut = testing.History(recorded.waiting[:1], "f")
    found = testing.replay(cut, app)
    assert found.asks_for == ("ActivityScheduled reserve",)


def test_histories_survive_a_file(recorded, tmp_path):
    path = tmp_path / "fulfil.json"
    testing.dump_history(recorded.completed, path)
    loaded = testing.load_history(path)
    assert (list(loaded), loaded.instance_id) == (list(recorded.completed), "f")
    assert json.loads(path.read_text())["events"][0]["type"] == "WorkflowStarted"
    assert testing.replay(path, app).output == "shipped"
    assert testing.replay(path.read_text(), app).output == "shipped"
    assert testing.replay(json.loads(path.read_text()), app).output == "shipped"
    assert testing.replay(json.loads(path.read_text())["events"], app).output == "shipped"


def test_stored_bytes_and_bare_events_are_histories_too(recorded):
    assert testing.replay([encode(event) for event in recorded.completed], app).output == "shipped"
    assert testing.replay(list(recorded.completed), app).output == "shipped"  # the child's id tells the parent's


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("{", "no JSON"),
        ("[]", "begins with WorkflowStarted"),
        ('{"events": 3}', "list of"),
        ('[{"type": "WorkflowImagined"}]', "newer version"),
        ('[{"type": "WorkflowBegun", "colour": 1}]', "does not fit"),
        ([3], "no event"),
        ([b"\x00\x01"], "no event"),
    ],
)
def test_what_is_no_history_is_refused_by_name(given, complaint):
    with pytest.raises(testing.HistoryUnreadable, match=complaint):
        testing.replay(given, app)


def test_a_history_of_an_unknown_workflow_names_those_there_are(recorded):
    with pytest.raises(LookupError, match="'fulfil', which is not registered"):
        testing.replay(recorded.waiting, wf.App())


def test_deterministic_draws_need_the_instance_id(recorded):
    drawing = wf.App()

    @drawing.workflow
    def draws(ctx):
        number = ctx.random_int(0, 10**9)
        yield ctx.create_timer(timedelta(seconds=1))
        return number

    with testing.engine(drawing) as env:
        env.schedule_new_workflow(draws, instance_id="d")
        number = env.result("d")
        history = env.get_history("d")
    assert testing.replay(history, drawing, instance_id="d").output == number
    assert testing.replay(history, drawing).output != number
