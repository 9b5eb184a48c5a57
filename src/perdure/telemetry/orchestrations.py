"""What an orchestrator tells of the instances it decides: workflows, turns, timers, and attempts that nobody else can.

A `Trail` follows a turn, event by event, and keeps what the spans need while the state still has it: the step that an
event ends. Spans are made of trails when a batch is composed and leave after its commit. At a takeover they are made
once more of what the store did not have yet: their owner may have died between its commit and its export, and a span
told twice is the same span.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.core.commands import StartWorkflow
from perdure.core.effects import ActivityTask, SendCommand
from perdure.core.ending import ENDS
from perdure.core.events import (
    ActivityFailed,
    ActivityScheduled,
    Event,
    EventRaised,
    TimerCreated,
    TimerFired,
    WorkflowCompleted,
    WorkflowContinuedAsNew,
    WorkflowFailed,
    WorkflowStarted,
)
from perdure.core.instance import Instance, apply
from perdure.telemetry.propagation import (
    Headers,
    RunTrace,
    TraceContext,
    attempt_id,
    headers_of,
    own_trace,
    run_trace,
    timer_id,
    turn_id,
)
from perdure.telemetry.spans import LINKS_MAX, Span, Tracing

__all__ = ["Trail", "begin", "process_span", "spans_of", "stamp", "tail_spans"]

Attributes = dict[str, str | int | float | bool]

TOLD = (TimerFired, ActivityFailed, *ENDS)

LEASE_ENDS = ("ActivityTimeout", "WorkerLost")
"""Failures that the orchestrator itself finds: the worker, if it lives, tells nothing of these attempts."""


class Trail:
    """Told of each event of a turn before it takes effect."""

    __slots__ = ("links", "steps")

    def __init__(self) -> None:
        self.steps: list[
            tuple[Event, WorkflowStarted, Event | None]
        ] = []  # event, its generation's start, what it ends
        self.links: list[TraceContext] = []  # of who raised events

    def __call__(self, instance: Instance, event: Event) -> None:
        started = event if type(event) is WorkflowStarted else instance.started
        if started is None:
            return
        ended = None
        if isinstance(event, TimerFired | ActivityFailed):
            task = instance.open.get(event.task_id)
            ended = None if task is None else task.asked
        self.steps.append((event, started, ended))


def begin(command: StartWorkflow, tracing: Tracing, instance_id: str, run: str, *where: str | int) -> None:
    """A start gets the trace that its run will have: its caller's, else one of its own. `where` makes runs unique."""
    trace = run_trace(command.traceparent, command.tracestate, run, 0)
    own, parent = (own_trace(*where, instance_id, run), None) if trace is None else (trace.own, trace.parent)
    sampled = tracing.samples(own, parent, f"orchestration||{command.name}")
    noted = parent or own
    command.traceparent = TraceContext(noted.trace_id, noted.span_id, sampled).traceparent
    command.tracestate = noted.state


def stamp(effect: object, instance: Instance) -> Headers:
    """Write the step's parent into a task or a child's start; returns the headers for its record."""
    if type(effect) is ActivityTask:
        trace = run_trace(effect.traceparent, effect.tracestate, effect.run, effect.generation)
        if trace is None:
            return ()
        effect.traceparent = trace.own.traceparent
        return headers_of(trace.own)
    command = effect.command if type(effect) is SendCommand else None
    if type(command) is StartWorkflow:
        trace = run_trace(command.traceparent, command.tracestate, command.parent_run, command.parent_generation)
        if trace is not None:
            command.traceparent = trace.own.traceparent
    else:
        trace = None if instance.started is None else _trace(instance.started)
    return () if trace is None or command is None else headers_of(trace.own)


def spans_of(instance_id: str, trail: Trail, start_us: int, end_us: int) -> list[Span]:
    """Of a decided turn: one for the turn in each generation that it touched, and one for each thing that ended."""
    spans: list[Span] = []
    generations: dict[tuple[str, int], list[tuple[Event, WorkflowStarted]]] = {}
    for event, started, ended in trail.steps:
        generations.setdefault((event.run, event.generation), []).append((event, started))
        span = _ended(instance_id, event, started, ended)
        if span is not None:
            spans.append(span)
    for steps in generations.values():
        first, started = steps[0]
        trace = _trace(started)
        if trace is not None and trace.own.sampled:
            attributes = _attributes(instance_id, first.run, first.generation)
            attributes["perdure.turn.events"] = len(steps)
            told = [(_name(event), event.at_us, _named(event)) for event, _ in steps[:LINKS_MAX]]
            place = trace.own.at(turn_id(trace.own, first.run, first.generation, first.seq))
            name = f"turn||{started.name}"
            spans.append(Span(name, place, trace.own, start_us, end_us, attributes, links=trail.links, events=told))
    return spans


def tail_spans(instance_id: str, before: Sequence[Event], tail: Sequence[Event]) -> list[Span]:
    """Of committed events whose owner may not have told of them. `before`: those of the same generation ahead of them.

    Where turns had their borders is not in history: theirs are lost.
    """
    instance, trail = Instance(instance_id), Trail()
    for event in before:
        apply(instance, event)
    for event in tail:
        if instance.started is None and type(event) is not WorkflowStarted:
            continue  # of a generation whose beginning is not at hand
        trail(instance, event)
        apply(instance, event)
    found = (_ended(instance_id, *step) for step in trail.steps)
    return [span for span in found if span is not None]


def process_span(tracing: Tracing, place: tuple[str, int, int], requests: int, turns: Sequence[Span]) -> Span:
    """One for a committed batch, in a trace of its own, with links to the workflows it moved.

    `place`: namespace, partition and the offset of its marker.
    """
    moved = list(dict.fromkeys(span.parent for span in turns if span.parent is not None))
    start_us = min((span.start_us for span in turns), default=tracing.clock.now_us())
    context = own_trace("process", *place, start_us, sampled=bool(moved))
    attributes: Attributes = {"perdure.partition": place[1], "perdure.batch.requests": requests}
    return Span(
        "process", context, None, start_us, tracing.clock.now_us(), attributes, "CONSUMER", links=moved[:LINKS_MAX]
    )


def _trace(started: WorkflowStarted) -> RunTrace | None:
    return run_trace(started.traceparent, started.tracestate, started.run, started.generation)


def _ended(instance_id: str, event: Event, started: WorkflowStarted, ended: Event | None) -> Span | None:
    if not isinstance(event, TOLD):
        return None
    trace = _trace(started)
    if trace is None or not trace.own.sampled:
        return None
    attributes = _attributes(instance_id, event.run, event.generation)
    if isinstance(event, TimerFired):
        return None if type(ended) is not TimerCreated else _timer(trace, event, ended, attributes)
    if isinstance(event, ActivityFailed):
        return None if type(ended) is not ActivityScheduled else _lost_attempt(trace, event, ended, attributes)
    return _workflow(trace, event, started, attributes)


def _workflow(trace: RunTrace, event: Event, started: WorkflowStarted, attributes: Attributes) -> Span:
    attributes["perdure.workflow"] = started.name
    attributes["perdure.status"] = _status(event)
    if started.parent_id:
        attributes |= {
            "perdure.parent.instance_id": started.parent_id, "perdure.parent.task_id": started.parent_task_id,
            "perdure.attempt": started.parent_attempt,
        }  # fmt: skip
    error = event.error_type if isinstance(event, WorkflowFailed) else ""
    if error:
        attributes["error.type"] = error
    links = () if trace.linked is None else (trace.linked,)
    name = f"orchestration||{started.name}"
    return Span(
        name, trace.own, trace.parent, started.at_us, event.at_us, attributes, "SERVER", error=error, links=links
    )


def _timer(trace: RunTrace, fired: TimerFired, created: TimerCreated, attributes: Attributes) -> Span:
    attributes |= {"perdure.task_id": fired.task_id, "perdure.timer.late_us": max(0, fired.at_us - fired.fire_at_us)}
    if created.event_name:
        attributes["perdure.event"] = created.event_name
    place = trace.own.at(timer_id(trace.own, fired.run, fired.generation, fired.task_id))
    return Span("timer", place, trace.own, created.at_us, fired.at_us, attributes)


def _lost_attempt(
    trace: RunTrace, event: ActivityFailed, asked: ActivityScheduled, attributes: Attributes
) -> Span | None:
    """An attempt that its lease has ended. Its start is known only with a time-out, which runs from the start."""
    if event.error_type not in LEASE_ENDS or event.stack_trace:  # a failure of user code that is named so has a stack
        return None
    start_us = event.at_us - asked.timeout_us if asked.timeout_us else asked.at_us
    attributes |= {
        "perdure.activity": asked.name, "perdure.task_id": event.task_id, "perdure.attempt": event.attempt,
        "error.type": event.error_type,
    }  # fmt: skip
    place = trace.own.at(attempt_id(trace.own, event.run, event.generation, event.task_id, event.attempt))
    name = f"activity||{asked.name}"
    return Span(
        name, place, trace.own, max(start_us, asked.at_us), event.at_us, attributes, "CONSUMER", event.error_type
    )


def _status(event: Event) -> str:
    if isinstance(event, WorkflowCompleted):
        return "COMPLETED"
    if isinstance(event, WorkflowFailed):
        return "FAILED"
    return "CONTINUED_AS_NEW" if isinstance(event, WorkflowContinuedAsNew) else "TERMINATED"


def _attributes(instance_id: str, run: str, generation: int) -> Attributes:
    return {"perdure.instance_id": instance_id, "perdure.run": run, "perdure.generation": generation}


def _name(event: Event) -> str:
    return type(event).__name__


def _named(event: Event) -> dict[str, str | int]:
    """What a turn's events say of themselves: names and numbers, no payloads."""
    told: dict[str, str | int] = {"perdure.seq": event.seq}
    if isinstance(event, EventRaised | ActivityScheduled):
        told["perdure.name"] = event.name
    task_id = getattr(event, "task_id", 0)
    if task_id:
        told["perdure.task_id"] = task_id
    return told
