"""Histories as such: gapless, one chain of generations a run, one run of an id after the other."""

from __future__ import annotations

from collections import Counter, defaultdict

from tests.simulation.laws.known import OVER, where
from tests.simulation.laws.places import home


def histories_are_gapless_chains(known):
    """Each seq is in the log once and in order; a history begins with its start and ends with its end."""
    for place, facts in known.generations.items():
        seqs = [fact.fields["seq"] for fact in facts]
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"{place} has the sequence {seqs}"
        names = [fact.name for fact in facts]
        if names[0] != "WorkflowStarted" or names.count("WorkflowStarted") > 1:
            yield f"{place} begins with {names[0]} and has {names.count('WorkflowStarted')} starts"
        closing = next((at for at, name in enumerate(names) if name in OVER | {"WorkflowContinuedAsNew"}), None)
        if closing is not None:
            after = names[closing + 1 :]
            if after and (
                after != ["WorkflowPurged"] or names[closing] in ("WorkflowPurged", "WorkflowContinuedAsNew")
            ):
                yield f"{place}: {after} after {names[closing]}"


def lives_follow_one_another(known):
    """Of an instance, in the order of the log: runs one after the other, generations 0, 1, 2 …, all in its partition;
    times that never run backwards; a generation begins in the place and the commit where the earlier one ended.
    """
    for instance, facts in known.by_instance.items():
        if {fact.partition for fact in facts} != {home(instance, known.evidence.partitions)}:
            yield f"{instance} has events in the partitions {sorted({fact.partition for fact in facts})}"
        runs, before = set(), None
        for fact in facts:
            fields = fact.fields
            if before is not None and fields["at_us"] < before.fields["at_us"]:
                yield f"{where(fact)}: its time is before that of {where(before)}"
            if fact.name == "WorkflowStarted":
                yield from _begins(fact, before, runs)
            elif before is None or (fields["run"], fields["generation"]) != _place(before):
                yield f"{where(fact)} stands after {where(before) if before else 'nothing'}"
            if before is not None and before.name == "WorkflowContinuedAsNew" and fact.name != "WorkflowStarted":
                yield f"{where(fact)} stands where the next generation was to begin"
            before = fact


def _begins(fact, before, runs):
    fields = fact.fields
    if fields["generation"] == 0:
        if fields["run"] in runs:
            yield f"{where(fact)}: this run began before"
        if before is not None and before.name not in OVER:
            yield f"{where(fact)} began beside {where(before)}"
        if fields["created_at_us"] != fields["at_us"]:
            yield f"{where(fact)} was created at another time than it began"
        runs.add(fields["run"])
    else:
        expected = (fields["run"], fields["generation"] - 1)
        if before is None or before.name != "WorkflowContinuedAsNew" or _place(before) != expected:
            yield f"{where(fact)} follows {where(before) if before else 'nothing'}"
        elif before.fields["input"] != fields["input"] or before.at_us != fact.at_us:
            yield f"{where(fact)} is not what {where(before)} began"


def _place(fact):
    return fact.fields["run"], fact.fields["generation"]


def runs_are_named_by_their_start(known):
    """epoch.partition.offset is the place of the StartWorkflow for this instance among the commands."""
    starts = {(fact.partition, fact.offset): fact for fact in known.evidence.commands if fact.name == "StartWorkflow"}
    named = Counter()
    for (instance, run, generation), facts in known.generations.items():
        _, partition, offset = map(int, run.split("."))
        start = starts.get((partition, offset))
        if start is None or start.instance != instance or facts[0].partition != partition:
            yield f"{instance}/{run}/{generation}: at {partition}@{offset} is no start of it"
        named[run] += generation == 0
    yield from (f"the run {run} began {count} times" for run, count in named.items() if count > 1)


def each_step_ends_once(known):
    """A task is asked for once, an attempt has one result, and the last one is the task's; nothing of what was not
    asked for; another attempt only where one was planned.
    """
    for place, facts in known.generations.items():
        kinds, results, over, planned = {}, Counter(), set(), defaultdict(int)
        for fact in facts:
            task, fields = fact.fields.get("task_id"), fact.fields
            if task is None:
                continue
            kind, what = _kind_of(fact.name)
            if what == "asked":
                if task in kinds or task != len(kinds) + 1:
                    yield f"{place}: task {task} is asked for out of turn"
                kinds[task] = kind
                continue
            if kinds.get(task) != kind or task in over:
                yield f"{where(fact)}: task {task} ({kinds.get(task)}) is not open"
            if what == "retried":
                if planned[task] != fields["attempt"] - 1:
                    yield f"{where(fact)}: attempt {fields['attempt']} was not planned"
                continue
            results[task, fields.get("attempt", 1)] += 1
            if results[task, fields.get("attempt", 1)] > 1:
                yield f"{where(fact)}: this attempt had a result before"
            if fields.get("retry_at_us"):
                planned[task] = fields["attempt"]
            else:
                over.add(task)


KINDS = ("Activity", "Child", "Timer")


def _kind_of(name):
    kind = next(each for each in KINDS if name.startswith(each))
    what = name.removeprefix(kind)
    return kind, {"Scheduled": "asked", "Created": "asked", "Retried": "retried"}.get(what, "ended")
