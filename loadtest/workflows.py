"""The workflows that are measured. Activities do nothing, so that what is left is the engine."""

from datetime import timedelta

import perdure as wf

app = wf.App()


@app.activity
def step(ctx, number):
    return number + 1


@app.activity
async def step_async(ctx, number):
    return number + 1


@app.workflow
def chain(ctx, length):
    """`length` activities, one after the other."""
    number = 0
    for _ in range(length):
        number = yield ctx.call_activity(step, input=number)
    return number


@app.workflow
def chain_async(ctx, length):
    number = 0
    for _ in range(length):
        number = yield ctx.call_activity(step_async, input=number)
    return number


@app.workflow
def fan(ctx, width):
    """`width` activities at once."""
    results = yield wf.when_all([ctx.call_activity(step, input=number) for number in range(width)])
    return len(results)


@app.workflow
def sleeper(ctx, milliseconds):
    yield ctx.create_timer(timedelta(milliseconds=milliseconds))


@app.workflow
def waiter(ctx, name):
    yield ctx.wait_for_external_event(name)
