"""The seven patterns with waits short enough for a test, and what must come of each, whatever happens on the way.

Activities compute from their input alone, so that a second try after a crash gives the same; each leaves a line in the
ledger, if there is one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import perdure as wf

app = wf.App()
LEDGER = "PERDURE_TEST_LEDGER"
"""Environment variable: the file that activities leave a line in."""
HOLD_AFTER = "PERDURE_TEST_HOLD_AFTER"
"""Environment variable: so many lines, and no activity returns any more. Its process waits to be killed."""


def _enter(ctx: wf.ActivityContext) -> None:
    path = os.environ.get(LEDGER)
    if not path:
        return
    with Path(path).open("a") as ledger:
        ledger.write(ctx.idempotency_key + "\n")
    hold_after = os.environ.get(HOLD_AFTER)
    if hold_after and len(Path(path).read_text().splitlines()) > int(hold_after):
        threading.Event().wait()


# -- 1: chain ----------------------------------------------------------------------------------------------


@app.workflow
def order(ctx: wf.WorkflowContext, input: dict):
    validated = yield ctx.call_activity(validate, input=input)
    reservation = yield ctx.call_activity(step, input=["reserve", validated["id"]])
    payment = yield ctx.call_activity(step, input=["pay", reservation])
    return (yield ctx.call_activity(step, input=["ship", payment]))


@app.activity
def validate(ctx: wf.ActivityContext, data: dict) -> dict:
    _enter(ctx)
    return {**data, "valid": True}


@app.activity
def step(ctx: wf.ActivityContext, what: list) -> list:
    _enter(ctx)
    return ["done", *what]


# -- 2: fan out and in --------------------------------------------------------------------------------------


@app.workflow
def batch(ctx: wf.WorkflowContext, items: list):
    results = yield wf.when_all([ctx.call_activity(step, input=[item]) for item in items])
    yield ctx.call_activity(step, input=["report", len(results)])
    return [result[1] for result in results]


# -- 3: monitor ---------------------------------------------------------------------------------------------


@app.workflow
def monitor(ctx: wf.WorkflowContext, watch: dict):
    status = yield ctx.call_activity(look, input=watch)
    if status == "delivered":
        return {"order": watch["order"], "looks": watch["looks"] + 1}
    yield ctx.create_timer(ctx.current_utc_datetime + timedelta(seconds=watch["every_s"]))
    ctx.continue_as_new({**watch, "looks": watch["looks"] + 1})


@app.activity
def look(ctx: wf.ActivityContext, watch: dict) -> str:
    _enter(ctx)
    return "delivered" if watch["looks"] == 2 else "on its way"


# -- 4: external event --------------------------------------------------------------------------------------


@app.workflow
def approval(ctx: wf.WorkflowContext, request: dict):
    yield ctx.call_activity(step, input=["ask", request["what"]])
    answer = ctx.wait_for_external_event("answer")
    too_late = ctx.create_timer(timedelta(days=3))
    winner = yield wf.when_any([answer, too_late])
    if winner == too_late:
        return {"status": "timeout"}
    if not answer.result["approved"]:
        return {"status": "rejected"}
    yield ctx.call_activity(step, input=["execute", request["what"]])
    return {"status": "approved"}


# -- 5: saga ------------------------------------------------------------------------------------------------


@app.workflow
def saga(ctx: wf.WorkflowContext, order: dict):
    undo = []
    try:
        yield ctx.call_activity(step, input=["reserve", order["id"]])
        undo.append("release")
        yield ctx.call_activity(step, input=["charge", order["id"]])
        undo.append("refund")
        policy = wf.RetryPolicy(first_retry_interval=timedelta(seconds=0.01), max_number_of_attempts=2)
        yield ctx.call_activity(ship, input=order["id"], retry_policy=policy)
    except wf.TaskFailedError as error:
        for what in reversed(undo):
            yield ctx.call_activity(step, input=[what, order["id"]])
        return {"status": "failed", "why": error.details.error_type, "undone": undo[::-1]}
    return {"status": "success"}


@app.activity
def ship(ctx: wf.ActivityContext, order_id: str) -> None:
    _enter(ctx)
    raise ConnectionError("no carrier")


# -- 6: children --------------------------------------------------------------------------------------------


@app.workflow
def master(ctx: wf.WorkflowContext, orders: list):
    return (yield wf.when_all([ctx.call_child_workflow(fulfillment, input=each) for each in orders]))


@app.workflow
def fulfillment(ctx: wf.WorkflowContext, order_id: str):
    yield ctx.call_activity(step, input=["validate", order_id])
    yield ctx.call_activity(step, input=["fulfill", order_id])
    return [order_id, "fulfilled"]


# -- 7: eternal ---------------------------------------------------------------------------------------------


@app.workflow
def aggregator(ctx: wf.WorkflowContext, state: dict):
    found = yield ctx.call_activity(step, input=["fetch", state["total"]])
    processed = yield ctx.call_activity(count, input=found)
    total = state["total"] + processed
    if state["cycles"] == 1:  # a test has an end, even of what is eternal
        return total
    yield ctx.create_timer(timedelta(seconds=state["every_s"]))
    ctx.continue_as_new({**state, "total": total, "cycles": state["cycles"] - 1})


@app.activity
def count(ctx: wf.ActivityContext, found: list) -> int:
    _enter(ctx)
    return len(found)


# -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pattern:
    workflow: Callable[..., Any]
    input: Any
    output: Any
    activities: int  # that complete, over all generations and children
    events: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.workflow.__name__

    def ask(self, client: Any) -> None:
        """What a client does that repeats its requests until they are answered: each under its command id."""
        client.schedule_new_workflow(
            self.workflow, input=self.input, instance_id=self.name, command_id=f"start-{self.name}"
        )
        for name, data in self.events.items():
            client.raise_workflow_event(self.name, name, data=data, command_id=f"{name}-{self.name}")

    def end(self, client: Any) -> wf.WorkflowState | None:
        state: wf.WorkflowState | None = client.wait_for_workflow_completion(self.name, timeout_in_seconds=20)
        return state


PATTERNS = {
    pattern.name: pattern
    for pattern in (
        Pattern(order, {"id": 7}, ["done", "ship", ["done", "pay", ["done", "reserve", 7]]], 4),
        Pattern(batch, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5], 6),
        Pattern(monitor, {"order": "o", "looks": 0, "every_s": 0.01}, {"order": "o", "looks": 3}, 3),
        Pattern(approval, {"what": "lunch"}, {"status": "approved"}, 2, {"answer": {"approved": True}}),
        Pattern(
            saga,
            {"id": "s"},
            {"status": "failed", "why": "ConnectionError", "undone": ["refund", "release"]},
            4,
        ),
        Pattern(master, ["a", "b", "c"], [["a", "fulfilled"], ["b", "fulfilled"], ["c", "fulfilled"]], 6),
        Pattern(aggregator, {"total": 0, "cycles": 3, "every_s": 0.01}, 9, 6),
    )
}
