"""An application that does one of each: an attempt that fails, a timer, a child."""

import os
from datetime import timedelta

from opentelemetry import trace

import perdure as wf

app = wf.App()


@app.activity
def charge(ctx, order_id):
    with open(os.environ["LEDGER"], "a", encoding="utf-8") as ledger:
        ledger.write(f"{order_id} {ctx.attempt}\n")
    with trace.get_tracer("shop").start_as_current_span("card"):
        if ctx.attempt < 2:
            raise ConnectionError("the card's number is nobody's business")
    return ctx.attempt


@app.activity
async def note(ctx, text):
    return text


@app.workflow
def packing(ctx, order_id):
    return (yield ctx.call_activity(note, input=order_id))


@app.workflow
def rounds(ctx, number):
    """Three generations of one activity and, so that one of them is under way at any time, a timer."""
    yield ctx.call_activity(note, input=number)
    yield ctx.create_timer(timedelta(seconds=1))
    if number < 2:
        ctx.continue_as_new(number + 1)
    return number


@app.workflow
def order(ctx, order_id):
    policy = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=300), max_number_of_attempts=3)
    yield ctx.call_activity(charge, input=order_id, retry_policy=policy)
    yield ctx.create_timer(timedelta(seconds=1))
    yield ctx.call_child_workflow(packing, input=order_id, instance_id=f"{order_id}-packing")
    return "done"
