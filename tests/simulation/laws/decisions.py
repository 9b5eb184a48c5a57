"""What must become of a command, given what its instance is: the rules of `docs/`, told again by a stranger.

`decide` answers with the reasons for which it may be refused, and the events that it must lead to otherwise. Both may be
given where evidence does not settle it (which version a process runs). No reason and no event: a repeat.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RAISED_MAX = 1_000  # events that nothing has waited for


@dataclass
class Decision:
    refusals: set[str] = field(default_factory=set)
    events: list[tuple[str, dict]] | None = None  # None: it must be refused


def refused(*reasons):
    return Decision(set(reasons))


def decide(life, command, origin, versions):
    """`origin`: the name of the run that it would begin. `versions`: of the App in the process that decided."""
    return RULES[command.name](life, command, command.fields, origin, versions)


# -- clients' -------------------------------------------------------------------------------------------------


def _start(life, command, fields, origin, versions):
    command_id = fields["command_id"]
    if command_id and (command_id in life.command_ids or (life.started or {}).get("command_id") == command_id):
        return Decision(events=[])
    if life.active:
        return refused("AlreadyExists")
    reuse = fields["reuse_id"] or ("ended" if fields["reply_to"] or fields["parent_id"] else "never")
    if life.started is not None and (reuse == "never" or not command_id):
        return refused("IdInUse")
    unknown = fields["name"] == "plan_b" and 2 in versions
    if unknown and 1 not in versions:
        return refused("UnknownWorkflow")
    names = (
        "name", "input", "command_id", "requested_by", "parent_id", "parent_run", "parent_generation",
        "parent_task_id", "parent_attempt", "rerun_of",
    )  # fmt: skip
    wanted = {name: fields[name] for name in names}
    wanted |= {"run": origin, "generation": 0, "seq": 1, "carried_children": []}
    wanted["carried_command_ids"] = life.remembered()
    return Decision({"UnknownWorkflow"} if unknown else set(), [("WorkflowStarted", wanted)])


def _not_active(life, fields):
    if fields["command_id"] and fields["command_id"] in life.command_ids:
        return Decision(events=[])
    if not life.known:
        return refused("UnknownInstance")
    return refused("NotRunning") if life.ended else None


def _raise(life, command, fields, origin, versions):
    wanted = {name: fields[name] for name in ("name", "data", "command_id", "requested_by")} | {"carried": False}
    decision = _not_active(life, fields) or Decision(events=[("EventRaised", wanted)])
    if life.raised >= RAISED_MAX and decision.events:
        decision.refusals.add("EventBufferFull")  # how many of them nothing has waited for is the model's affair
    return decision


def _suspend(life, command, fields, origin, versions):
    if bad := _not_active(life, fields):
        return bad
    if life.suspended and not fields["command_id"]:
        return Decision(events=[])
    return Decision(events=[("WorkflowSuspended", _named(fields))])


def _resume(life, command, fields, origin, versions):
    if bad := _not_active(life, fields):
        return bad
    events = [("WorkflowResumed", _named(fields))] if life.suspended or fields["command_id"] else []
    if life.stalled is not None:
        events.append(("WorkflowRecovered", {"fingerprint": ""}))
    return Decision(events=events)


def _terminate(life, command, fields, origin, versions):
    bad = _not_active(life, fields) or _not_the_parent(life, fields)
    wanted = _named(fields) | {"output": fields["output"], "recursive": fields["recursive"]}
    return bad or Decision(events=[("WorkflowTerminated", wanted)])


def _purge(life, command, fields, origin, versions):
    if fields["command_id"] and fields["command_id"] in life.command_ids:
        return Decision(events=[])
    if fields["run"] and life.started is not None and fields["run"] != life.run:
        return refused("StaleRun")
    if not life.known:
        return refused("UnknownInstance")
    if bad := _not_the_parent(life, fields):
        return bad
    return Decision(events=[("WorkflowPurged", _named(fields))]) if life.ended else refused("NotFinished")


def _not_the_parent(life, fields):
    return refused("NotTheParent") if fields["parent_id"] and not life.is_child_of(fields) else None


def _named(fields):
    return {"command_id": fields["command_id"], "requested_by": fields["requested_by"]}


# -- the engine's own -----------------------------------------------------------------------------------------


def _stale(life, run, generation):
    if not life.known:
        return refused("UnknownInstance")
    if run != life.run:
        return refused("StaleRun")
    if generation != life.generation:
        return refused("StaleGeneration")
    return refused("NotRunning") if life.ended else None


def _open_step(life, fields, kind):
    """The step, or why there is none for this attempt."""
    if bad := _stale(life, fields["run"], fields["generation"]):
        return None, bad
    step = life.open.get(fields["task_id"])
    if step is None or step.asked.name != kind:
        return None, refused("TaskNotOpen")
    if fields["attempt"] != step.attempt or step.retry_at_us:
        return None, refused("StaleAttempt")
    return step, None


def _complete(kind):
    asked, event = f"{kind}Scheduled", f"{kind}Completed"

    def rule(life, command, fields, origin, versions):
        _, bad = _open_step(life, fields, asked)
        return bad or Decision(events=[(event, {name: fields[name] for name in ("task_id", "attempt", "output")})])

    return rule


def _fail(kind):
    asked = f"{kind}Scheduled"

    def rule(life, command, fields, origin, versions):
        step, bad = _open_step(life, fields, asked)
        return bad or _failed(kind, step, fields["error_type"], fields["retryable"])

    return rule


def _failed(kind, step, error_type, retryable):
    wanted = {"task_id": step.asked.fields["task_id"], "attempt": step.attempt, "error_type": error_type}
    return Decision(events=[(f"{kind}Failed", wanted | {"retry_at_us": pause_us(step, retryable)})])


class After(int):
    """So many microseconds after the event itself; below 0: not at all, which is 0."""

    def of(self, fact):
        return 0 if self < 0 else fact.fields["at_us"] + self


def pause_us(step, retryable):
    retry = step.asked.fields["retry"]
    if retry is None or not retryable or step.attempt >= retry["max_attempts"]:
        return After(-1)
    return After(int(retry["first_interval_us"] * retry["backoff"] ** (step.attempt - 1)))


def _fire(life, command, fields, origin, versions):
    if bad := _stale(life, fields["run"], fields["generation"]):
        return bad
    kind = fields["kind"]
    if kind == "start":
        return refused("TaskNotOpen") if life.begun else Decision(events=[("WorkflowBegun", {})])
    step = life.open.get(fields["task_id"])
    if step is None:
        return refused("TaskNotOpen")
    asked = step.asked
    if kind == "timer":
        wanted = {"task_id": fields["task_id"], "fire_at_us": fields["fire_at_us"]}
        return Decision(events=[("TimerFired", wanted)]) if asked.name == "TimerCreated" else refused("TaskNotOpen")
    if fields["attempt"] != step.attempt:
        return refused("StaleAttempt")
    if kind == "retry":
        if not step.retry_at_us:
            return refused("StaleAttempt")
        name = asked.name.replace("Scheduled", "Retried")
        return Decision(events=[(name, {"task_id": fields["task_id"], "attempt": step.attempt + 1})])
    if asked.name != "ActivityScheduled" or step.retry_at_us:
        return refused("TaskNotOpen")
    return _failed("Activity", step, "ActivityTimeout" if asked.fields["timeout_us"] else "WorkerLost", True)


def _begin(life, command, fields, origin, versions):
    bad = _stale(life, fields["run"], fields["generation"])
    return bad or Decision(events=[] if life.begun else [("WorkflowBegun", {})])


def _recover(life, command, fields, origin, versions):
    if bad := _stale(life, fields["run"], life.generation):
        return bad
    if life.stalled is None:
        return refused("NotStalled")
    return Decision(events=[("WorkflowRecovered", {"fingerprint": fields["fingerprint"]})])


def _reissue(life, command, fields, origin, versions):
    return _stale(life, fields["run"], life.generation) or Decision(events=[])


RULES = {
    "StartWorkflow": _start, "RaiseEvent": _raise, "SuspendWorkflow": _suspend, "ResumeWorkflow": _resume,
    "TerminateWorkflow": _terminate, "PurgeWorkflow": _purge, "CompleteActivity": _complete("Activity"),
    "FailActivity": _fail("Activity"), "CompleteChild": _complete("Child"), "FailChild": _fail("Child"),
    "FireTimer": _fire, "BeginGeneration": _begin, "RecoverWorkflow": _recover,
    "ReissueSteps": _reissue,
}  # fmt: skip
