"""What a command does to an instance: facts and effects, or a rejection by name.

**Law.** `decide` changes nothing. It looks at state and command and answers with values; user code is not run here
(that is the turn's part), so the same decision is made whatever the orchestrator's code does next.

Every command of the union but InspectInstance (which decides nothing) has one function below; every reason for a rejection is in REJECTIONS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from perdure.core.clipping import clipped
from perdure.core.commands import (
    BeginGeneration,
    CompleteActivity,
    CompleteChild,
    FailActivity,
    FailChild,
    FireTimer,
    PurgeWorkflow,
    RaiseEvent,
    RecoverWorkflow,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.effects import ActivityTask, CancelTimer, Effect, SendCommand, SetTimer
from perdure.core.events import (
    ActivityCompleted,
    ActivityFailed,
    ActivityRetried,
    ActivityScheduled,
    ChildCompleted,
    ChildFailed,
    ChildRetried,
    ChildScheduled,
    Event,
    EventRaised,
    TimerCreated,
    TimerFired,
    WorkflowBegun,
    WorkflowPurged,
    WorkflowRecovered,
    WorkflowResumed,
    WorkflowStarted,
    WorkflowSuspended,
    WorkflowTerminated,
)
from perdure.core.instance import Instance, OpenTask
from perdure.core.limits import (
    COMMAND_ID_BYTES_MAX,
    COMMAND_IDS_REMEMBERED,
    DERIVED_ID_BYTES_MAX,
    EVENT_BUFFER_MAX,
    INSTANCE_ID_CHARS_MAX,
    NAME_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
)
from perdure.core.retry import next_attempt_at

__all__ = ["REJECTIONS", "Decision", "Moment", "Rejection", "activity_task", "cancel_timers", "decide", "start_child"]

REJECTIONS: Final = {
    "UnknownInstance": "no instance has this id",
    "AlreadyExists": "a run with this id is active",
    "IdInUse": "the id existed before and the start carries no command_id",
    "UnknownWorkflow": "no workflow of this name is registered",
    "NotRunning": "the instance has ended",
    "NotFinished": "the instance has not ended",
    "StaleRun": "meant for an earlier run of the id",
    "StaleGeneration": "meant for an earlier generation",
    "TaskNotOpen": "the task has ended, or was never asked for",
    "StaleAttempt": "meant for an earlier attempt",
    "NotTheParent": "the sender is not this instance's parent",
    "EventBufferFull": "too many raised events nobody has waited for",
    "InvalidCommandId": "an overlong command_id",
    "InvalidName": "an empty or overlong name",
    "InvalidInstanceId": "an empty, overlong or ill-formed instance id",
    "PayloadTooLarge": "the payload is over the limit",
    "NotStalled": "the instance is not stalled",
    "Internal": "an unexpected error of the engine's own",
}

ID_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(slots=True)
class Moment:
    """Where and when a command is decided. `origin` is the run it would begin: "epoch.partition.offset"."""

    now_us: int
    origin: str
    registered: Callable[[str], bool]
    buffered: int = 0  # raised events that nothing waits for yet
    handled_to: int = 0  # seq of the last fact that user code was told


@dataclass(slots=True)
class Rejection:
    reason: str
    message: str


@dataclass(slots=True)
class Decision:
    """Facts to append (with their places) and effects; or a rejection; or nothing at all: a repeat."""

    events: list[Event] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    rejection: Rejection | None = None


def decide(instance: Instance, command: Any, moment: Moment) -> Decision:
    """The one entry. `instance` may be blank (never started)."""
    return DECIDE[type(command)](instance, command, moment)


# -- client commands -----------------------------------------------------------------------------------------


def _start(instance: Instance, command: StartWorkflow, moment: Moment) -> Decision:
    started = instance.started
    if started is not None and command.command_id and started.command_id == command.command_id:
        return Decision()
    if command.command_id and command.command_id in instance.command_ids:
        return Decision()  # of an earlier run of this id
    bad = _bad_id(instance.instance_id, child=bool(command.parent_id))
    if not command.parent_id:  # the engine's own are as long as the ids they are derived from
        bad = bad or _bad_command_id(command.command_id)
    if bad:
        return bad
    if instance.active:
        return _no("AlreadyExists", f"an active workflow with ID '{instance.instance_id}' already exists")
    if started is not None and not command.command_id:
        return _no("IdInUse", f"'{instance.instance_id}' was used before; a start that means it carries a command_id")
    if not moment.registered(command.name):
        return _no("UnknownWorkflow", f"no workflow named '{command.name}' is registered with this engine")
    bad = _bad_name(command.name) or _too_large(command.input, "input")
    if bad:
        return bad
    at = max(moment.now_us, instance.last_at_us)
    delayed = command.start_at_us if command.start_at_us > moment.now_us else 0
    event = WorkflowStarted(
        moment.origin, 0, 1, at, command.name, command.input, command.command_id, command.requested_by, delayed, at,
        command.parent_id, command.parent_run, command.parent_generation, command.parent_task_id,
        command.parent_attempt, command.rerun_of, command.traceparent, _remembered(instance),
    )  # fmt: skip
    effects: list[Effect] = [SetTimer(moment.origin, 0, 0, 0, "start", delayed)] if delayed else []
    return Decision([event], effects)


def _raise_event(instance: Instance, command: RaiseEvent, moment: Moment) -> Decision:
    bad = _unless_active(instance, command.command_id)
    if bad:
        return bad
    bad = _bad_name(command.name) or _too_large(command.data, "event data")
    if bad:
        return bad
    if moment.buffered >= EVENT_BUFFER_MAX:
        return _no(
            "EventBufferFull",
            f"'{instance.instance_id}' has {moment.buffered} events that nothing has waited for (limit {EVENT_BUFFER_MAX})",
        )
    place = _place(instance, moment.now_us)
    return Decision([EventRaised(*place, command.name, command.data, command.command_id, command.requested_by)])


def _suspend(instance: Instance, command: SuspendWorkflow, moment: Moment) -> Decision:
    bad = _unless_active(instance, command.command_id)
    if bad:
        return bad
    if instance.suspended and not command.command_id:
        return Decision()
    place = _place(instance, moment.now_us)
    return Decision([WorkflowSuspended(*place, moment.handled_to, command.command_id, command.requested_by)])


def _resume(instance: Instance, command: ResumeWorkflow, moment: Moment) -> Decision:
    bad = _unless_active(instance, command.command_id)
    if bad:
        return bad
    events: list[Event] = []
    if instance.suspended or command.command_id:  # the id is remembered with the event
        events.append(WorkflowResumed(*_place(instance, moment.now_us), command.command_id, command.requested_by))
    if instance.stalled is not None:
        events.append(WorkflowRecovered(*_place(instance, moment.now_us, len(events))))
    return Decision(events)


def _recover(instance: Instance, command: RecoverWorkflow, moment: Moment) -> Decision:
    bad = _stale(instance, command.run, instance.generation)
    if bad:
        return bad
    if instance.stalled is None:
        return _no("NotStalled", f"'{instance.instance_id}' is not stalled")
    return Decision([WorkflowRecovered(*_place(instance, moment.now_us), command.fingerprint)])


def _terminate(instance: Instance, command: TerminateWorkflow, moment: Moment) -> Decision:
    bad = _unless_active(instance, command.command_id) or _unless_parent(instance, command)
    if bad:
        return bad
    bad = _too_large(command.output, "output")
    if bad:
        return bad
    event = WorkflowTerminated(
        *_place(instance, moment.now_us),
        command.output,
        command.recursive,
        command.command_id,
        command.requested_by,
    )
    return Decision([event])


def _purge(instance: Instance, command: PurgeWorkflow, moment: Moment) -> Decision:
    if command.command_id and command.command_id in instance.command_ids:
        return Decision()
    if not instance.exists:
        return _unknown(instance)
    bad = _unless_parent(instance, command) or _bad_command_id(command.command_id)
    if bad:
        return bad
    if not instance.ended:
        return _no("NotFinished", f"'{instance.instance_id}' is {instance.status}: terminate it before purging it")
    event = WorkflowPurged(*_place(instance, moment.now_us), command.command_id, command.requested_by)
    effects: list[Effect] = []
    if command.recursive:
        effects += [
            SendCommand(
                child.child_id,
                PurgeWorkflow(
                    parent_id=instance.instance_id,
                    parent_run=instance.run,
                    parent_generation=child.generation,
                    parent_task_id=child.task_id,
                ),
            )
            for child in (*instance.carried_children, *instance.children)
        ]
    return Decision([event], effects)


# -- results of steps ----------------------------------------------------------------------------------------


def _complete_activity(instance: Instance, command: CompleteActivity, moment: Moment) -> Decision:
    task = _open(instance, command, ActivityScheduled)
    if isinstance(task, Decision):
        return task
    bad = _too_large(command.output, "output")
    if bad and bad.rejection:
        failure = FailActivity(
            command.run, command.generation, command.task_id, command.attempt, "PayloadTooLarge",
            bad.rejection.message, retryable=False,
        )  # fmt: skip
        return _attempt_failed(instance, failure, task, moment, ActivityFailed)
    place = _place(instance, moment.now_us)
    return Decision([ActivityCompleted(*place, command.task_id, command.attempt, command.output)])


def _fail_activity(instance: Instance, command: FailActivity, moment: Moment) -> Decision:
    task = _open(instance, command, ActivityScheduled)
    if isinstance(task, Decision):
        return task
    return _attempt_failed(instance, command, task, moment, ActivityFailed)


def _complete_child(instance: Instance, command: CompleteChild, moment: Moment) -> Decision:
    task = _open(instance, command, ChildScheduled)
    if isinstance(task, Decision):
        return task
    place = _place(instance, moment.now_us)
    return Decision([ChildCompleted(*place, command.task_id, command.attempt, command.output)])


def _fail_child(instance: Instance, command: FailChild, moment: Moment) -> Decision:
    task = _open(instance, command, ChildScheduled)
    if isinstance(task, Decision):
        return task
    return _attempt_failed(instance, command, task, moment, ChildFailed)


def _attempt_failed(
    instance: Instance,
    command: FailActivity | FailChild,
    task: OpenTask,
    moment: Moment,
    event: type[ActivityFailed | ChildFailed],
) -> Decision:
    retry = task.asked.retry  # type: ignore[union-attr]
    run, generation, seq, at = _place(instance, moment.now_us)
    retry_at = next_attempt_at(retry, command.attempt, command.error_type, command.retryable, task.asked.at_us, at)
    failed = event(
        run, generation, seq, at, command.task_id, command.attempt, clipped(command.error_type, NAME_BYTES_MAX),
        clipped(command.error_message), clipped(command.stack_trace), retry_at,
    )  # fmt: skip
    if not retry_at:
        return Decision([failed])
    return Decision([failed], [SetTimer(run, generation, command.task_id, command.attempt, "retry", retry_at)])


def _fire_timer(instance: Instance, command: FireTimer, moment: Moment) -> Decision:
    bad = _stale(instance, command.run, command.generation)
    if bad:
        return bad
    moment = replace(moment, now_us=max(moment.now_us, command.fire_at_us))
    place = _place(instance, moment.now_us)
    if command.kind == "start":
        if instance.begun:
            return _no("TaskNotOpen", "the delayed start has begun")
        return Decision([WorkflowBegun(*place)])
    task = instance.open.get(command.task_id)
    if task is None:
        return _no("TaskNotOpen", f"task {command.task_id} has ended")
    if command.kind == "timer":
        if not isinstance(task.asked, TimerCreated):
            return _no("TaskNotOpen", f"task {command.task_id} is no timer")
        return Decision([TimerFired(*place, command.task_id, command.fire_at_us)])
    if command.attempt != task.attempt:
        return _no("StaleAttempt", f"task {command.task_id} is at attempt {task.attempt}")
    if command.kind == "retry":
        return _retry(instance, task, place)
    return _lease_ended(instance, command, task, moment)


def _retry(instance: Instance, task: OpenTask, place: tuple[str, int, int, int]) -> Decision:
    asked, attempt = task.asked, task.attempt + 1
    if not task.retry_at_us:
        return _no("StaleAttempt", f"task {asked.task_id} is not between attempts")
    if isinstance(asked, ActivityScheduled):
        retried = ActivityRetried(*place, asked.task_id, attempt)
        return Decision([retried], [activity_task(instance, asked, attempt, place[3])])
    if isinstance(asked, ChildScheduled):
        return Decision([ChildRetried(*place, asked.task_id, attempt)], [start_child(instance, asked, attempt)])
    return _no("TaskNotOpen", f"task {asked.task_id} is a timer")


def _lease_ended(instance: Instance, command: FireTimer, task: OpenTask, moment: Moment) -> Decision:
    """The attempt's deadline, or its worker's last sign of life, has passed."""
    asked = task.asked
    if not isinstance(asked, ActivityScheduled) or task.retry_at_us:
        return _no("TaskNotOpen", f"task {command.task_id} runs no attempt")
    if asked.timeout_us:
        name, text = "ActivityTimeout", f"activity '{asked.name}' took longer than {asked.timeout_us / 1e6:g} s"
    else:
        name, text = "WorkerLost", f"the worker running activity '{asked.name}' gave no sign of life"
    failure = FailActivity(command.run, command.generation, command.task_id, command.attempt, name, text)
    return _attempt_failed(instance, failure, task, moment, ActivityFailed)


def _begin_generation(instance: Instance, command: BeginGeneration, moment: Moment) -> Decision:
    bad = _stale(instance, command.run, command.generation)
    if bad or instance.begun:
        return bad or Decision()
    return Decision([WorkflowBegun(*_place(instance, moment.now_us))])


# -- pieces --------------------------------------------------------------------------------------------------


def activity_task(instance: Instance, asked: ActivityScheduled, attempt: int, at_us: int) -> ActivityTask:
    """One attempt's message to the workers."""
    started = instance.started
    return ActivityTask(
        asked.run, asked.generation, asked.task_id, attempt, asked.name, instance.name, asked.input, asked.timeout_us,
        asked.queue, at_us, started.traceparent if started else "",
    )  # fmt: skip


def start_child(instance: Instance, asked: ChildScheduled, attempt: int) -> SendCommand:
    """The child's start; its command_id is derived, so that a re-emitted one starts nothing twice."""
    command_id = f"{instance.instance_id}/{asked.run}/{asked.generation}/{asked.task_id}/{attempt}"
    return SendCommand(
        asked.child_id,
        StartWorkflow(
            asked.name, asked.input, command_id, parent_id=instance.instance_id, parent_run=asked.run,
            parent_generation=asked.generation, parent_task_id=asked.task_id, parent_attempt=attempt,
            traceparent=instance.started.traceparent if instance.started else "",
        ),
    )  # fmt: skip


def cancel_timers(instance: Instance) -> list[Effect]:
    """For a generation that ends: forget every timer it still has."""
    found: list[Effect] = []
    for task_id, task in instance.open.items():
        if isinstance(task.asked, TimerCreated):
            place = (instance.run, instance.generation, task_id, 0, "timer", task.asked.fire_at_us)
            found.append(CancelTimer(*place))
        elif task.retry_at_us:
            found.append(
                CancelTimer(instance.run, instance.generation, task_id, task.attempt, "retry", task.retry_at_us)
            )
    if not instance.begun and instance.started is not None and instance.started.start_at_us:
        found.append(CancelTimer(instance.run, 0, 0, 0, "start", instance.started.start_at_us))
    return found


def _place(instance: Instance, at_us: int, further: int = 0) -> tuple[str, int, int, int]:
    """run, generation, seq, time of the next event (or of the one `further` places on)."""
    return instance.run, instance.generation, instance.next_seq + further, max(at_us, instance.last_at_us)


def _no(reason: str, message: str) -> Decision:
    return Decision(rejection=Rejection(reason, message))


def _unknown(instance: Instance) -> Decision:
    return _no("UnknownInstance", f"no workflow instance has the ID '{instance.instance_id}'")


def _unless_active(instance: Instance, command_id: str) -> Decision | None:
    if command_id and command_id in instance.command_ids:
        return Decision()  # accepted before: the first answer again, no second effect
    if not instance.exists:
        return _unknown(instance)
    if instance.ended:
        return _no("NotRunning", f"'{instance.instance_id}' has ended: it is {instance.status}")
    return _bad_command_id(command_id)


def _unless_parent(instance: Instance, command: TerminateWorkflow | PurgeWorkflow) -> Decision | None:
    if not command.parent_id or instance.is_child_of(
        command.parent_id, command.parent_run, command.parent_generation, command.parent_task_id
    ):
        return None
    return _no("NotTheParent", f"'{command.parent_id}' did not start this run of '{instance.instance_id}'")


def _stale(instance: Instance, run: str, generation: int) -> Decision | None:
    if not instance.exists:
        return _unknown(instance)
    if run != instance.run:
        return _no("StaleRun", f"for run {run}, this is run {instance.run}")
    if generation != instance.generation:
        return _no("StaleGeneration", f"for generation {generation}, this is generation {instance.generation}")
    if instance.ended:
        return _no("NotRunning", f"'{instance.instance_id}' has ended: it is {instance.status}")
    return None


def _open(
    instance: Instance,
    command: CompleteActivity | FailActivity | CompleteChild | FailChild,
    asked: type[ActivityScheduled | ChildScheduled],
) -> OpenTask | Decision:
    bad = _stale(instance, command.run, command.generation)
    if bad:
        return bad
    task = instance.open.get(command.task_id)
    if task is None or type(task.asked) is not asked:
        return _no("TaskNotOpen", f"task {command.task_id} has ended")
    if command.attempt != task.attempt or task.retry_at_us:
        return _no("StaleAttempt", f"task {command.task_id} is at attempt {task.attempt}")
    return task


def _remembered(instance: Instance) -> list[str]:
    """The command ids a new run goes on knowing, the earlier run's start among them."""
    ids = list(instance.command_ids)
    if instance.started is not None and instance.started.command_id:
        ids.append(instance.started.command_id)
    return ids[-COMMAND_IDS_REMEMBERED:]


def _bad_command_id(command_id: str) -> Decision | None:
    if len(command_id.encode()) <= COMMAND_ID_BYTES_MAX:
        return None
    return _no("InvalidCommandId", f"a command_id has at most {COMMAND_ID_BYTES_MAX} bytes of UTF-8")


def _bad_id(instance_id: str, *, child: bool) -> Decision | None:
    if child:
        if 0 < len(instance_id.encode()) <= DERIVED_ID_BYTES_MAX:
            return None
        return _no("InvalidInstanceId", f"a child's instance id has 1 to {DERIVED_ID_BYTES_MAX} bytes of UTF-8")
    if 0 < len(instance_id) <= INSTANCE_ID_CHARS_MAX and ID_CHARACTERS.issuperset(instance_id):
        return None
    return _no(
        "InvalidInstanceId",
        f"an instance id has 1 to {INSTANCE_ID_CHARS_MAX} characters out of letters, digits, - and _",
    )


def _bad_name(name: str) -> Decision | None:
    if name and len(name.encode()) <= NAME_BYTES_MAX:
        return None
    return _no("InvalidName", f"a name has 1 to {NAME_BYTES_MAX} bytes of UTF-8, this one has {len(name.encode())}")


def _too_large(payload: str, what: str) -> Decision | None:
    # A character is at most four bytes: most payloads need no encoding to be known small.
    if len(payload) * 4 <= PAYLOAD_BYTES_MAX or len(payload.encode()) <= PAYLOAD_BYTES_MAX:
        return None
    return _no(
        "PayloadTooLarge",
        f"the {what} has {len(payload.encode())} bytes, the limit is {PAYLOAD_BYTES_MAX}: store it elsewhere and pass a "
        "reference",
    )


DECIDE: Final[dict[type, Callable[[Instance, Any, Moment], Decision]]] = {
    StartWorkflow: _start,
    RaiseEvent: _raise_event,
    SuspendWorkflow: _suspend,
    ResumeWorkflow: _resume,
    RecoverWorkflow: _recover,
    TerminateWorkflow: _terminate,
    PurgeWorkflow: _purge,
    CompleteActivity: _complete_activity,
    FailActivity: _fail_activity,
    CompleteChild: _complete_child,
    FailChild: _fail_child,
    FireTimer: _fire_timer,
    BeginGeneration: _begin_generation,
}
