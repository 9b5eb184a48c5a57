"""An application for the tests of the command line."""

import time

import perdure as wf

app = wf.App()
broken = {"not": "an App"}


@app.activity
def charge(ctx, order):
    return {"charged": order["amount"]}


@app.activity
def refuse(ctx, order):
    raise ValueError("the card was declined")


@app.workflow
def order(ctx, order):
    """Charges."""
    receipt = yield ctx.call_activity(charge, input=order)
    return receipt


@app.workflow
def declined(ctx, order):
    return (yield ctx.call_activity(refuse, input=order))


@app.workflow
def approval(ctx, order):
    ctx.set_custom_status("waiting for a decision")
    decision = yield ctx.wait_for_external_event("decision")
    return decision


@app.workflow
def clocked(ctx, order):
    return time.time()
    yield


@app.workflow
def parent(ctx, order):
    return (yield ctx.call_child_workflow(approval, input=order))
