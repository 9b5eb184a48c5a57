"""What a command does to an instance: facts and effects, or a rejection by name.

**Law.** `decide` changes nothing. It looks at state and command and answers with values; user code is not run here
(that is the turn's part), so the same decision is made whatever the orchestrator's code does next. Every command of the
union but InspectInstance (which decides nothing) has one function below; every reason for a rejection is in REJECTIONS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from perdure.core.asking import activity_task, start_child
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
from perdure.core.effects import TIMER_KINDS, Effect, SendCommand, SetTimer
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
    CLOCKS_APART_SECONDS_MAX,
    COMMAND_IDS_REMEMBERED,
    EVENT_BUFFER_BYTES_MAX,
    EVENT_BUFFER_MAX,
    NAME_BYTES_MAX,
    TIME_US_MAX,
    TRACE_CHARS_MAX,
)
from perdure.core.refusals import (
    REJECTIONS,
    Decision,
    Moment,
    Rejection,
    bad_command_id,
    bad_id,
    bad_name,
    bad_note,
    full,
    refuse,
    too_heavy,
    too_large,
    unknown,
)
from perdure.core.retry import next_attempt_at
from perdure.core.sizes import text_bytes

__all__ = ["REJECTIONS", "Decision", "Moment", "Rejection", "decide"]


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
    bad = bad_id(instance.instance_id, child=bool(command.parent_id))
    if not command.parent_id:  # the engine's own are as long as the ids they are derived from
        bad = bad or bad_command_id(command.command_id)
    if bad:
        return bad
    if instance.active:
        return refuse("AlreadyExists", f"an active workflow with ID '{instance.instance_id}' already exists")
    if started is not None and not command.command_id:
        return refuse(
            "IdInUse", f"'{instance.instance_id}' was used before; a start that means it carries a command_id"
        )
    if not moment.registered(command.name):
        return refuse("UnknownWorkflow", f"no workflow named '{command.name}' is registered with this engine")
    bad = bad_name(command.name) or too_large(command.input, "input")
    bad = bad or bad_note(command.requested_by, "requested_by") or bad_note(command.rerun_of, "rerun_of")
    if bad:
        return bad
    if command.start_at_us > TIME_US_MAX:
        return refuse("InvalidCommand", "start_at_us is beyond the year 9999")
    at = max(moment.now_us, instance.last_at_us)
    delayed = command.start_at_us if command.start_at_us > moment.now_us else 0
    event = WorkflowStarted(
        moment.origin, 0, 1, at, command.name, command.input, command.command_id, command.requested_by, delayed, at,
        command.parent_id, command.parent_run, command.parent_generation, command.parent_task_id,
        command.parent_attempt, command.rerun_of, _trace(command.traceparent), _remembered(instance), [],
        _trace(command.tracestate),
    )  # fmt: skip
    effects: list[Effect] = [SetTimer(moment.origin, 0, 0, 0, "start", delayed)] if delayed else []
    return Decision([event], effects)


def _raise_event(instance: Instance, command: RaiseEvent, moment: Moment) -> Decision:
    bad = _unless_active(instance, command)
    if bad:
        return bad
    bad = bad_name(command.name) or too_large(command.data, "event data")
    if bad:
        return bad
    size = text_bytes(command.data)
    if moment.buffered >= EVENT_BUFFER_MAX or moment.buffered_bytes + size > EVENT_BUFFER_BYTES_MAX:
        return refuse(
            "EventBufferFull",
            f"'{instance.instance_id}' has {moment.buffered} events with {moment.buffered_bytes:,} bytes that nothing has "
            f"waited for (limits {EVENT_BUFFER_MAX} and {EVENT_BUFFER_BYTES_MAX:,})",
        )
    bad = full(instance) or too_heavy(instance, command.data)
    if bad:
        return bad
    place = _place(instance, moment.now_us)
    return Decision([EventRaised(*place, command.name, command.data, command.command_id, command.requested_by)])


def _suspend(instance: Instance, command: SuspendWorkflow, moment: Moment) -> Decision:
    bad = _unless_active(instance, command)
    if bad:
        return bad
    if instance.suspended and not command.command_id:
        return Decision()
    bad = full(instance)
    if bad:
        return bad
    place = _place(instance, moment.now_us)
    return Decision([WorkflowSuspended(*place, moment.handled_to, command.command_id, command.requested_by)])


def _resume(instance: Instance, command: ResumeWorkflow, moment: Moment) -> Decision:
    bad = _unless_active(instance, command)
    if bad:
        return bad
    bad = full(instance, times=2 if instance.parked else 1)  # who is paused can be let go on, whatever its length
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
        return refuse("NotStalled", f"'{instance.instance_id}' is not stalled")
    bad = full(instance, times=2)
    if bad:
        return bad
    return Decision([WorkflowRecovered(*_place(instance, moment.now_us), command.fingerprint)])


def _terminate(instance: Instance, command: TerminateWorkflow, moment: Moment) -> Decision:
    bad = _unless_active(instance, command) or _unless_parent(instance, command)
    if bad:
        return bad
    bad = too_large(command.output, "output")
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
        return unknown(instance)
    bad = _unless_parent(instance, command) or bad_command_id(command.command_id)
    bad = bad or bad_note(command.requested_by, "requested_by")
    if bad:
        return bad
    if not instance.ended:
        return refuse("NotFinished", f"'{instance.instance_id}' is {instance.status}: terminate it before purging it")
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
    bad = too_large(command.output, "output") or too_heavy(instance, command.output)
    if bad and bad.rejection:
        failure = FailActivity(
            command.run, command.generation, command.task_id, command.attempt, bad.rejection.reason,
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
    bad = too_large(command.output, "output") or too_heavy(instance, command.output)
    if bad and bad.rejection:
        failure = FailChild(
            command.run, command.generation, command.task_id, command.attempt, bad.rejection.reason,
            bad.rejection.message, retryable=False,
        )  # fmt: skip
        return _attempt_failed(instance, failure, task, moment, ChildFailed)
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
    again = command.retryable and not (full(instance) or too_heavy(instance))  # attempts are events, too
    retry_at = min(TIME_US_MAX, next_attempt_at(retry, command.attempt, command.error_type, again, task.asked.at_us, at))
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
    if command.kind not in TIMER_KINDS:
        return refuse("TaskNotOpen", "no timer is of that kind")
    if command.kind == "start":
        if instance.begun or instance.started is None:
            return refuse("TaskNotOpen", "the delayed start has begun")
        return Decision([WorkflowBegun(*_due(instance, instance.started.start_at_us, moment))])
    task = instance.open.get(command.task_id)
    if task is None:
        return refuse("TaskNotOpen", f"task {command.task_id} has ended")
    if command.kind == "timer":
        if not isinstance(task.asked, TimerCreated):
            return refuse("TaskNotOpen", f"task {command.task_id} is no timer")
        fire_at_us = task.asked.fire_at_us
        return Decision([TimerFired(*_due(instance, fire_at_us, moment), command.task_id, fire_at_us)])
    if command.attempt != task.attempt:
        return refuse("StaleAttempt", f"task {command.task_id} is at attempt {task.attempt}")
    if command.kind == "retry":
        return _retry(instance, task, moment)
    return _lease_ended(instance, command, task, moment)


def _due(instance: Instance, due_us: int, moment: Moment) -> tuple[str, int, int, int]:
    """Not before it was due, though another clock than ours said that it is. Due when *history* says so: what a command
    says of a time could be any number, and an instance's clock never goes back."""
    return _place(instance, max(moment.now_us, due_us))


def _retry(instance: Instance, task: OpenTask, moment: Moment) -> Decision:
    asked, attempt = task.asked, task.attempt + 1
    if not task.retry_at_us:
        return refuse("StaleAttempt", f"task {asked.task_id} is not between attempts")
    place = _due(instance, task.retry_at_us, moment)
    if isinstance(asked, ActivityScheduled):
        retried = ActivityRetried(*place, asked.task_id, attempt)
        return Decision([retried], [activity_task(instance, asked, attempt, place[3])])
    if isinstance(asked, ChildScheduled):
        return Decision([ChildRetried(*place, asked.task_id, attempt)], [start_child(instance, asked, attempt)])
    return refuse("TaskNotOpen", f"task {asked.task_id} is a timer")


def _lease_ended(instance: Instance, command: FireTimer, task: OpenTask, moment: Moment) -> Decision:
    """The attempt's deadline, or its worker's last sign of life, has passed."""
    asked = task.asked
    if not isinstance(asked, ActivityScheduled) or task.retry_at_us:
        return refuse("TaskNotOpen", f"task {command.task_id} runs no attempt")
    if asked.timeout_us:
        name, text = "ActivityTimeout", f"activity '{asked.name}' took longer than {asked.timeout_us / 1e6:g} s"
    else:
        name, text = "WorkerLost", f"the worker running activity '{asked.name}' gave no sign of life"
    failure = FailActivity(command.run, command.generation, command.task_id, command.attempt, name, text)
    if command.fire_at_us <= moment.now_us + CLOCKS_APART_SECONDS_MAX * 1_000_000:  # history does not know when it ends
        moment = replace(moment, now_us=max(moment.now_us, command.fire_at_us))
    return _attempt_failed(instance, failure, task, moment, ActivityFailed)


def _begin_generation(instance: Instance, command: BeginGeneration, moment: Moment) -> Decision:
    bad = _stale(instance, command.run, command.generation)
    if bad or instance.begun:
        return bad or Decision()
    return Decision([WorkflowBegun(*_place(instance, moment.now_us))])


# -- pieces --------------------------------------------------------------------------------------------------


def _place(instance: Instance, at_us: int, further: int = 0) -> tuple[str, int, int, int]:
    """run, generation, seq, time of the next event (or of the one `further` places on)."""
    return instance.run, instance.generation, instance.next_seq + further, max(at_us, instance.last_at_us)


def _unless_active(
    instance: Instance, command: RaiseEvent | SuspendWorkflow | ResumeWorkflow | TerminateWorkflow
) -> Decision | None:
    command_id = command.command_id
    if command_id and command_id in instance.command_ids:
        return Decision()  # accepted before: the first answer again, no second effect
    if not instance.exists:
        return unknown(instance)
    if instance.ended:
        return refuse("NotRunning", f"'{instance.instance_id}' has ended: it is {instance.status}")
    return bad_command_id(command_id) or bad_note(command.requested_by, "requested_by")


def _unless_parent(instance: Instance, command: TerminateWorkflow | PurgeWorkflow) -> Decision | None:
    if not command.parent_id or instance.is_child_of(
        command.parent_id, command.parent_run, command.parent_generation, command.parent_task_id
    ):
        return None
    return refuse("NotTheParent", f"'{command.parent_id}' did not start this run of '{instance.instance_id}'")


def _stale(instance: Instance, run: str, generation: int) -> Decision | None:
    if not instance.exists:
        return unknown(instance)
    if run != instance.run:
        return refuse("StaleRun", f"for run {run}, this is run {instance.run}")
    if generation != instance.generation:
        return refuse("StaleGeneration", f"for generation {generation}, this is generation {instance.generation}")
    if instance.ended:
        return refuse("NotRunning", f"'{instance.instance_id}' has ended: it is {instance.status}")
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
        return refuse("TaskNotOpen", f"task {command.task_id} has ended")
    if command.attempt != task.attempt or task.retry_at_us:
        return refuse("StaleAttempt", f"task {command.task_id} is at attempt {task.attempt}")
    return task


def _trace(text: str) -> str:
    """Trace context is copied into every step; a stranger's may be of any length, and stops nothing."""
    return text if len(text) <= TRACE_CHARS_MAX else ""


def _remembered(instance: Instance) -> list[str]:
    """The command ids a new run goes on knowing, the earlier run's start among them."""
    ids = list(instance.command_ids)
    if instance.started is not None and instance.started.command_id:
        ids.append(instance.started.command_id)
    return ids[-COMMAND_IDS_REMEMBERED:]


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
