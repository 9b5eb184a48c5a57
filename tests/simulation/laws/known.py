"""Evidence, sorted as the laws want it. Made once for a verdict."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

from tests.simulation.evidence import Fact
from tests.simulation.model import read, stand

CLIENTS = {"StartWorkflow", "RaiseEvent", "SuspendWorkflow", "ResumeWorkflow", "TerminateWorkflow", "PurgeWorkflow"}
COMMANDS = CLIENTS | {
    "CompleteActivity", "FailActivity", "CompleteChild", "FailChild", "FireTimer", "BeginGeneration", "RecoverWorkflow",
    "ReissueSteps",
}  # fmt: skip
VERBS = {
    "StartWorkflow": ("start", "rerun"), "RaiseEvent": ("raise",), "SuspendWorkflow": ("pause",),
    "ResumeWorkflow": ("resume",), "TerminateWorkflow": ("terminate",), "PurgeWorkflow": ("purge",),
}  # fmt: skip
OTHERS = {"stranger", "echo"}  # who write what the engine did not: garbage, misrouted commands, records once more
COMMANDS_TOPIC = "sim.instances"
OVER = {"WorkflowCompleted", "WorkflowFailed", "WorkflowTerminated", "WorkflowPurged"}


@dataclass
class Batch:
    """One commit: the marker, and what stands between it and the one before."""

    marker: Fact
    events: dict[str, list[Fact]]  # by instance
    commands: dict[str, list[Fact]] = field(default_factory=dict)  # that it decided, by instance, in their order


@dataclass
class Known:
    evidence: object

    @cached_property
    def generations(self):
        """(instance, run, generation) to its events, in the order of the log; as they first appear."""
        found = defaultdict(list)
        for fact in self.evidence.history:
            if fact.instance:
                found[fact.instance, fact.fields["run"], fact.fields["generation"]].append(fact)
        return dict(found)

    @cached_property
    def standings(self):
        """Each generation against its plan."""
        return {
            place: stand(read(facts[0].fields["input"]), facts)
            for place, facts in self.generations.items()
            if facts[0].name == "WorkflowStarted"
        }

    @cached_property
    def by_instance(self):
        found = defaultdict(list)
        for fact in self.evidence.history:
            if fact.instance:
                found[fact.instance].append(fact)
        return dict(found)

    @cached_property
    def batches(self):
        """By partition, in order. Events after the last marker belong to none."""
        found = {partition: [] for partition in range(self.evidence.partitions)}
        events = defaultdict(lambda: defaultdict(list))
        for fact in self.evidence.history:
            if fact.instance:
                events[fact.partition][fact.instance].append(fact)
            else:
                found[fact.partition].append(Batch(fact, dict(events.pop(fact.partition, {}))))
        for partition, batches in found.items():
            self._share_commands(self.commands[partition], batches)
        return found

    @cached_property
    def commands(self):
        """By partition, in order; without the world's own garbage, some of which may look like commands."""
        found = {partition: [] for partition in range(self.evidence.partitions)}
        for fact in self.evidence.commands:
            if fact.value not in self.poison:
                found[fact.partition].append(fact)
        return found

    def _share_commands(self, commands, batches):
        """A command is decided by the first marker that has passed it and does not list it as undecided."""
        waiting, at = {}, 0
        for batch in batches:
            fields = batch.marker.fields
            while at < len(commands) and commands[at].offset < fields["next_offset"]:
                waiting[commands[at].offset] = commands[at]
                at += 1
            undecided = set(fields["undecided"])
            for offset in sorted(waiting.keys() - undecided):
                command = waiting.pop(offset)
                batch.commands.setdefault(command.instance, []).append(command)

    @cached_property
    def undecided(self):
        """Commands that no marker counts as decided."""
        decided = {
            (fact.partition, fact.offset)
            for batches in self.batches.values()
            for batch in batches
            for facts in batch.commands.values()
            for fact in facts
        }
        return [
            fact for facts in self.commands.values() for fact in facts
            if fact.name in COMMANDS and (fact.partition, fact.offset) not in decided
        ]  # fmt: skip

    @cached_property
    def letters(self):
        """Dead letters by where they say that they come from: (topic, partition, offset)."""
        found = defaultdict(list)
        for fact in self.evidence.dead_letters:
            topic, partition, offset = fact.fields.get("perdure-origin", "?/-1/-1").rsplit("/", 2)
            found[topic, int(partition), int(offset)].append(fact)
        return dict(found)

    @cached_property
    def poison(self):
        return set(self.evidence.poison)

    @cached_property
    def sources(self):
        return {each["topic"] for each in self.evidence.subscriptions.values()}

    def told_by(self, mark):
        """What a dead letter's mark says."""
        return json.loads(mark.value)

    def is_unread(self, command):
        """It is in Confluent's framing, and a dead letter says that its schema could not be had."""
        letters = self.letters.get((COMMANDS_TOPIC, command.partition, command.offset), ())
        return command.value[:1] == b"\0" and any(
            fact.fields["perdure-reason"].startswith(("schema ", "the registry has no schema")) for fact in letters
        )

    @cached_property
    def refereed(self):
        from tests.simulation.laws.referee import Referee

        return Referee(self)

    @cached_property
    def _deployed(self):
        found = defaultdict(list)
        for each in self.evidence.deployments:
            found[each["process"]].append((each["at_us"], each["version"]))
        return {process: sorted(pairs) for process, pairs in found.items()}

    def once(self, name, make):
        """A law's own index, made the first time that it is asked for."""
        if name not in self.__dict__:
            self.__dict__[name] = make()
        return self.__dict__[name]

    def versions(self, process, at_us):
        """Versions of the App that the process may have run at this time; lenient: all that it had until then."""
        pairs = self._deployed.get(process)
        if not pairs:
            return {1, 2}
        until = bisect_right(pairs, (at_us, 1 << 30))
        return {version for _, version in pairs[:until]} or {1, 2}


def where(fact):
    """A place for people."""
    if "run" in fact.fields and "seq" in fact.fields:
        fields = fact.fields
        return f"{fact.name} {fact.instance}/{fields['run']}/{fields['generation']}/{fields['seq']}"
    return f"{fact.name} for {fact.instance} at {fact.partition}@{fact.offset}"
