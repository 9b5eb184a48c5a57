"""Orchestrators of these tests. Activities are named, never registered: the world answers for them."""

import perdure as wf

FAULTS = {"stall": False, "die": ""}  # what the hostile ones do now


def chain(ctx: wf.WorkflowContext, steps: int):
    found = []
    for number in range(steps):
        found.append((yield ctx.call_activity("step", input=number)))  # noqa: PERF401 - it yields
    return found


def fan(ctx: wf.WorkflowContext, width: int):
    return (yield wf.when_all([ctx.call_activity("step", input=number) for number in range(width)]))


def collector(ctx: wf.WorkflowContext, count: int):
    """Every event it is told of, in order."""
    found = []
    for _ in range(count):
        found.append((yield ctx.wait_for_external_event("e")))
        ctx.set_custom_status(len(found))
    return found


def generations(ctx: wf.WorkflowContext, left: int):
    yield ctx.call_activity("step", input=left)
    yield ctx.create_timer(ctx.current_utc_datetime)
    if left > 1:
        ctx.continue_as_new(left - 1, save_events=True)
    return ctx.generation


def parent(ctx: wf.WorkflowContext, children: int):
    return (yield wf.when_all([ctx.call_child_workflow("chain", input=number) for number in range(children)]))


def waiting(ctx: wf.WorkflowContext, _: None = None):
    """Until the event `go`."""
    return (yield ctx.wait_for_external_event("go"))


def app_of(*functions) -> wf.App:
    app = wf.App()
    for function in functions or (chain, fan, collector, generations, parent, waiting):
        app.add_workflow(function)
    return app
