"""An application that touches every topic: activities, timers near and far, a child, events."""

import os
from datetime import timedelta

import perdure as wf

app = wf.App()


@app.activity
def step(ctx, number):
    with open(os.environ["LEDGER"], "a", encoding="utf-8") as ledger:
        ledger.write(f"{ctx.workflow_id} {number}\n")
    return number


@app.activity
def unsteady(ctx, _):
    if ctx.attempt == 1:
        raise ValueError("once")
    return ctx.attempt


@app.workflow
def child(ctx, number):
    return (yield ctx.call_activity(step, input=number))


@app.workflow
def family(ctx, _):
    first = yield ctx.call_activity(step, input=0)
    second = yield ctx.call_child_workflow(child, input=1)
    again = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=2)
    third = yield ctx.call_activity(unsteady, retry_policy=again, timeout=timedelta(seconds=30))
    yield ctx.create_timer(timedelta(milliseconds=200))
    told = yield ctx.wait_for_external_event("go", timeout=timedelta(hours=1))
    return [first, second, third, told]


@app.workflow
def unserved(ctx, _):
    """No worker has this activity: each passes the task on."""
    return (yield ctx.call_activity("nobody_has_it"))


@app.workflow
def fails(ctx, _):
    """Its kind is kept for a moment only, and then purged for its age."""
    raise ValueError("at once")


@app.workflow
def halts(ctx, _):
    """Parked as STALLED, at every try."""
    raise SystemExit


@app.workflow
def sleeps(ctx, _):
    """Longer than a timer is kept in memory alone."""
    yield ctx.create_timer(timedelta(days=1))
