"""What a command does to an instance: facts and effects, or a rejection by name.

**Law.** `decide` changes nothing. It looks at state and command and answers with values; user code is not run here
(that is the turn's part), so the same decision is made whatever the orchestrator's code does next. Every command of the
union but InspectInstance (which decides nothing) has one function below; every reason for a rejection is in REJECTIONS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

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
    ReissueSteps,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.effects import Effect, SendCommand, SetTimer
from perdure.core.ending import told_again
from perdure.core.events import (
    Event,
    EventRaised,
    WorkflowPurged,
    WorkflowRecovered,
    WorkflowResumed,
    WorkflowStarted,
    WorkflowSuspended,
    WorkflowTerminated,
)
from perdure.core.instance import Instance
from perdure.core.limits import (
    COMMAND_IDS_REMEMBERED,
    EVENT_BUFFER_BYTES_MAX,
    EVENT_BUFFER_MAX,
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
    bad_payload,
    full,
    refuse,
    stale,
    too_heavy,
    too_large,
    unknown,
)
from perdure.core.results import (
    begin_generation,
    complete_activity,
    complete_child,
    fail_activity,
    fail_child,
    fire_timer,
    place_of,
    reissue_steps,
)
from perdure.core.sizes import text_bytes

__all__ = ["REJECTIONS", "Decision", "Moment", "Rejection", "decide"]

REUSES: Final = ("never", "ended")
"""What a start may say of an id that existed before: no run of it, or another one once the last has ended."""


def decide(instance: Instance, command: Any, moment: Moment) -> Decision:
    """The one entry. `instance` may be blank (never started)."""
    return DECIDE[type(command)](instance, command, moment)


# -- client commands -----------------------------------------------------------------------------------------


def _start(instance: Instance, command: StartWorkflow, moment: Moment) -> Decision:
    started = instance.started
    if started is not None and command.command_id and started.command_id == command.command_id:
        return Decision(effects=told_again(instance, command))
    if command.command_id and command.command_id in instance.command_ids:
        return Decision()  # of an earlier run of this id
    bad = bad_id(instance.instance_id, child=bool(command.parent_id))
    if not command.parent_id:  # the engine's own are as long as the ids they are derived from
        bad = bad or bad_command_id(command.command_id)
    if bad:
        return bad
    if instance.active:
        return refuse("AlreadyExists", f"an active workflow with ID '{instance.instance_id}' already exists")
    bad = _unless_reusable(instance, command)
    if bad:
        return bad
    if not moment.registered(command.name):
        return refuse("UnknownWorkflow", f"no workflow named '{command.name}' is registered with this engine")
    bad = bad_name(command.name) or too_large(command.input, "input")
    bad = bad or bad_note(command.requested_by, "requested_by") or bad_note(command.rerun_of, "rerun_of")
    if bad:
        return bad
    if command.start_at_us > TIME_US_MAX:
        return refuse("InvalidCommand", "start_at_us is beyond the year 9999")
    bad = None if command.parent_id else bad_payload(command.input, "input")
    if bad:
        return bad
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
    bad = full(instance) or too_heavy(instance, command.data) or bad_payload(command.data, "event data")
    if bad:
        return bad
    place = place_of(instance, moment.now_us)
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
    place = place_of(instance, moment.now_us)
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
        events.append(WorkflowResumed(*place_of(instance, moment.now_us), command.command_id, command.requested_by))
    if instance.stalled is not None:
        events.append(WorkflowRecovered(*place_of(instance, moment.now_us, len(events))))
    return Decision(events)


def _recover(instance: Instance, command: RecoverWorkflow, moment: Moment) -> Decision:
    bad = stale(instance, command.run, instance.generation)
    if bad:
        return bad
    if instance.stalled is None:
        return refuse("NotStalled", f"'{instance.instance_id}' is not stalled")
    bad = full(instance, times=2)
    if bad:
        return bad
    return Decision([WorkflowRecovered(*place_of(instance, moment.now_us), command.fingerprint)])


def _terminate(instance: Instance, command: TerminateWorkflow, moment: Moment) -> Decision:
    bad = _unless_active(instance, command) or _unless_parent(instance, command)
    if bad:
        return bad
    bad = too_large(command.output, "output") or bad_payload(command.output, "output")
    if bad:
        return bad
    event = WorkflowTerminated(
        *place_of(instance, moment.now_us),
        command.output,
        command.recursive,
        command.command_id,
        command.requested_by,
    )
    return Decision([event])


def _purge(instance: Instance, command: PurgeWorkflow, moment: Moment) -> Decision:
    if command.command_id and command.command_id in instance.command_ids:
        return Decision()
    if command.run and instance.started is not None and command.run != instance.run:  # of a purged one, too
        return refuse("StaleRun", f"for run {command.run}, this is run {instance.run}")
    if not instance.exists:
        return unknown(instance)
    bad = _unless_parent(instance, command) or bad_command_id(command.command_id)
    bad = bad or bad_note(command.requested_by, "requested_by")
    if bad:
        return bad
    if not instance.ended:
        return refuse("NotFinished", f"'{instance.instance_id}' is {instance.status}: terminate it before purging it")
    event = WorkflowPurged(*place_of(instance, moment.now_us), command.command_id, command.requested_by)
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


# -- pieces --------------------------------------------------------------------------------------------------


def _unless_reusable(instance: Instance, command: StartWorkflow) -> Decision | None:
    """May the id have another run? Who is told of a refusal may mean it; who is not, most likely repeats itself."""
    reuse = command.reuse_id or ("ended" if command.reply_to or command.parent_id else "never")
    if reuse not in REUSES:
        return refuse("InvalidCommand", f"reuse_id is one of {', '.join(REUSES)} or empty, not '{reuse}'")
    if instance.started is None:
        return None
    if reuse == "never":
        return refuse(
            "IdInUse",
            f"'{instance.instance_id}' was used before; a start that means another run of it says so by reuse_id 'ended'",
        )
    if not command.command_id:
        return refuse(
            "IdInUse", f"'{instance.instance_id}' was used before; a start that means it carries a command_id"
        )
    return None


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
    CompleteActivity: complete_activity,
    FailActivity: fail_activity,
    CompleteChild: complete_child,
    FailChild: fail_child,
    FireTimer: fire_timer,
    BeginGeneration: begin_generation,
    ReissueSteps: reissue_steps,
}
