"""What leaves a commit beside its events: tasks, timers, commands to others. In the same transaction, so exactly once."""

from __future__ import annotations

from collections import Counter, defaultdict

from tests.simulation.laws.known import OTHERS, where

PARENTS = ("parent_id", "parent_run", "parent_generation", "parent_task_id")
SETTING = {"timer", "retry", "start"}  # kinds of timers that the orchestrator sets; leases are the workers'


def what_was_decided_is_sent_once(known):
    """Each effect of each event is there once, and no other. Which ones are cancelled is left to liveness."""
    due, there = Counter(), Counter()
    for fact in known.evidence.history:
        if fact.instance:
            due.update(_effects(known, fact))
    for outcome in known.refereed.outcomes.values():
        command = outcome.command
        if outcome.reason and command.name == "StartWorkflow" and command.fields["parent_id"]:
            due.update([_answer(command.fields, "FailChild", outcome.reason)])
    for fact in known.evidence.commands:
        if fact.writer not in OTHERS and not _is_forwarded(known, fact):
            there.update(_sent_command(fact))
    tasks = (fact for fact in known.evidence.activities if fact.writer not in OTHERS)
    there.update(_task(fact) for fact in tasks if not fact.fields["refused_since_us"])
    for fact in known.evidence.timers:
        if fact.writer not in OTHERS and fact.name == "SetTimer" and fact.fields["kind"] in SETTING:
            there.update([("SetTimer", fact.instance, *_identity(fact.fields), fact.fields["fire_at_us"])])
    for effect in (due | there).keys() if due != there else ():
        if due[effect] != there[effect]:
            yield f"{effect}: {due[effect]} decided, {there[effect]} sent"


def _is_forwarded(known, fact):
    """A copy of a record that came to the wrong partition: the engine's own never do."""
    outcome = known.refereed.outcomes.get((fact.partition, fact.offset))
    return outcome is not None and outcome.reason == "misrouted"


def _effects(known, fact):
    name, fields, instance = fact.name, fact.fields, fact.instance
    place = (instance, fields["run"], fields["generation"])
    if name in ("ActivityScheduled", "ActivityRetried"):
        yield ("ActivityTask", *place, fields["task_id"], fields.get("attempt", 1))
    elif name == "TimerCreated":
        yield ("SetTimer", *place, fields["task_id"], 0, "timer", fields["fire_at_us"])
    elif name in ("ActivityFailed", "ChildFailed") and fields["retry_at_us"]:
        yield ("SetTimer", *place, fields["task_id"], fields["attempt"], "retry", fields["retry_at_us"])
    elif name in ("ChildScheduled", "ChildRetried"):
        yield ("StartWorkflow", _child_id(known, fact), *place, fields["task_id"], fields.get("attempt", 1))
    elif name == "WorkflowStarted" and fields["generation"]:
        yield ("BeginGeneration", *place)
    elif name == "WorkflowStarted" and fields["start_at_us"]:
        yield ("SetTimer", instance, fields["run"], 0, 0, 0, "start", fields["start_at_us"])
    else:
        yield from _of_an_end(known, fact)


def _of_an_end(known, fact):
    name, fields, place = fact.name, fact.fields, (fact.partition, fact.offset)
    link = known.generations[fact.instance, fields["run"], fields["generation"]][0].fields
    if name in ("WorkflowCompleted", "WorkflowFailed", "WorkflowTerminated") and link.get("parent_id"):
        told = {"WorkflowTerminated": "WorkflowTerminated", "WorkflowFailed": fields.get("error_type")}.get(name, "")
        kind = "CompleteChild" if name == "WorkflowCompleted" else "FailChild"
        yield _answer(link, kind, fields["output"] if kind == "CompleteChild" else told)
    recursive = fields.get("recursive") if name == "WorkflowTerminated" else None
    if name == "WorkflowPurged":
        recursive = _purges_children(known).get(place)
    if recursive:
        verb = name.replace("Workflow", "").replace("Purged", "Purge").replace("Terminated", "Terminate")
        for child in known.refereed.children.get(place, ()):
            link = (fact.instance, fields["run"], child["generation"], child["task_id"])
            yield (f"{verb}Workflow", child["child_id"], *link)


def _purges_children(known):
    """Place of each WorkflowPurged to whether its command was recursive, which the event does not tell."""
    return known.once("purges", lambda: {
        (event.partition, event.offset): outcome.command.fields["recursive"]
        for outcome in known.refereed.outcomes.values()
        for event in outcome.events
        if event.name == "WorkflowPurged"
    })  # fmt: skip


def _answer(link, kind, told):
    return (kind, *(link[name] for name in PARENTS), link["parent_attempt"], told)


def _child_id(known, fact):
    if fact.name == "ChildScheduled":
        return fact.fields["child_id"]
    history = known.generations[fact.instance, fact.fields["run"], fact.fields["generation"]]
    task = fact.fields["task_id"]
    asked = (each for each in history if each.name == "ChildScheduled" and each.fields["task_id"] == task)
    return next((each.fields["child_id"] for each in asked), "?")


# -- what is there --------------------------------------------------------------------------------------------


def _sent_command(fact):
    name, fields = fact.name, fact.fields
    if name in ("StartWorkflow", "TerminateWorkflow", "PurgeWorkflow") and fields["parent_id"]:
        attempt = (fields["parent_attempt"],) if name == "StartWorkflow" else ()
        yield (name, fact.instance, *(fields[each] for each in PARENTS), *attempt)
    elif name in ("CompleteChild", "FailChild"):
        told = fields["output"] if name == "CompleteChild" else fields["error_type"]
        yield (name, fact.instance, *(fields[each] for each in ("run", "generation", "task_id", "attempt")), told)
    elif name == "BeginGeneration":
        yield (name, fact.instance, fields["run"], fields["generation"])


def _task(fact):
    fields = fact.fields
    return ("ActivityTask", fact.instance, *(fields[name] for name in ("run", "generation", "task_id", "attempt")))


def _identity(fields):
    return tuple(fields[name] for name in ("run", "generation", "task_id", "attempt", "kind"))


# -- timers ---------------------------------------------------------------------------------------------------


def timers_fire_when_they_are_due(known):
    """None unset, none early (by the clocks of whoever set it and of whoever fired it); and each that nobody cancelled,
    sooner or later.
    """
    evidence, asked, fired = known.evidence, defaultdict(list), defaultdict(list)
    for fact in evidence.timers:
        asked[fact.instance, *_identity(fact.fields)].append(fact)
    for fact in evidence.commands:
        if fact.name == "FireTimer":
            timer = (fact.instance, *_identity(fact.fields))
            fired[timer].append(fact.at_us)
            due = fact.fields["fire_at_us"]
            sets = [each for each in asked[timer] if each.name == "SetTimer" and each.fields["fire_at_us"] == due]
            if not any(each.at_us <= fact.at_us for each in sets):
                yield f"{where(fact)} {timer}: nobody had set it"
            if fact.at_us + evidence.clock_skew_us < due:
                yield f"{where(fact)} {timer}: fired {due - fact.at_us} us early"
    if not evidence.finished:
        return
    for timer, facts in asked.items():
        last = facts[-1] if facts else None
        if last is None or last.name != "SetTimer" or last.fields["fire_at_us"] + LATE_US > evidence.ended_us:
            continue
        if not any(at_us >= last.at_us for at_us in fired[timer]):
            yield f"{timer} was due at {last.fields['fire_at_us']}, the world ended at {evidence.ended_us}: never fired"


def timers_of_what_has_ended_are_cancelled(known):
    """Each that is open where a generation ends is taken back, at least once; leases are their workers' affair."""
    cancelled = {
        (fact.instance, *_identity(fact.fields)) for fact in known.evidence.timers if fact.name == "CancelTimer"
    }
    for place, facts in known.generations.items():
        if facts[-1].name == "WorkflowStarted" or not _has_ended(facts):
            continue
        unbegun = facts[0].fields.get("start_at_us") and not any(fact.name == "WorkflowBegun" for fact in facts)
        if unbegun and (*place[:2], 0, 0, 0, "start") not in cancelled:
            yield f"{place} ended before its delayed start, which was not cancelled"
        for timer in _open_timers(facts):
            if (*place, *timer) not in cancelled:
                yield f"{place} ended, and its timer {timer} was not cancelled"


def _has_ended(facts):
    return any(fact.name in ENDS for fact in facts[-2:])


ENDS = {"WorkflowCompleted", "WorkflowFailed", "WorkflowTerminated", "WorkflowContinuedAsNew"}


def _open_timers(facts):
    """(task, attempt, kind) of the timers that have not fired: of create_timer and waits, and pauses between attempts."""
    found = {}
    for fact in facts:
        name, fields = fact.name, fact.fields
        if name == "TimerCreated":
            found[fields["task_id"]] = (fields["task_id"], 0, "timer")
        elif fields.get("retry_at_us"):
            found[fields["task_id"]] = (fields["task_id"], fields["attempt"], "retry")
        elif name == "TimerFired" or name.endswith("Retried"):
            found.pop(fields["task_id"], None)
    return found.values()


LATE_US = 120_000_000  # so shortly before the end it may still be on its way
