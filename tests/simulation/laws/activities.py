"""Activities: run because asked to, with the results that their specs imply, and one result an attempt."""

from __future__ import annotations

from collections import defaultdict

from tests.simulation.laws.known import where
from tests.simulation.model import read, same
from tests.simulation.workload.plans import worked

TASK = ("run", "generation", "task_id", "attempt")
OTHERS_DOING = {"WorkerLost", "WorkerCrashed"}  # an attempt may fail by these whatever it was to do


def results_are_what_was_asked_for(known):
    """Of each attempt, by its spec. Lenient: it may time out if it had a time-out, and its worker may be lost, where
    anything went wrong at all.
    """
    excused = set() if known.evidence.calm else OTHERS_DOING
    for fact in known.evidence.history:
        if fact.name not in ("ActivityCompleted", "ActivityFailed"):
            continue
        asked = _asked(known).get((fact.instance, *(fact.fields[name] for name in TASK[:3])))
        if asked is not None and (wrong := _wrong(asked.fields, fact.name == "ActivityFailed", fact.fields, excused)):
            yield f"{where(fact)}: {wrong}"


def _wrong(asked, failed, fields, excused):
    """Why this cannot be a result of what was asked."""
    spec, error, value = read(asked["input"]), *_implied(asked["name"], read(asked["input"]), fields["attempt"])
    if not failed:
        if error:
            return f"it completed, and was to fail by {error}"
        if asked["timeout_us"] and spec.get("seconds", 0) * 1e6 > asked["timeout_us"]:
            return "it completed, and takes longer than its time-out"
        return "" if same(fields["output"], value) else f"the output is {fields['output']}, not {value}"
    found = fields["error_type"]
    if found == error or found in excused or (found == "ActivityTimeout" and asked["timeout_us"]):
        return ""
    return f"it failed by {found}: {fields['error_message']}, and was to {f'fail by {error}' if error else 'succeed'}"


def _implied(name, spec, attempt):
    """(error type, value) of an attempt."""
    if name == "move":
        return ("NonRetryableError", None) if spec["refused"] else ("", spec["amount"])
    if attempt <= spec["failures"]:
        return "RuntimeError", None
    if spec["fatal"]:
        return "NonRetryableError", None
    return "", worked(spec["value"])


def _asked(known):
    return known.once("asked", lambda: {
        (fact.instance, *(fact.fields[name] for name in TASK[:3])): fact
        for fact in known.evidence.history
        if fact.name == "ActivityScheduled"
    })  # fmt: skip


def _tasks(known):
    """(instance, run, generation, task, attempt) to when it was first asked of workers, and its record."""
    found = {}
    for fact in known.evidence.activities:
        key = (fact.instance, *(fact.fields[name] for name in TASK))
        if key not in found or fact.at_us < found[key].at_us:
            found[key] = fact
    return found


def _lines(known):
    """The ledger by attempt."""
    found = defaultdict(list)
    for line in known.evidence.ledger:
        found[line["instance"], line["run"], line["generation"], line["task"], line["attempt"]].append(line)
    return found


def activities_run_because_asked(known):
    """Each task says what its event says; each line of the ledger is of an attempt that was asked for before, with its
    own spec and key.
    """
    tasks, asked = known.once("tasks", lambda: _tasks(known)), _asked(known)
    for key, task in tasks.items():
        event = asked.get(key[:4])
        names = ("name", "input", "timeout_us", "queue")
        if event is None or any(task.fields[name] != event.fields[name] for name in names):
            yield f"the task {key} ({task.fields['name']}) is not what {where(event) if event else 'any event'} asks for"
    for key, lines in known.once("lines", lambda: _lines(known)).items():
        task = tasks.get(key)
        for line in lines:
            if task is None or line["at_us"] < task.at_us:
                yield f"{line['activity']} ran as {key} at {line['at_us']}, and nobody had asked for that"
            elif line["activity"] != task.fields["name"] or not same(task.fields["input"], line["spec"]):
                yield f"{key} ran as {line['activity']} of {line['spec']}, asked was {task.fields['name']}"
            elif line["key"] != "/".join(map(str, key[:4])):
                yield f"{key} ran under the idempotency key {line['key']}"


def results_come_of_runs(known):
    """What a worker says of an attempt was asked of it before, and its code had run; also where it came too late."""
    tasks = known.once("tasks", lambda: _tasks(known))
    lines = known.once("lines", lambda: _lines(known))
    for fact in known.evidence.commands:
        if fact.name not in ("CompleteActivity", "FailActivity"):
            continue
        key = (fact.instance, *(fact.fields[name] for name in TASK))
        task, failed = tasks.get(key), fact.name == "FailActivity"
        if task is None or task.at_us > fact.at_us:
            yield f"{where(fact)}: {key} had not been asked for"
            continue
        if wrong := _wrong(task.fields, failed, fact.fields, OTHERS_DOING):
            yield f"{where(fact)}: {wrong}"
        unrun = failed and fact.fields["error_type"] in (*OTHERS_DOING, "ActivityTimeout")
        if not unrun and not any(line["at_us"] <= fact.at_us for line in lines[key]):
            yield f"{where(fact)}: {key} never ran"
