"""Fakes in the place of activities, and the record of calls."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

import perdure as wf
from perdure import testing

app = wf.App()


@dataclass
class Order:
    id: int
    lines: list


@app.activity
def charge_payment(ctx, order: Order):
    order.lines.clear()
    return {"charged": order.id}


@app.activity
async def send_mail(ctx):
    return "sent"


@app.workflow
def buy(ctx, order):
    retry = wf.RetryPolicy(first_retry_interval=timedelta(minutes=1), backoff_coefficient=2, max_number_of_attempts=4)
    charged = yield ctx.call_activity(charge_payment, input=order, retry_policy=retry, timeout=timedelta(hours=1))
    mail = yield ctx.call_activity(send_mail)
    return [charged, mail]


ORDER = {"id": 7, "lines": ["a"]}


def test_real_activities_run_and_are_recorded_as_they_were_called():
    with testing.engine(app) as env:
        assert env.run(buy, ORDER) == [{"charged": 7}, "sent"]
        (call,) = env.calls(charge_payment)
        assert (call.input, call.attempt, call.at) == (Order(7, ["a"]), 1, testing.START_AT)
        assert [each.name for each in env.calls()] == ["charge_payment", "send_mail"]
        env.activities.clear_calls()
        assert env.calls() == []


def test_a_function_stands_in_and_gets_what_the_real_one_would():
    seen = []

    def fake(ctx, order):
        seen.append(order)
        return "fake"

    with testing.engine(app, activities={charge_payment: fake, "send_mail": lambda ctx: "also"}) as env:
        assert env.run(buy, ORDER) == ["fake", "also"]
    assert seen == [Order(7, ["a"])]


def test_a_fixed_result_is_handed_out_anew_each_time():
    with testing.engine(app, activities={"charge_payment": testing.returns({"list": []})}) as env:
        assert env.run(buy, ORDER) == [{"list": []}, "sent"]


def test_a_call_fails_n_times_and_then_the_real_one_runs():
    with testing.engine(app, activities={"charge_payment": testing.fails(2, ConnectionError("down"))}) as env:
        assert env.run(buy, ORDER) == [{"charged": 7}, "sent"]
        assert [call.attempt for call in env.calls(charge_payment)] == [1, 2, 3]
        assert [call.at - testing.START_AT for call in env.calls(charge_payment)] == [
            timedelta(0), timedelta(minutes=1), timedelta(minutes=3),
        ]  # fmt: skip


def test_a_call_that_always_fails_ends_the_workflow():
    with testing.engine(app, activities={"charge_payment": testing.fails()}) as env:
        with pytest.raises(testing.NotCompleted, match="told to fail"):
            env.run(buy, ORDER)
        assert len(env.calls(charge_payment)) == 4


def test_a_call_that_hangs_times_out_virtually():
    with testing.engine(app, activities={"charge_payment": testing.hangs(1)}) as env:
        env.schedule_new_workflow(buy, input=ORDER, instance_id="b")
        env.skip(timedelta(minutes=59))
        assert env.status("b") == "RUNNING"
        assert env.result("b") == [{"charged": 7}, "sent"]
        assert env.now - testing.START_AT == timedelta(hours=1, minutes=1)


def test_activities_are_replaced_and_restored_while_the_engine_runs():
    with testing.engine(app) as env:
        env.activities.replace(send_mail, testing.returns("fake"))
        assert env.run(buy, ORDER)[1] == "fake"
        env.restart()
        assert env.run(buy, ORDER)[1] == "fake"
        env.activities.restore(send_mail)
        assert env.run(buy, ORDER)[1] == "sent"


def test_the_app_itself_is_not_touched():
    with testing.engine(app, activities={"send_mail": testing.returns(1), "elsewhere": testing.returns(2)}):
        pass
    assert app.activities["send_mail"].fn is send_mail
    assert "elsewhere" not in app.activities


def test_an_activity_of_another_worker_can_be_faked_by_its_name():
    foreign = wf.App()

    @foreign.workflow
    def asks(ctx):
        return (yield ctx.call_activity("ship", input=1))

    with testing.engine(foreign, activities={"ship": lambda ctx, number: number + 1}) as env:
        assert env.run(asks) == 2
        env.activities.replace("ship", testing.fails(0))
        with pytest.raises(testing.NotCompleted, match="no activity 'ship'"):
            env.run(asks)


def test_a_slip_of_the_pen_is_caught():
    with pytest.raises(ValueError, match="did you mean 'charge_payment'"):
        testing.engine(app, activities={"charge_paymnet": testing.returns(1)}).__enter__()
    with testing.engine(app) as env, pytest.raises(TypeError, match="returns"):
        env.activities.replace("send_mail", "sent")


def test_a_fake_that_raises_shows_its_own_line():
    def fake(ctx, order):
        raise KeyError("here")

    with testing.engine(app, activities={charge_payment: fake}) as env:
        with pytest.raises(testing.NotCompleted) as caught:
            env.run(buy, ORDER)
        assert caught.value.details.message.endswith("'here'")
