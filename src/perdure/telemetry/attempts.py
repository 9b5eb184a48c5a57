"""What an activity worker tells: one span for each attempt that it ran to an end.

While user code runs, the attempt is OpenTelemetry's current span: what its own instrumentation makes nests below it,
on the worker's threads, too, and what it sets on the current span is told with it. Attempts that end by their lease
are told by the orchestrator (`orchestrations.py`): this worker may have died.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import Context
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace as api
from opentelemetry.attributes import BoundedAttributes

from perdure.core.commands import CompleteActivity, FailActivity
from perdure.core.effects import ActivityTask
from perdure.telemetry.propagation import Headers, attempt_id, headers_of, parse
from perdure.telemetry.spans import Span, Tracing, span_context

__all__ = ["AttemptTrace", "begin_attempt", "tell_unrun"]

ATTRIBUTES_MAX = 128
EVENTS_MAX = 128


class _Current(api.NonRecordingSpan):
    """The current span of user code: it keeps what it is given; its end is the attempt's, not user code's."""

    def __init__(self, context: api.SpanContext) -> None:
        super().__init__(context)
        self.attributes = BoundedAttributes(maxlen=ATTRIBUTES_MAX, immutable=False)
        self.events: list[tuple[str, int, Mapping[str, Any]]] = []

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.attributes[key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        if len(self.events) < EVENTS_MAX:
            kept = BoundedAttributes(maxlen=ATTRIBUTES_MAX, attributes=attributes or {})
            self.events.append((name, (timestamp or 0) // 1000, kept))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """What user code reports of its own will, its text included."""
        del escaped
        told = {"exception.type": type(exception).__name__, "exception.message": str(exception)}
        self.add_event("exception", {**told, **(attributes or {})}, timestamp)


class AttemptTrace:
    """Of one attempt; `headers` go with its result."""

    __slots__ = ("_current", "_instance", "_task", "_tracing", "headers")

    def __init__(self, tracing: Tracing, task: ActivityTask, instance: str, current: Any, headers: Headers) -> None:
        self.headers = headers
        self._tracing = tracing
        self._task = task
        self._instance = instance
        self._current: _Current | None = current

    def tell(self, outcome: CompleteActivity | FailActivity, began_ago_s: float, ended_ago_s: float) -> None:
        """The attempt has ended, and its end is in the log."""
        if self._current is None:
            return  # not sampled
        now_us = self._tracing.clock.now_us()
        start_us = now_us - round(began_ago_s * 1e6)
        self._tracing.emit(
            [_span(self._task, self._instance, outcome, start_us, now_us - round(ended_ago_s * 1e6), self._current)]
        )


def begin_attempt(tracing: Tracing, task: ActivityTask, instance: str, context: Context) -> AttemptTrace | None:
    """Make it the current span of `context`. None if its workflow has no trace: then nothing is current there."""
    parent = parse(task.traceparent, task.tracestate)
    if parent is None:
        context.run(otel_context.attach, otel_context.Context())
        return None
    own = parent.at(attempt_id(parent, task.run, task.generation, task.task_id, task.attempt))
    current = (_Current if own.sampled else api.NonRecordingSpan)(span_context(own))
    context.run(otel_context.attach, api.set_span_in_context(current, otel_context.Context()))
    kept = current if isinstance(current, _Current) else None
    return AttemptTrace(tracing, task, instance, kept, headers_of(own))


def tell_unrun(tracing: Tracing, task: ActivityTask, instance: str, outcome: FailActivity) -> None:
    """An attempt that fails without being run."""
    parent = parse(task.traceparent, task.tracestate)
    if parent is not None and parent.sampled:
        now_us = tracing.clock.now_us()
        tracing.emit([_span(task, instance, outcome, now_us, now_us, None)])


def _span(
    task: ActivityTask,
    instance: str,
    outcome: CompleteActivity | FailActivity,
    start_us: int,
    end_us: int,
    current: _Current | None,
) -> Span:
    parent = parse(task.traceparent, task.tracestate)
    if parent is None:
        raise AssertionError("a span needs its trace")
    error = outcome.error_type if isinstance(outcome, FailActivity) else ""
    attributes: dict[str, Any] = dict(current.attributes) if current is not None else {}
    attributes |= {
        "perdure.instance_id": instance, "perdure.run": task.run, "perdure.generation": task.generation,
        "perdure.task_id": task.task_id, "perdure.attempt": task.attempt, "perdure.activity": task.name,
        "perdure.workflow": task.workflow_name, "perdure.queue_us": max(0, start_us - task.scheduled_at_us),
    }  # fmt: skip
    if error:
        attributes["error.type"] = error
    events: Sequence[tuple[str, int, Mapping[str, Any]]] = ()
    if current is not None:
        events = [(name, at_us or end_us, told) for name, at_us, told in list(current.events)]
    place = parent.at(attempt_id(parent, task.run, task.generation, task.task_id, task.attempt))
    return Span(
        f"activity||{task.name}", place, parent, start_us, end_us, attributes, "CONSUMER", error=error, events=events
    )
