"""The App that runs plans (see plans.py). Whatever it does is a function of its plan and of its history.

Version 1 is right. Version 2 is a bad deployment: it has no `plan_b`, and where a step is "changed" it asks, in replay
only, for another activity than it did, so that a replay departs from history while a first run does not. Deploying
version 1 again mends what stalled.
"""

from __future__ import annotations

import asyncio
import types
from datetime import timedelta

import perdure as wf
from tests.simulation.workload.plans import MOVE_RETRY, move_inputs, undo_input, work_input, worked


def make_app(ledger, version=1):
    """`ledger` is called with a dict whenever an activity's code begins."""
    app = wf.App()
    for activity in _activities(ledger):
        app.add_activity(activity)

    # The default is no input: it makes the fingerprint of one version differ from the other's.
    @app.workflow
    def plan(ctx, given, version=version):
        return (yield from _walk(ctx, given, version))

    if version == 1:

        @app.workflow
        async def plan_b(ctx, given, version=version):
            return await _walk(ctx, given, version)

    return app


def _activities(ledger):
    async def work(ctx, spec):
        ledger(_line(ctx, "work", spec))
        _fail_if_asked(ctx, spec)
        await asyncio.sleep(spec["seconds"])
        return worked(spec["value"])

    def work_plainly(ctx, spec):
        ledger(_line(ctx, "work_plainly", spec))
        _fail_if_asked(ctx, spec)
        return worked(spec["value"])

    async def move(ctx, spec):
        did = "refused" if spec["refused"] else "moved"
        ledger(_line(ctx, "move", spec) | {"account": spec["account"], "amount": spec["amount"], "did": did})
        if spec["refused"]:
            raise wf.NonRetryableError("the account is closed")
        return spec["amount"]

    return work, work_plainly, move


def _line(ctx, activity, spec):
    return {
        "instance": ctx.workflow_id, "run": ctx.run, "generation": ctx.generation, "task": ctx.task_id,
        "attempt": ctx.attempt, "key": ctx.idempotency_key, "activity": activity, "spec": spec,
    }  # fmt: skip


def _fail_if_asked(ctx, spec):
    if ctx.attempt <= spec["failures"]:
        raise RuntimeError("this attempt was to fail")
    if spec["fatal"]:
        raise wf.NonRetryableError("this was to fail for good")


# -- orchestration: generators that plain generators yield from, and that `async def` awaits ----------------------


@types.coroutine
def _walk(ctx, given, version):
    results = []
    for step in given["steps"]:
        if step["do"] == "again":
            ctx.continue_as_new(step["plan"], save_events=step["save_events"])
            return None
        results.append((yield from STEPS[step["do"]](ctx, step, version)))
    return {"label": given["label"], "results": results}


def _asked(ctx, step, name=None):
    """The task of an activity, child, timer or event."""
    if step["do"] == "timer":
        return ctx.create_timer(timedelta(seconds=step["seconds"]))
    if step["do"] == "event":
        timeout = None if step["timeout_s"] is None else timedelta(seconds=step["timeout_s"])
        return ctx.wait_for_external_event(step["name"], timeout=timeout)
    if step["do"] == "child":
        return ctx.call_child_workflow(
            step["workflow"], input=step["plan"], instance_id=step["id"], retry_policy=_policy(step["retry"])
        )
    timeout = timedelta(seconds=step["timeout_s"]) if step["timeout_s"] else None
    return ctx.call_activity(
        name or step["name"], input=work_input(step), retry_policy=_policy(step["retry"]), timeout=timeout
    )


def _policy(retry):
    if retry is None:
        return None
    first = timedelta(seconds=retry["first_s"])
    return wf.RetryPolicy(
        first_retry_interval=first, max_number_of_attempts=retry["attempts"], backoff_coefficient=retry["backoff"]
    )


def _outcome(step, task):
    """The result of a task that has ended."""
    try:
        value = task.get_result()
    except wf.TaskFailedError as failed:
        return ["failed", failed.details.error_type]
    except TimeoutError:
        return ["timeout"]
    return {"timer": ["timer"], "event": ["event", value]}.get(step["do"], ["ok", value])


def _one(ctx, step, version, name=None):
    task = _asked(ctx, step, name)
    try:
        yield task
    except (wf.TaskFailedError, TimeoutError):
        pass  # told by the outcome
    return _outcome(step, task)


def _changed(ctx, step, version):
    name = "work_otherwise" if version == 2 and ctx.is_replaying else step["name"]
    return (yield from _one(ctx, step, version, name))


def _fan(ctx, step, version):
    try:
        return ["all", (yield wf.when_all([_asked(ctx, each) for each in step["branches"]]))]
    except wf.TaskFailedError as failed:
        return ["failed", failed.details.error_type]


def _race(ctx, step, version):
    tasks = [_asked(ctx, each) for each in step["branches"]]
    winner = yield wf.when_any(tasks)
    index = next(place for place, each in enumerate(tasks) if each is winner)
    return [index, _outcome(step["branches"][index], winner)]


def _status(ctx, step, version):
    ctx.set_custom_status(step["value"])
    return None
    yield


def _saga(ctx, step, version):
    """Moves one after the other; what was moved before a refusal is moved back, the latest first.

    Of a move that fails otherwise (its workers died again and again) nobody knows whether it was made. Then the result is
    "broken", and the ledger alone tells what the accounts hold.
    """
    made = []
    for given in move_inputs(step):
        try:
            yield ctx.call_activity("move", input=given, retry_policy=_policy(MOVE_RETRY))
        except wf.TaskFailedError as failed:
            error_type = failed.details.error_type
            break
        made.append(given)
    else:
        return ["moved"]
    sound = error_type == "NonRetryableError"
    for given in reversed(made):
        try:
            yield ctx.call_activity("move", input=undo_input(given), retry_policy=_policy(MOVE_RETRY))
        except wf.TaskFailedError:
            sound = False
    return ["undone" if sound else "broken", error_type]


def _fail(ctx, step, version):
    raise RuntimeError(step["message"])
    yield


STEPS = {
    "activity": _one, "timer": _one, "event": _one, "child": _one, "changed": _changed, "fan": _fan, "race": _race,
    "status": _status, "saga": _saga, "fail": _fail,
}  # fmt: skip
