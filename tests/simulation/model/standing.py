"""One generation's history held against its plan, event by event.

**Law.** User code is told facts in the order of their seq, one after the other, and everything that it asks for at one
fact stands in history before anything else happens; nothing else is asked for. While an instance is parked (suspended,
stalled) facts are recorded and not told; `handled_to` of what parked it says where telling stopped. An instance that
recovers by the way of another command is told what waited together with what that command brings.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.model.script import Script
from tests.simulation.model.values import read, same

ACTIONS = {"ActivityScheduled", "TimerCreated", "ChildScheduled", "CustomStatusSet"}
RETRIED = {"ActivityFailed", "ChildFailed"}
RESULTS = {"ActivityCompleted", "ChildCompleted", "TimerFired", "EventRaised"} | RETRIED
ENDS = {"completed": "WorkflowCompleted", "failed": "WorkflowFailed", "again": "WorkflowContinuedAsNew"}
CODE_ENDS = set(ENDS.values())


@dataclass
class Standing:
    """Where a generation stands after its history."""

    matched: int = 0  # actions and ends that are as the plan has them
    complaint: str = ""  # the first thing that is not
    output: Any = None  # of a generation that completed
    waits: list[str] = field(default_factory=list)  # events that the step at hand waits for (lower case)
    done: bool = False  # the code has ended, by itself
    custom_status: str = ""  # JSON text, as clients see it
    carried: list[Any] = field(default_factory=list)  # of continue_as_new: facts of the events that go along, in order
    kept: list[Any] = field(default_factory=list)  # facts of raised events that nothing has waited for
    blocking: list[int] = field(default_factory=list)  # steps that the step at hand waits for and that have not ended
    untold: list[int] = field(default_factory=list)  # seq of facts that code has not been told


class Mismatch(Exception):
    pass


def stand(plan, facts):
    """`plan`: the input of this generation; `facts`: its history, in order, as far as it is known (whole commits)."""
    walk = _Walk(plan, facts)
    try:
        walk.run()
    except Mismatch as mismatch:
        walk.standing.complaint = str(mismatch)
    return walk.finish()


class _Walk:
    def __init__(self, plan, facts):
        self.facts = facts
        self.at = 0  # index of the next event to look at
        started = facts[0]
        self.script = Script(plan, started.instance, started.fields["generation"])
        self.standing = Standing()
        self.inbox = deque()
        self.handled_to = 0
        self.begun = False
        self.suspended = self.stalled = False
        self.over = False

    def run(self):
        while self.at < len(self.facts):
            fact = self.facts[self.at]
            if self.over and fact.name != "WorkflowPurged":
                raise Mismatch(f"{fact.name} {fact.fields['seq']} after the end")
            self.at += 1
            self._take(fact)
            if self._may_tell() and not self._recovers_by_the_way(fact):
                self._tell(None)

    def finish(self):
        standing, script = self.standing, self.script
        standing.kept = list(script.kept)
        if not self.over:
            open_ones = {id(ticket): number for number, ticket in script.open.items()}
            waiting = [each for each in script.blocking if not each.outcome]
            standing.waits = [each.name for each in waiting if each.name]
            standing.blocking = [open_ones[id(each)] for each in waiting if id(each) in open_ones]
            standing.untold = [fact.fields["seq"] for fact in self.inbox]
        return standing

    # -- events that code does not ask for --------------------------------------------------------------------

    def _take(self, fact):
        name, fields = fact.name, fact.fields
        if name in ACTIONS or name in CODE_ENDS:
            raise Mismatch(f"{name} {fields['seq']} (cause {fields.get('cause')}), and nothing asked for it")
        if name == "WorkflowStarted":
            self.begun = fields["start_at_us"] == 0 and fields["generation"] == 0
            if self.begun:
                self.inbox.append(fact)
        elif name == "WorkflowBegun":
            if self.begun:
                raise Mismatch(f"WorkflowBegun {fields['seq']}, and it had begun")
            self.begun = True
            self.inbox.append(fact)
        elif name in RESULTS and not (name in RETRIED and fields["retry_at_us"]):
            self.inbox.append(fact)
        elif name in ("WorkflowSuspended", "WorkflowStalled"):
            self._parked(fact)
        elif name == "WorkflowResumed":
            self.suspended = False
        elif name == "WorkflowRecovered":
            self.stalled = False
        elif name in ("WorkflowTerminated", "WorkflowPurged"):
            self.over = True

    def _parked(self, fact):
        """It says how far code had been told: told so far it must have been asked for what that led to."""
        told_to = fact.fields["handled_to"]
        if self._may_tell():
            self._tell(told_to)
        if told_to != self.handled_to:
            where = f"{fact.name} {fact.fields['seq']}"
            raise Mismatch(f"{where} says that code was told up to {told_to}, which was {self.handled_to}")
        if fact.name == "WorkflowStalled":
            self.stalled = True
        else:
            self.suspended = True

    def _may_tell(self):
        return self.begun and not self.suspended and not self.stalled and not self.over

    def _recovers_by_the_way(self, fact):
        """Of the command that made it recover another event follows, before code is told anything."""
        return fact.name == "WorkflowRecovered" and self._next_name() not in ACTIONS | CODE_ENDS | {None}

    def _next_name(self):
        return self.facts[self.at].name if self.at < len(self.facts) else None

    # -- telling ----------------------------------------------------------------------------------------------

    def _tell(self, told_to):
        """Tell what waits (`told_to`: no further than that); what is asked for must follow in history at once."""
        while self.inbox and self._may_tell():
            fact = self.inbox[0]
            seq = fact.fields["seq"]
            if told_to is not None and seq > told_to:
                return
            if self._next_name() == "WorkflowStalled" and self.facts[self.at].fields["handled_to"] < seq:
                return  # what this fact led to did not count
            self.inbox.popleft()
            self.handled_to = seq
            if fact.name in ("WorkflowStarted", "WorkflowBegun"):
                self.script.begin(seq, fact.fields["at_us"])
            else:
                self.script.tell(fact.name, fact.fields, fact)
            for name, wanted in self.script.asked:
                self._match(name, wanted, seq)
            if self.script.end is not None:
                self._ended(seq)

    def _match(self, name, wanted, cause):
        found = self.facts[self.at] if self.at < len(self.facts) else None
        what = f"{name} {_shown(wanted)} after event {cause}"
        if found is None or found.name != name:
            there = "the end" if found is None else f"{found.name} {found.fields['seq']}"
            raise Mismatch(f"the plan asks for {what}, history has {there}")
        for key, value in wanted.items():
            held = found.fields[key]
            if not (same(held, value) if key in ("input", "value") else held == value):
                raise Mismatch(f"the plan asks for {what}, {name} {found.fields['seq']} has {key} {held!r}")
        self.at += 1
        self.standing.matched += 1
        if name == "CustomStatusSet":
            self.standing.custom_status = found.fields["value"]

    def _ended(self, cause):
        kind, *more = self.script.end
        found = self.facts[self.at] if self.at < len(self.facts) else None
        if found is None or found.name != ENDS[kind]:
            there = "nothing" if found is None else f"{found.name} {found.fields['seq']}"
            raise Mismatch(f"after event {cause} the plan is over ({kind}), history goes on with {there}")
        fields, where = found.fields, f"{found.name} {found.fields['seq']}"
        if kind == "completed":
            if not same(fields["output"], more[0]):
                raise Mismatch(f"{where} has the output {fields['output']}, not {more[0]}")
            self.standing.output = read(fields["output"])
        elif kind == "failed":
            if (fields["error_type"], fields["error_message"]) != tuple(more):
                raise Mismatch(f"{where} failed by {fields['error_type']}: {fields['error_message']}, not {more}")
        else:
            self._continued(fields, more[0], where)
        self.at += 1
        self.standing.matched += 1
        self.standing.done = self.over = True

    def _continued(self, fields, step, where):
        if not same(fields["input"], step["plan"]) or fields["save_events"] != step["save_events"]:
            raise Mismatch(f"{where} goes on otherwise than the plan says: {_shown(fields)}")
        told = self.script.kept if step["save_events"] else []
        untold = [fact for fact in self.inbox if fact.name == "EventRaised"]
        self.standing.carried = [*told, *untold]


def _shown(fields):
    return {
        key: value for key, value in fields.items() if key in ("task_id", "name", "child_id", "fire_at_us", "value")
    }
