"""The verdict. Each law is a function from evidence to what breaks it, in words; no complaint is a sound run.

Nothing here is the engine's: a law says what must be true of records, rows and lines, whoever wrote them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict

from tests.faults.evidence import ENDS, Start
from tests.faults.program import expected

COMPLAINTS_SHOWN = 20


def verdict(evidence):
    """Every complaint, by law. Empty: sound."""
    return {law.__name__: found for law in LAWS if (found := list(law(evidence)))}


def shown(complaints):
    """A verdict as text: some of each law's complaints, and how many there are."""
    lines = []
    for law, found in complaints.items():
        lines += [f"{law}: {len(found)}", *(f"   {each}" for each in found[:COMPLAINTS_SHOWN])]
    return "\n".join(lines) or "sound"


def nothing_acknowledged_is_lost(evidence):
    told, begun = evidence.told, {instance for instance, _, _ in evidence.histories()}
    yield from (f"the start of {each} was accepted and is not in history" for each in sorted(told.accepted - begun))
    yield from (f"refused: {each}" for each in told.refused)
    yield from (f"never answered: {each}" for each in told.unanswered)
    raised = defaultdict(list)
    for fact in evidence.history:
        if fact.name == "EventRaised":
            raised[fact.fields["command_id"]].append((fact.instance, json.loads(fact.fields["data"])))
    for command_id, event in told.raised.items():
        if raised[command_id] != [event]:
            yield f"event {command_id} was accepted as {event}, history has {raised[command_id]}"
    if evidence.dead_letters:
        yield f"{evidence.dead_letters} records became dead letters"


def every_start_finishes_once_and_right(evidence):
    runs = defaultdict(list)
    for (instance, run, _), facts in evidence.histories().items():
        runs[instance].append((run, facts))
    children = _children(evidence)
    for instance, lives in runs.items():
        start = evidence.told.asked.get(instance) or children.get(instance)
        if start is None:
            yield f"{instance} was started, and nobody had asked for it"
            continue
        if len({run for run, _ in lives}) != 1:
            yield f"{instance} was started more than once: {[run for run, _ in lives]}"
        yield from _right_end(instance, start, [fact for _, facts in lives for fact in facts])
    for instance, (status, output) in evidence.told.results.items():
        start = evidence.told.asked[instance]
        if status != "COMPLETED" or output != expected(*start):
            yield f"the client of {instance} ({start.workflow}) was told {status} {output!r}"


def _right_end(instance, start, facts):
    ends = [fact for fact in facts if fact.name in ENDS]
    if len(ends) != 1:
        stalls = [fact.fields["detail"] for fact in facts if fact.name == "WorkflowStalled"]
        yield f"{instance} ({start.workflow}) ended {len(ends)} times" + (f"; it stalled: {stalls}" if stalls else "")
    elif ends[0].name != "WorkflowCompleted" or json.loads(ends[0].fields["output"]) != expected(*start):
        yield f"{instance} ({start.workflow}) ended as {ends[0].name} {ends[0].fields}"


def _children(evidence):
    found = {}
    for fact in evidence.history:
        if fact.name == "ChildScheduled":
            found[fact.fields["child_id"]] = Start(fact.fields["name"], json.loads(fact.fields["input"]))
    return found


def histories_are_gapless_chains(evidence):
    generations = defaultdict(list)
    for (instance, run, generation), facts in evidence.histories().items():
        where = f"{instance}/{run}/{generation}"
        seqs = [fact.fields["seq"] for fact in facts]
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"{where} has the sequence {seqs}"
        if facts[0].name != "WorkflowStarted":
            yield f"{where} begins with {facts[0].name}"
        closing = [place for place, fact in enumerate(facts) if fact.name in ENDS | {"WorkflowContinuedAsNew"}]
        if closing[:1] != [len(facts) - 1] and closing:
            yield f"{where} goes on after {facts[closing[0]].name}"
        times = [fact.fields["at_us"] for fact in facts]
        if times != sorted(times):
            yield f"{where} has times that run backwards"
        generations[instance, run].append((generation, facts[-1].name == "WorkflowContinuedAsNew"))
    for (instance, run), chain in generations.items():
        numbers = [generation for generation, _ in chain]
        if numbers != list(range(len(numbers))) or [on for _, on in chain] != [True] * (len(chain) - 1) + [False]:
            yield f"{instance}/{run} has the generations {chain}"


RESULTS = {
    "ActivityScheduled": ("ActivityCompleted", "ActivityFailed"),
    "ChildScheduled": ("ChildCompleted", "ChildFailed"),
    "TimerCreated": ("TimerFired",),
}


def every_step_has_one_result(evidence):
    kinds = {result: asked for asked, results in RESULTS.items() for result in results}
    for place, facts in evidence.histories().items():
        asked, attempts, ended = {}, Counter(), Counter()
        for fact in facts:
            task = fact.fields.get("task_id")
            if fact.name in RESULTS:
                if task in asked:
                    yield f"{place}: task {task} was scheduled twice"
                asked[task] = fact
            elif fact.name in kinds:
                if task not in asked or asked[task].name != kinds[fact.name]:
                    yield f"{place}: {fact.name} of task {task}, which was not scheduled"
                attempts[task, fact.fields.get("attempt")] += 1
                ended[task] += not fact.fields.get("retry_at_us")
                if fact.name == "TimerFired" and fact.fields["at_us"] < asked[task].fields["fire_at_us"]:
                    yield f"{place}: timer {task} fired early"
        yield from (f"{place}: attempt {each} has {n} results" for each, n in attempts.items() if n > 1)
        for task, fact in asked.items():
            if ended[task] > 1 or (ended[task] == 0 and fact.name != "TimerCreated"):
                yield f"{place}: {fact.name} {task} ({fact.fields.get('name')}) has {ended[task]} results"


def activities_ran_as_scheduled(evidence):
    scheduled, completed = {}, []
    for fact in evidence.history:
        if fact.name == "ActivityScheduled":
            scheduled[*fact.place, fact.fields["task_id"]] = fact.fields["name"]
        elif fact.name == "ActivityCompleted":
            completed.append((*fact.place, fact.fields["task_id"], fact.fields["attempt"]))
    ran = set()
    for line in evidence.ledger:
        task = (line["instance"], line["run"], line["generation"], line["task"])
        ran.add((*task, line["attempt"]))
        if scheduled.get(task) != line["activity"]:
            yield f"{line['activity']} ran as {task}, scheduled was {scheduled.get(task)}"
    yield from (f"{each} completed and never ran" for each in completed if each not in ran)


def money_is_conserved(evidence):
    moved, balances = {}, Counter()
    for line in evidence.ledger:
        if "amount" not in line:
            continue
        movement = line["account"], line["amount"]
        if moved.setdefault(line["key"], movement) != movement:
            yield f"{line['key']} moved {moved[line['key']]} and {movement}"
    for account, amount in moved.values():
        balances[account] += amount
    if sum(balances.values()):
        yield f"{sum(balances.values())} came from nowhere"
    wanted = Counter()
    for instance in evidence.told.accepted:
        workflow, given = evidence.told.asked[instance]
        if workflow == "transfer" and expected(workflow, given) == "moved":
            wanted[given["source"]] -= given["amount"]
            wanted[given["target"]] += given["amount"]
    for account in sorted({*wanted, *balances}):
        if wanted[account] != balances[account]:
            yield f"{account} has {balances[account]}, accepted transfers make it {wanted[account]}"


def markers_move_forward(evidence):
    """A partition's position never goes back, and a new owner speaks first by a marker alone: events of the one before
    cannot follow it, nor come between its own.
    """
    last, events = {}, Counter()
    for fact in evidence.history:
        if fact.instance:
            events[fact.partition] += 1
            continue
        fields, before = fact.fields, last.get(fact.partition)
        last[fact.partition] = fields
        since, events[fact.partition] = events[fact.partition], 0
        where = f"marker {fact.partition}@{fact.offset} of {fields['owner']}"
        if before is None:
            if since:
                yield f"{where} is the first, and {since} events stand before it"
            continue
        for name in ("next_offset", "stored_to", "epoch"):
            if fields[name] < before[name]:
                yield f"{where}: {name} fell from {before[name]} to {fields[name]}"
        if fields["owner"] != before["owner"] and since:
            yield f"{where} committed {since} events without having taken over from {before['owner']}"
    yield from (f"partition {each}: {n} events after the last marker" for each, n in events.items() if n)


def the_store_equals_the_log(evidence):
    """Of each instance the latest generation, byte for byte; earlier ones are gone."""
    latest, stored = {}, evidence.stored
    for place, facts in evidence.histories().items():
        latest[place[0]] = place, facts
    yield from (f"rows of {each} disagree with one another" for each in stored.torn)
    for instance, (place, facts) in latest.items():
        held = stored.events.get(place, {})
        wanted = {fact.fields["seq"]: fact.value for fact in facts}
        if held != wanted:
            differing = sorted(seq for seq in held.keys() | wanted.keys() if held.get(seq) != wanted.get(seq))
            yield f"{place}: stored are {len(held)} of {len(wanted)} events, different: {differing}"
        row = stored.rows.get(instance)
        status = {"WorkflowCompleted": "COMPLETED", "WorkflowFailed": "FAILED"}.get(facts[-1].name)
        if row is None or (row.run, row.generation, row.last_seq, row.status) != (*place[1:], len(facts), status):
            yield f"{place}: the row is {row}, history ends with {facts[-1].name} {len(facts)}"
    left = sorted(stored.events.keys() - {place for place, _ in latest.values()})
    yield from (f"{each} is still stored" for each in left)
    yield from (f"{each} has a row and no history" for each in sorted(stored.rows.keys() - latest.keys()))


LAWS = (
    nothing_acknowledged_is_lost,
    every_start_finishes_once_and_right,
    histories_are_gapless_chains,
    every_step_has_one_result,
    activities_ran_as_scheduled,
    money_is_conserved,
    markers_move_forward,
    the_store_equals_the_log,
)
