"""Every command decided again, by a stranger, and held against what its batch committed.

**Law.** A command is decided once, in the batch whose marker first counts it as decided. The events of an instance in a
batch are what its commands led to, one after the other in the order of the log: a command's own events, then what user
code asked for. A command that is refused, or that repeats an accepted one, leads to none. So every event has its one
command, and every command its one outcome.

Lenient where evidence does not say: which version a process ran at the moment of a deployment; whether a stalled
instance is tried again by the way of a command (the fingerprint decides, it only has to be another one); what user code
asked for (that is the model's affair).
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

from tests.simulation.evidence import Fact
from tests.simulation.laws.decisions import After, decide
from tests.simulation.laws.known import COMMANDS, where
from tests.simulation.laws.life import Life
from tests.simulation.laws.places import home

CODE = {
    "ActivityScheduled", "TimerCreated", "ChildScheduled", "CustomStatusSet", "WorkflowCompleted", "WorkflowFailed",
    "WorkflowContinuedAsNew", "WorkflowStalled",
}  # fmt: skip


UNREAD = "unread"  # the schema that it was written with could not be had


@dataclass
class Outcome:
    """What became of one command."""

    command: Fact
    marker: Fact  # of the batch that decided it
    reason: str  # "" accepted, "misrouted", UNREAD, or why it was refused
    events: list[Fact]  # its own; none: refused, or a repeat


@dataclass
class Border:
    """An instance's state after a batch that changed it."""

    at_us: int  # when that was committed
    snapshot: dict | None
    known: bool


class Referee:
    """`outcomes` by (partition, offset) of the command; `borders` by instance; `lives` as they are at the end."""

    def __init__(self, known):
        self.known = known
        self.complaints = []
        self.outcomes = {}
        self.lives = {}
        self.borders = defaultdict(list)
        self.children = {}  # of each WorkflowTerminated and WorkflowPurged: whom recursion had to reach
        for batches in known.batches.values():
            for batch in batches:
                for instance in {**batch.commands, **batch.events}:
                    self._referee(batch, instance)

    def by_client(self):
        """(instance, command id) to the outcomes of clients' commands."""
        found = defaultdict(list)
        for outcome in self.outcomes.values():
            fields = outcome.command.fields
            if fields.get("command_id") and not fields.get("parent_id"):
                found[outcome.command.instance, fields["command_id"]].append(outcome)
        return found

    def _referee(self, batch, instance):
        life = self.lives.setdefault(instance, Life(instance))
        events = deque(batch.events.get(instance, ()))
        for command in batch.commands.get(instance, ()):
            if command.name not in COMMANDS:
                continue
            if home(instance, self.known.evidence.partitions) != command.partition:
                self._outcome(command, batch, "misrouted", [])
                continue
            if self.known.is_unread(command):
                self._outcome(command, batch, UNREAD, [])
                continue
            self._code(life, events)
            self._recovery(life, command, events)
            self._decide(life, command, batch, events)
        self._code(life, events)
        for fact in events:
            self.complaints.append(f"{where(fact)}: no command of its batch led to it")
            self._apply(life, fact)
        if instance in batch.events:
            self.borders[instance].append(Border(batch.marker.at_us, life.snapshot(), life.known))

    def _decide(self, life, command, batch, events):
        origin = f"{batch.marker.fields['epoch']}.{command.partition}.{command.offset}"
        versions = self.known.versions(batch.marker.writer, batch.marker.at_us)
        decision = decide(life, command, origin, versions)
        wanted = decision.events
        if decision.refusals and (wanted is None or not (events and wanted and events[0].name == wanted[0][0])):
            self._outcome(command, batch, min(decision.refusals), [])
            return
        led_to = []
        for name, fields in wanted:
            if not events or events[0].name != name:
                there = where(events[0]) if events else "nothing more"
                self.complaints.append(f"{where(command)} {_told(command)}: {name} was due, there is {there}")
                break
            fact = events.popleft()
            self._compare(command, fact, fields)
            self._apply(life, fact)
            led_to.append(fact)
        self._outcome(command, batch, "", led_to)

    def _outcome(self, command, batch, reason, events):
        self.outcomes[command.partition, command.offset] = Outcome(command, batch.marker, reason, events)

    def _compare(self, command, fact, wanted):
        for name, value in wanted.items():
            held = fact.fields[name]
            due = value.of(fact) if isinstance(value, After) else value
            if held != due:
                self.complaints.append(f"{where(fact)} of {where(command)}: {name} is {held!r}, not {due!r}")
        if fact.name == "WorkflowStarted":
            self._compare_start(command.fields, fact)

    def _compare_start(self, asked, fact):
        fields = fact.fields
        due = asked["start_at_us"]
        # Compared with the time of deciding, which is at most that of the event.
        if fields["start_at_us"] not in (0, due) or (due > fields["at_us"] and fields["start_at_us"] != due):
            self.complaints.append(f"{where(fact)}: start_at_us is {fields['start_at_us']}, asked was {due}")

    def _recovery(self, life, command, events):
        """A stalled instance is tried again under other code, whatever command comes."""
        if life.stalled is None or not events or events[0].name != "WorkflowRecovered":
            return
        fingerprint = events[0].fields["fingerprint"]
        if command.name == "RecoverWorkflow" or not fingerprint:
            return  # the command's own
        if fingerprint == life.stalled["fingerprint"]:
            self.complaints.append(f"{where(events[0])}: the same code was tried again, and nobody asked for it")
        self._apply(life, events.popleft())
        self._code(life, events)

    def _code(self, life, events):
        """What user code asked for, and the first events of the next generation."""
        while events:
            fact = events[0]
            further = fact.name == "WorkflowStarted" and fact.fields["generation"] > 0
            carried = fact.name == "EventRaised" and fact.fields["carried"]
            if fact.name not in CODE and not further and not carried:
                return
            if further:
                self._compare_generation(life, fact)
            self._apply(life, events.popleft())

    def _compare_generation(self, life, fact):
        """The next generation begins as the earlier one left off."""
        before = life.started or {}
        names = (
            "run", "name", "command_id", "requested_by", "created_at_us", "parent_id", "parent_run", "parent_generation",
            "parent_task_id", "parent_attempt", "rerun_of",
        )  # fmt: skip
        wanted = {name: before.get(name) for name in names}
        wanted |= {"generation": life.generation + 1, "seq": 1, "start_at_us": 0}
        wanted["carried_command_ids"] = list(life.command_ids)
        wanted["carried_children"] = life.open_children()[-1_000:]
        for name, value in wanted.items():
            if fact.fields[name] != value:
                self.complaints.append(f"{where(fact)}: {name} is {fact.fields[name]!r}, not {value!r}")

    def _apply(self, life, fact):
        if fact.name == "WorkflowTerminated":
            self.children[fact.partition, fact.offset] = life.open_children()
        elif fact.name == "WorkflowPurged":
            self.children[fact.partition, fact.offset] = [*life.carried_children, *life.children]
        life.apply(fact)


def _told(command):
    names = ("command_id", "run", "generation", "task_id", "attempt", "kind")
    return {name: command.fields[name] for name in names if command.fields.get(name)}


def commands_are_decided_once_and_right(known):
    """Each by its rule, in the order of the log; nothing is decided before it is there, or left undecided."""
    yield from known.refereed.complaints
    evidence = known.evidence
    for outcome in known.refereed.outcomes.values():
        command, marker = outcome.command, outcome.marker
        if command.at_us > marker.at_us:
            yield f"{where(command)} was decided at {marker.partition}@{marker.offset}, before it was there"
    if evidence.finished:
        yield from (f"{where(fact)} was never decided" for fact in known.undecided)
    forwarded = defaultdict(list)
    for fact in evidence.commands:
        if fact.name in COMMANDS and home(fact.instance, evidence.partitions) == fact.partition:
            forwarded[fact.instance, fact.value].append(fact)
    for outcome in known.refereed.outcomes.values():
        command = outcome.command
        if outcome.reason == "misrouted" and not forwarded[command.instance, command.value]:
            yield f"{where(command)} came to the wrong partition and was not sent on"


def a_command_id_counts_once(known):
    """No event but a carried one has the command id of an earlier one of its instance; no start began two runs.

    Within the thousand latest that an instance remembers, which no scenario exceeds.
    """
    counted = {}
    for fact in known.evidence.history:
        fields = fact.fields
        if not fact.instance or not fields.get("command_id") or fields.get("carried"):
            continue
        if fact.name == "WorkflowStarted" and fields["generation"]:
            continue
        earlier = counted.setdefault((fact.instance, fields["command_id"]), fact)
        if earlier is not fact:
            yield f"{fields['command_id']} had effect twice: {where(earlier)}, {where(fact)}"


def commands_are_decided_in_the_order_of_the_log(known):
    """Those of one instance, over batches too. A command that came to the wrong partition is decided at its home; one that could
    not be read has no effect, and no place among the others.
    """
    decided = defaultdict(list)
    for outcome in known.refereed.outcomes.values():
        if outcome.reason not in ("misrouted", UNREAD):
            command = outcome.command
            decided[command.partition, command.instance].append((outcome.marker.offset, command.offset, command))
    for outcomes in decided.values():
        latest = None
        for _, _, command in sorted(outcomes, key=lambda each: each[:2]):
            if latest is not None and command.offset < latest.offset:
                yield f"{where(command)} was decided after {where(latest)}"
            latest = command
