"""The effects that put a step into others' hands, or take it back: tasks, children's starts, timers."""

from __future__ import annotations

from perdure.core.commands import BeginGeneration, StartWorkflow
from perdure.core.effects import ActivityTask, CancelTimer, Effect, SendCommand, SetTimer
from perdure.core.events import ActivityScheduled, ChildScheduled, TimerCreated
from perdure.core.instance import Instance

__all__ = ["activity_task", "cancel_timers", "open_steps", "start_child"]


def activity_task(instance: Instance, asked: ActivityScheduled, attempt: int, at_us: int) -> ActivityTask:
    """One attempt's message to the workers."""
    started = instance.started
    return ActivityTask(
        asked.run, asked.generation, asked.task_id, attempt, asked.name, instance.name, asked.input, asked.timeout_us,
        asked.queue, at_us, started.traceparent if started else "", tracestate=started.tracestate if started else "",
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
            tracestate=instance.started.tracestate if instance.started else "",
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


def open_steps(instance: Instance, at_us: int) -> list[Effect]:
    """All that an active generation waits for, asked for anew: as it was asked the last time, under the same names."""
    place = (instance.run, instance.generation)
    if not instance.begun and instance.started is not None:
        if instance.started.start_at_us:
            return [SetTimer(*place, 0, 0, "start", instance.started.start_at_us)]
        return [SendCommand(instance.instance_id, BeginGeneration(*place))]
    found: list[Effect] = []
    for task_id, task in instance.open.items():
        asked = task.asked
        if isinstance(asked, TimerCreated):
            found.append(SetTimer(*place, task_id, 0, "timer", asked.fire_at_us))
        elif task.retry_at_us:
            found.append(SetTimer(*place, task_id, task.attempt, "retry", task.retry_at_us))
        elif isinstance(asked, ActivityScheduled):
            found.append(activity_task(instance, asked, task.attempt, at_us))
        else:
            found.append(start_child(instance, asked, task.attempt))
    return found
