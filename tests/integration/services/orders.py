"""An application whose activities write a ledger that the tests read: one line each time user code ran."""

import os
import time
from datetime import timedelta

import perdure as wf

app = wf.App()


def write_down(line):
    with open(os.environ["LEDGER"], "a", encoding="utf-8") as ledger:
        ledger.write(f"{line}\n")  # one write below the size of a pipe's buffer is not torn


@app.activity
def step(ctx, order):
    write_down(f"{order['id']} {order['step']}")
    time.sleep(order.get("seconds", 0.0))
    return order["step"]


@app.workflow
def order(ctx, order_id):
    """Three steps and a timer."""
    done = []
    for number in range(3):
        done.append((yield ctx.call_activity(step, input={"id": order_id, "step": number})))
        if number == 1:
            yield ctx.create_timer(timedelta(milliseconds=500))
    return done


@app.workflow
def slow(ctx, order_id):
    return (yield ctx.call_activity(step, input={"id": order_id, "step": 0, "seconds": 3.0}))


@app.activity
def hang(ctx, order_id):
    write_down(f"{order_id} {ctx.attempt} {os.getpid()}")
    if ctx.attempt == 1:
        time.sleep(3600)
    return ctx.attempt


@app.workflow
def patient(ctx, order_id):
    """Its first attempt never ends: the second one follows when the time-out of the first has passed."""
    again = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=3)
    return (yield ctx.call_activity(hang, input=order_id, timeout=timedelta(seconds=20), retry_policy=again))


@app.workflow
def collect(ctx, order_id):
    """The data of four events, in their order."""
    data = []
    for _ in range(4):
        one = yield ctx.wait_for_external_event("parcel")
        data.append(one)
    return data


@app.workflow
def approval(ctx, _):
    return (yield ctx.wait_for_external_event("approved"))


@app.activity
def reserve(ctx, order):
    write_down(f"{order['id']} reserve")
    return {"reservation": f"r-{order['id']}"}


@app.workflow
def order_workflow(ctx, order):
    """What the programs of examples/kafka start."""
    reservation = yield ctx.call_activity(reserve, input=order)
    approval = yield ctx.wait_for_external_event("approved", timeout=timedelta(days=3))
    return {**reservation, "by": approval["by"]}


@app.workflow
def echo(ctx, value):
    return value
    yield


@app.workflow
def parcels(ctx, count):
    """The data of so many events, in their order."""
    data = []
    while len(data) < count:
        one = yield ctx.wait_for_external_event("parcel")
        data.append(one)
    return data


@app.workflow
def rounds(ctx, left):
    """A generation for each round; events that nobody waits for are carried along."""
    ctx.set_custom_status(f"{left} left")
    yield ctx.wait_for_external_event("go")
    if left:
        ctx.continue_as_new(left - 1, save_events=True)
        return None
    return "done"


@app.workflow
def failing(ctx, _):
    raise ValueError("as it should")
    yield


@app.workflow
def family(ctx, order_id):
    """An order as its child, and one more step when that has ended."""
    done = yield ctx.call_child_workflow(order, input=f"{order_id}-child", instance_id=f"{order_id}-child")
    return [*done, (yield ctx.call_activity(step, input={"id": order_id, "step": 3}))]
