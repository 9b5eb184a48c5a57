"""What an instance is, as a stranger folds it from history: its state after each event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.simulation.evidence import Fact

REMEMBERED = 1_000  # command ids of an instance, the latest (docs/limits.md)
ENDED = {"WorkflowCompleted": "COMPLETED", "WorkflowFailed": "FAILED", "WorkflowTerminated": "TERMINATED"}
STEPS = {"ActivityScheduled", "TimerCreated", "ChildScheduled"}
PLAIN = ("name", "input", "output", "custom_status", "error_type", "error_message", "stack_trace")


@dataclass
class Step:
    """One that has not ended."""

    asked: Fact
    attempt: int = 1
    retry_at_us: int = 0  # above 0: between attempts


class Life:
    """The latest generation of the latest run of an instance id."""

    def __init__(self, instance):
        self.instance = instance
        self.started: dict[str, Any] | None = None  # fields of its WorkflowStarted
        self.last_seq = self.updated_at_us = 0
        self.ended = ""
        self.command_ids: dict[str, None] = {}
        self._begin({"run": "", "generation": 0, "created_at_us": 0, "start_at_us": 0, "name": "", "input": ""})

    def _begin(self, fields):
        self.run, self.generation = fields["run"], fields["generation"]
        self.created_at_us = fields["created_at_us"]
        self.begun = fields["start_at_us"] == 0 and fields["generation"] == 0
        self.name, self.input = fields["name"], fields["input"]
        self.output = self.custom_status = self.error_type = self.error_message = self.stack_trace = ""
        self.ended = ""
        self.suspended = False
        self.stalled: dict[str, Any] | None = None
        self.open: dict[int, Step] = {}
        self.children: list[dict[str, Any]] = []  # of this generation: child_id, generation, task_id
        self.carried_children = list(fields.get("carried_children", ()))
        self.raised = 0  # events of this generation

    # -- looking ----------------------------------------------------------------------------------------------

    @property
    def known(self):
        return self.started is not None and self.ended != "PURGED"

    @property
    def active(self):
        return self.started is not None and not self.ended

    @property
    def status(self):
        if self.ended:
            return self.ended
        if self.stalled is not None:
            return "STALLED"
        if self.suspended:
            return "SUSPENDED"
        return "RUNNING" if self.begun or self.generation else "PENDING"

    def is_child_of(self, command):
        """Did the very step that a recursive command names start this run?"""
        names = ("parent_id", "parent_run", "parent_generation", "parent_task_id")
        return self.started is not None and all(self.started[name] == command[name] for name in names)

    def open_children(self):
        """Those carried along (which may have ended) and those of this generation that have not."""
        mine = [
            _child(step.asked.fields) for step in self.open.values() if step.asked.name == "ChildScheduled"
        ]  # fmt: skip
        return [*self.carried_children, *mine]

    def remembered(self):
        """What a next run or generation goes on knowing."""
        start = self.started["command_id"] if self.started else ""
        return [*self.command_ids, *([start] if start else [])][-REMEMBERED:]

    def snapshot(self):
        """What a client may be told. None: nobody knows it."""
        if self.started is None:
            return None
        plain = {name: getattr(self, name) for name in PLAIN}
        return plain | {
            "instance_id": self.instance, "run": self.run, "generation": self.generation, "status": self.status,
            "created_at_us": self.created_at_us, "updated_at_us": self.updated_at_us,
            "parent_id": self.started["parent_id"], "events": self.last_seq,
        }  # fmt: skip

    def row(self):
        """What the store holds."""
        link = self.started
        plain = {name: getattr(self, name) for name in PLAIN}
        return plain | {
            "instance_id": self.instance, "run": self.run, "generation": self.generation, "last_seq": self.last_seq,
            "status": self.status, "created_at_us": self.created_at_us, "updated_at_us": self.updated_at_us,
            "parent_id": link["parent_id"], "parent_run": link["parent_run"],
            "parent_generation": link["parent_generation"], "parent_task_id": link["parent_task_id"],
            "start_command_id": link["command_id"], "command_ids": list(self.command_ids),
            "stalled_fingerprint": self.stalled["fingerprint"] if self.stalled else "",
            "children": [*self.carried_children, *self.children],
        }  # fmt: skip

    # -- the fold ---------------------------------------------------------------------------------------------

    def apply(self, fact):
        name, fields = fact.name, fact.fields
        if name == "WorkflowStarted":
            self._begin(fields)
            self.started = fields
            self.command_ids = dict.fromkeys(fields["carried_command_ids"])
        elif name in ENDED:
            self._end(ENDED[name], fields)
        elif name in STEPS:
            self.open[fields["task_id"]] = Step(fact)
            if name == "ChildScheduled":
                self.children.append(_child(fields))
        elif "task_id" in fields:
            self._step(name, fields)
        else:
            self._other(name, fields)
        if name in REMEMBERS and not fields.get("carried"):
            self._remember(fields["command_id"])
        self.last_seq, self.updated_at_us = fields["seq"], fields["at_us"]

    def _end(self, status, fields):
        self.ended = status
        self.suspended, self.stalled = False, None
        self.open.clear()
        for name in ("output", "error_type", "error_message", "stack_trace"):
            if name in fields:
                setattr(self, name, fields[name])

    def _step(self, name, fields):
        """A result, or another attempt."""
        task = fields["task_id"]
        if name.endswith("Retried"):
            if task in self.open:
                self.open[task].attempt, self.open[task].retry_at_us = fields["attempt"], 0
        elif fields.get("retry_at_us"):
            if task in self.open:
                self.open[task].retry_at_us = fields["retry_at_us"]
        else:
            self.open.pop(task, None)

    def _other(self, name, fields):
        if name == "WorkflowBegun":
            self.begun = True
        elif name == "WorkflowSuspended":
            self.suspended = True
        elif name == "WorkflowResumed":
            self.suspended = False
        elif name == "WorkflowStalled":
            self.stalled = fields
        elif name == "WorkflowRecovered":
            self.stalled = None
        elif name == "CustomStatusSet":
            self.custom_status = fields["value"]
        elif name == "EventRaised":
            self.raised += 1
        elif name == "WorkflowPurged":
            self.ended = "PURGED"
            self.input = self.output = self.custom_status = ""
            self.error_type = self.error_message = self.stack_trace = ""
            self.children, self.carried_children = [], []

    def _remember(self, command_id):
        if command_id:
            self.command_ids[command_id] = None
            if len(self.command_ids) > REMEMBERED:
                del self.command_ids[next(iter(self.command_ids))]


REMEMBERS = {"EventRaised", "WorkflowSuspended", "WorkflowResumed", "WorkflowTerminated", "WorkflowPurged"}


def _child(fields):
    return {name: fields[name] for name in ("child_id", "generation", "task_id")}
