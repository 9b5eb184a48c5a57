"""What runs while things break: an App whose every result is a function of its input, so that the checker knows it.

Each time an activity's code runs it writes one line to the ledger, a file outside the engine. Money moves as in a bank
that honours idempotency keys: the ledger's reader counts a key once, however often the activity ran.
"""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta

import perdure as wf

app = wf.App()

STEPS = 5
CHILDREN = 3
ROUNDS = 3
ACCOUNTS = 10
CLOSED = "closed"  # the account that takes no money: its transfers are compensated
LABOURS = 3
LABOUR_SECONDS = 1.5  # longer than a revocation waits for what runs (worker.py, REVOKE_GRACE_S)
WORKFLOWS = ("order", "transfer", "fan_out", "approval", "patience", "rounds", "toil")


def write_down(ctx, activity, **more):
    line = {
        "instance": ctx.workflow_id, "run": ctx.run, "generation": ctx.generation, "task": ctx.task_id,
        "attempt": ctx.attempt, "key": ctx.idempotency_key, "activity": activity, "pid": os.getpid(), "at": time.time(),
        **more,
    }  # fmt: skip
    with open(os.environ["LEDGER"], "ab", buffering=0) as ledger:  # one write of a short line is never torn
        ledger.write(json.dumps(line).encode() + b"\n")


@app.activity
def step(ctx, work):
    write_down(ctx, "step", did=work["value"])
    if ctx.attempt <= work.get("failures", 0):
        raise RuntimeError("this attempt was to fail")
    time.sleep(work.get("seconds", 0.01))
    return work["value"]


@app.activity
def labour(ctx, value):
    write_down(ctx, "labour", did=value)
    time.sleep(LABOUR_SECONDS)
    return value


@app.activity
def move(ctx, money):
    if money["account"] == CLOSED and money["amount"] > 0:
        write_down(ctx, "move", did="refused")
        raise wf.NonRetryableError("the account is closed")
    write_down(ctx, "move", did="moved", account=money["account"], amount=money["amount"])
    return money["amount"]


@app.workflow
def order(ctx, number):
    """Five steps; the third of every fifth order fails once and is tried again."""
    done = []
    again = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=50), max_number_of_attempts=3)
    for value in range(STEPS):
        failures = int(number % 5 == 0 and value == 2)
        work = {"value": value, "failures": failures, "seconds": 0.02}
        done.append((yield ctx.call_activity(step, input=work, retry_policy=again)))
    return done


@app.workflow
def transfer(ctx, money):
    """A saga: what was taken is given back if the other side refuses it."""
    yield ctx.call_activity(move, input={"account": money["source"], "amount": -money["amount"]})
    try:
        yield ctx.call_activity(move, input={"account": money["target"], "amount": money["amount"]})
    except wf.TaskFailedError:
        yield ctx.call_activity(move, input={"account": money["source"], "amount": money["amount"]})
        return "given back"
    return "moved"


@app.workflow
def leaf(ctx, value):
    return (yield ctx.call_activity(step, input={"value": value}))


@app.workflow
def fan_out(ctx, number):
    children = [ctx.call_child_workflow(leaf, input=number + place) for place in range(CHILDREN)]
    return sum((yield wf.when_all(children)))


@app.workflow
def approval(ctx, number):
    yield ctx.call_activity(step, input={"value": "asked"})
    answer = yield ctx.wait_for_external_event("answer")
    yield ctx.call_activity(step, input={"value": "carried out"})
    return [number, answer]


@app.workflow
def patience(ctx, number):
    yield ctx.create_timer(timedelta(milliseconds=200))
    yield ctx.call_activity(step, input={"value": number})
    yield ctx.create_timer(timedelta(milliseconds=600))
    return number


@app.workflow
def rounds(ctx, state):
    total = state["total"] + (yield ctx.call_activity(step, input={"value": state["round"]}))
    if state["round"] < ROUNDS:
        ctx.continue_as_new({"round": state["round"] + 1, "total": total})
        return None
    return total


@app.workflow
def toil(ctx, number):
    """One long activity after the other, so that some run at any moment of a test."""
    for place in range(LABOURS):
        number = yield ctx.call_activity(labour, input=number + place)
    return number


def given_to(number):
    """(workflow, input) of the load's start of this number."""
    workflow = WORKFLOWS[number % len(WORKFLOWS)]
    if workflow == "transfer":
        turn = number // len(WORKFLOWS)
        target = CLOSED if turn % 4 == 3 else f"account-{(turn * 3 + 1) % ACCOUNTS}"
        return workflow, {"source": f"account-{turn % ACCOUNTS}", "target": target, "amount": 1 + turn % 7}
    return workflow, {"round": 1, "total": 0} if workflow == "rounds" else number


def expected(workflow, given):
    """The output of a workflow that was given this."""
    return {
        "order": lambda: list(range(STEPS)),
        "transfer": lambda: "given back" if given["target"] == CLOSED else "moved",
        "leaf": lambda: given,
        "fan_out": lambda: sum(given + place for place in range(CHILDREN)),
        "approval": lambda: [given, answer_to(given)],
        "patience": lambda: given,
        "rounds": lambda: sum(range(1, ROUNDS + 1)),
        "toil": lambda: given + sum(range(LABOURS)),
    }[workflow]()


def answer_to(number):
    """The data of the event that an approval waits for."""
    return {"approved": number % 2 == 0, "number": number}
