"""What results of steps, and the engine's own commands to itself, do to an instance: a part of `decide`.

What a command says of a time could be any number, and an instance's clock never goes back: so a timer is due when
*history* says so.
"""

from __future__ import annotations

from dataclasses import replace

from perdure.core.asking import activity_task, open_steps, start_child
from perdure.core.clipping import clipped
from perdure.core.commands import (
    BeginGeneration,
    CompleteActivity,
    CompleteChild,
    FailActivity,
    FailChild,
    FireTimer,
    ReissueSteps,
)
from perdure.core.effects import TIMER_KINDS, SetTimer
from perdure.core.events import (
    ActivityCompleted,
    ActivityFailed,
    ActivityRetried,
    ActivityScheduled,
    ChildCompleted,
    ChildFailed,
    ChildRetried,
    ChildScheduled,
    TimerCreated,
    TimerFired,
    WorkflowBegun,
)
from perdure.core.instance import Instance, OpenTask
from perdure.core.limits import CLOCKS_APART_SECONDS_MAX, NAME_BYTES_MAX, TIME_US_MAX
from perdure.core.refusals import Decision, Moment, full, refuse, stale, too_heavy, too_large
from perdure.core.retry import next_attempt_at

__all__ = [
    "begin_generation",
    "complete_activity",
    "complete_child",
    "fail_activity",
    "fail_child",
    "fire_timer",
    "place_of",
    "reissue_steps",
]


def place_of(instance: Instance, at_us: int, further: int = 0) -> tuple[str, int, int, int]:
    """run, generation, seq, time of the next event (or of the one `further` places on)."""
    return instance.run, instance.generation, instance.next_seq + further, max(at_us, instance.last_at_us)


def complete_activity(instance: Instance, command: CompleteActivity, moment: Moment) -> Decision:
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
    place = place_of(instance, moment.now_us)
    return Decision([ActivityCompleted(*place, command.task_id, command.attempt, command.output)])


def fail_activity(instance: Instance, command: FailActivity, moment: Moment) -> Decision:
    task = _open(instance, command, ActivityScheduled)
    if isinstance(task, Decision):
        return task
    return _attempt_failed(instance, command, task, moment, ActivityFailed)


def complete_child(instance: Instance, command: CompleteChild, moment: Moment) -> Decision:
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
    place = place_of(instance, moment.now_us)
    return Decision([ChildCompleted(*place, command.task_id, command.attempt, command.output)])


def fail_child(instance: Instance, command: FailChild, moment: Moment) -> Decision:
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
    run, generation, seq, at = place_of(instance, moment.now_us)
    again = command.retryable and not (full(instance) or too_heavy(instance))  # attempts are events, too
    retry_at = min(
        TIME_US_MAX, next_attempt_at(retry, command.attempt, command.error_type, again, task.asked.at_us, at)
    )
    failed = event(
        run, generation, seq, at, command.task_id, command.attempt, clipped(command.error_type, NAME_BYTES_MAX),
        clipped(command.error_message), clipped(command.stack_trace), retry_at,
    )  # fmt: skip
    if not retry_at:
        return Decision([failed])
    return Decision([failed], [SetTimer(run, generation, command.task_id, command.attempt, "retry", retry_at)])


def fire_timer(instance: Instance, command: FireTimer, moment: Moment) -> Decision:
    bad = stale(instance, command.run, command.generation)
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
    """Not before it was due, though another clock than ours said that it is."""
    return place_of(instance, max(moment.now_us, due_us))


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


def begin_generation(instance: Instance, command: BeginGeneration, moment: Moment) -> Decision:
    bad = stale(instance, command.run, command.generation)
    if bad or instance.begun:
        return bad or Decision()
    return Decision([WorkflowBegun(*place_of(instance, moment.now_us))])


def reissue_steps(instance: Instance, command: ReissueSteps, moment: Moment) -> Decision:
    """Nothing has happened, so there is no event: whoever still has what is asked for ignores it."""
    bad = stale(instance, command.run, instance.generation)
    return bad or Decision(effects=open_steps(instance, max(moment.now_us, instance.last_at_us)))


def _open(
    instance: Instance,
    command: CompleteActivity | FailActivity | CompleteChild | FailChild,
    asked: type[ActivityScheduled | ChildScheduled],
) -> OpenTask | Decision:
    bad = stale(instance, command.run, command.generation)
    if bad:
        return bad
    task = instance.open.get(command.task_id)
    if task is None or type(task.asked) is not asked:
        return refuse("TaskNotOpen", f"task {command.task_id} has ended")
    if command.attempt != task.attempt or task.retry_at_us:
        return refuse("StaleAttempt", f"task {command.task_id} is at attempt {task.attempt}")
    return task
