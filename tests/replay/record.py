"""Records the corpus: `python -m tests.replay.record` writes a file per recording that has none yet, and its checksum.

A file holds every event of one instance, one hex message a line, as it lies in the log. Nothing is ever written twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perdure.codec.avro import encode
from perdure.core.commands import (
    CompleteActivity,
    FailActivity,
    FireTimer,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.effects import ActivityTask
from perdure.workflow.code import Library
from tests.core.engine import Engine
from tests.replay.patterns import APP

__all__ = ["CORPUS", "checksums"]

CORPUS = Path(__file__).parent / "corpus"
CHECKSUMS = CORPUS / "CHECKSUMS"
ORDER = {"id": "o-1", "items": ["a", "b"], "total": 12.5}
ANSWERS: dict[str, Any] = {
    "validate_order": ORDER, "reserve_inventory": {"id": "r-1"}, "process_payment": {"id": "p-1"},
    "ship_order": {"tracking": "t-1"}, "charge_payment": {"id": "p-1"}, "create_shipment": {"id": "s-1"},
    "process_events": {"count": 2}, "fetch_pending_events": [1, 2],
}  # fmt: skip


def answered(failing: str = "", attempts: int = 9, **answers: Any) -> Callable[[ActivityTask], Any]:
    """Workers: one answer by name; `failing` fails for so many attempts; a list answers one after the other."""

    def oracle(task: ActivityTask) -> Any:
        place = (task.run, task.generation, task.task_id, task.attempt)
        if task.name == failing and task.attempt <= attempts:
            return FailActivity(*place, "ValueError", "no luck")
        answer = {**ANSWERS, **answers}.get(task.name)
        if task.name == "process_item":
            answer = {"status": "error" if task.task_id == 2 else "ok"}
        if task.name == "check_order_status":
            answer = answer[min(task.generation, len(answer) - 1)]
        return CompleteActivity(*place, json.dumps(answer) if answer is not None else "")

    return oracle


def recording(name: str, input: Any, told: tuple[Any, ...] = (), **workers: Any) -> Callable[[], Engine]:
    def record() -> Engine:
        engine = Engine(Library(APP), seed=7, oracle=answered(**workers))
        engine.tell("x", StartWorkflow(name, json.dumps(input), "start x", requested_by="recorder"))
        for step in told:
            if step == "run":
                engine.run()
            elif step == "fire":
                engine.fire("x")
            elif isinstance(step, tuple):
                engine.raised("x", step[0], json.dumps(step[1]), f"event {engine.offset}")
            else:
                engine.tell("x", step)
        for _ in range(40):
            if not engine.step():
                break
        return engine

    return record


def delayed() -> Engine:
    engine = Engine(Library(APP), seed=7, oracle=answered())
    engine.start("x", "keeps_events", "[]", start_at_us=engine.now_us + 1_000_000)
    for number in (1, 2, 3):
        engine.raised("x", "item", str(number))
    engine.run()
    return engine


def stalled() -> Engine:
    """Under a deployment that lacks the workflow it is parked, and goes on when it is back."""
    engine = Engine(Library(APP), seed=7, oracle=answered())
    engine.start("x", "order_workflow", json.dumps(ORDER))
    (place,) = engine.sent("x", ActivityTask)
    whole, engine.library = engine.library, lambda _name: None
    engine.reload("x")
    engine.tell("x", CompleteActivity(place.run, 0, 1, 1, json.dumps(ORDER)))
    engine.tell("x", FireTimer(place.run, 0, 9, 0, "timer", 0))
    engine.library = whole
    engine.tell("x", ResumeWorkflow("r"))
    engine.run()
    return engine


APPROVED, REJECTED = (
    ("Approval-Response", {"approved": True}),
    ("approval-response", {"approved": False, "reason": "late"}),
)
STATUSES = ["shipped", "in transit", "delivered"]
RECORDINGS: dict[str, Callable[[], Engine]] = {
    "chain": recording("order_workflow", ORDER),
    "chain-failed": recording("order_workflow", ORDER, failing="process_payment"),
    "fan-out": recording("batch_processor_workflow", [1, 2, 3, 4]),
    "fan-out-empty": recording("batch_processor_workflow", []),
    "monitor": recording("order_monitor_workflow", "o-1", check_order_status=STATUSES),
    "approval": recording("approval_workflow", {"n": 1}, (APPROVED,)),
    "approval-rejected": recording("approval_workflow", {"n": 1}, (REJECTED,)),
    "approval-timeout": recording("approval_workflow", {"n": 1}),
    "saga": recording("checkout_saga_workflow", ORDER),
    "saga-compensated": recording("checkout_saga_workflow", ORDER, failing="create_shipment"),
    "children": recording("master_workflow", {"id": "b-1", "orders": [{"id": "o-1"}, {"id": "o-2"}]}),
    "eternal": recording("eternal_aggregator_workflow", {}),
    "async-retried": recording("async_checkout", ORDER, failing="reserve_inventory", attempts=2),
    "async-compensated": recording("async_checkout", ORDER, failing="charge_payment"),
    "everything": recording("everything", None, (("ITEM", 1), "run", ("item", 2)), kept=5),
    "everything-in-time": recording("everything", None, (("first", "f"), "run", ("item", 1), ("item", 2)), kept=5),
    "keeps-events": recording("keeps_events", [], (("item", 1), ("Item", 2), ("ITEM", 3))),
    "suspended": recording("everything", None, (SuspendWorkflow("s"), ("item", 1), ("first", "f"), ResumeWorkflow("r"), "run", ("item", 2))),
    "child-retried": recording("retries_a_child", None),
    "terminated": recording("everything", None, (("item", 1), TerminateWorkflow('"stop"', command_id="t"))),
    "delayed": delayed,
    "stalled-and-recovered": stalled,
}  # fmt: skip


def checksums() -> dict[str, str]:
    """name of a corpus file -> sha256, as recorded."""
    text = CHECKSUMS.read_text(encoding="utf-8") if CHECKSUMS.exists() else ""
    return {name: digest for digest, name in (line.split("  ", 1) for line in text.splitlines())}


def main() -> None:
    known = checksums()
    for name, record in RECORDINGS.items():
        engine = record()
        for instance_id, history in engine.history.items():
            file = f"{name}.{instance_id.replace(':', '_')}.hex"
            if file in known or not history:
                continue
            data = "".join(encode(event).hex() + "\n" for event in history)
            (CORPUS / file).write_text(data, encoding="ascii")
            with CHECKSUMS.open("a", encoding="utf-8") as out:
                out.write(f"{hashlib.sha256(data.encode()).hexdigest()}  {file}\n")


if __name__ == "__main__":
    main()
