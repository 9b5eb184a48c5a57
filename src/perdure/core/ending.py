"""What follows from the end of a run or a generation: the parent is told, timers are forgotten, children follow."""

from __future__ import annotations

from perdure.core.asking import cancel_timers
from perdure.core.commands import BeginGeneration, CompleteChild, FailChild, StartWorkflow, TerminateWorkflow
from perdure.core.effects import Effect, SendCommand
from perdure.core.events import (
    CarriedChild,
    ChildScheduled,
    Event,
    EventRaised,
    WorkflowCompleted,
    WorkflowContinuedAsNew,
    WorkflowFailed,
    WorkflowStarted,
    WorkflowTerminated,
)
from perdure.core.instance import Instance
from perdure.core.limits import CARRIED_CHILDREN_MAX
from perdure.core.scheduler import Continuation

__all__ = ["ENDS", "begin_command", "ending_effects", "next_generation", "told_again", "unfinished_children"]

ENDS = (WorkflowCompleted, WorkflowFailed, WorkflowTerminated, WorkflowContinuedAsNew)


def ending_effects(instance: Instance, event: Event) -> list[Effect]:
    """To be asked before the event is applied, while the open steps are still known."""
    effects = cancel_timers(instance)
    if isinstance(event, WorkflowTerminated) and event.recursive:
        effects += [
            SendCommand(
                child.child_id,
                TerminateWorkflow(
                    parent_id=instance.instance_id, parent_run=instance.run, parent_generation=child.generation,
                    parent_task_id=child.task_id, requested_by=event.requested_by,
                ),
            )
            for child in unfinished_children(instance)
        ]  # fmt: skip
    answer = _answer_to_parent(instance, event)
    if answer is not None:
        effects.append(answer)
    return effects


def _answer_to_parent(instance: Instance, event: Event) -> SendCommand | None:
    link = instance.started
    if link is None or not link.parent_id or isinstance(event, WorkflowContinuedAsNew):
        return None
    place = (link.parent_run, link.parent_generation, link.parent_task_id, link.parent_attempt)
    if isinstance(event, WorkflowCompleted):
        return SendCommand(link.parent_id, CompleteChild(*place, event.output))
    if isinstance(event, WorkflowFailed):
        return SendCommand(link.parent_id, FailChild(*place, event.error_type, event.error_message, event.stack_trace))
    message = f"child workflow '{instance.instance_id}' was terminated"
    return SendCommand(link.parent_id, FailChild(*place, "WorkflowTerminated", message, retryable=False))


def told_again(instance: Instance, start: StartWorkflow) -> list[Effect]:
    """A parent that repeats its child's start, after a log was lost, may not know how the child ended."""
    if not start.parent_id or not instance.ended:
        return []
    place = (start.parent_run, start.parent_generation, start.parent_task_id, start.parent_attempt)
    if instance.ended == "COMPLETED":
        return [SendCommand(start.parent_id, CompleteChild(*place, instance.output))]
    if instance.ended == "FAILED":
        failure = FailChild(*place, instance.error_type, instance.error_message, instance.stack_trace)
        return [SendCommand(start.parent_id, failure)]
    message = f"child workflow '{instance.instance_id}' was {instance.ended.lower()}"
    return [SendCommand(start.parent_id, FailChild(*place, "WorkflowTerminated", message, retryable=False))]


def unfinished_children(instance: Instance) -> list[CarriedChild]:
    """Children of this generation that have not ended, and those carried from earlier ones (which may have)."""
    mine = [
        CarriedChild(task.asked.child_id, instance.generation, task.asked.task_id)
        for task in instance.open.values()
        if isinstance(task.asked, ChildScheduled)
    ]
    return [*instance.carried_children, *mine]


def next_generation(
    instance: Instance, continuation: Continuation, carried: list[EventRaised], at_us: int
) -> list[Event]:
    """The first events of the next generation: its start, and the raised events that come along, as records of their own."""
    old = instance.started
    if old is None:
        raise AssertionError("a generation that never started cannot continue")
    run, generation = instance.run, instance.generation + 1
    started = WorkflowStarted(
        run, generation, 1, at_us, old.name, continuation.input, old.command_id, old.requested_by, 0,
        instance.created_at_us, old.parent_id, old.parent_run, old.parent_generation, old.parent_task_id,
        old.parent_attempt, old.rerun_of, old.traceparent, list(instance.command_ids),
        unfinished_children(instance)[-CARRIED_CHILDREN_MAX:], old.tracestate,
    )  # fmt: skip
    events: list[Event] = [started]
    for seq, event in enumerate(carried, start=2):
        events.append(
            EventRaised(run, generation, seq, at_us, event.name, event.data, event.command_id, event.requested_by, True)
        )
    return events


def begin_command(instance_id: str, run: str, generation: int) -> SendCommand:
    """Self-addressed: user code of the next generation runs in a batch of its own."""
    return SendCommand(instance_id, BeginGeneration(run, generation))
