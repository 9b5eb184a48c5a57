"""What a client's process tells and passes on: its current span goes with every command; a start is a span of its own.

Without OpenTelemetry in the process nothing is imported and nothing happens.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from perdure.core.commands import InspectInstance, StartWorkflow
from perdure.ports.clock import Clock
from perdure.telemetry.propagation import Headers, TraceContext, headers_of, parse
from perdure.telemetry.spans import SCOPE, current_tracing, span_context

__all__ = ["attached", "carried", "current_context", "starting"]


def current_context() -> TraceContext | None:
    """Of the caller's current span, if it has one."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace as api  # noqa: PLC0415

    found = api.get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return TraceContext(found.trace_id, found.span_id, found.trace_flags.sampled, found.trace_state.to_header())


def carried(command: object) -> Headers:
    """The headers that go with a command: of the context in it, else of the caller's. Questions carry none."""
    if type(command) is InspectInstance:
        return ()
    if type(command) is StartWorkflow and command.traceparent:
        return headers_of(parse(command.traceparent, command.tracestate))
    return headers_of(current_context())


@contextmanager
def starting(command: object, instance_id: str, clock: Clock) -> Iterator[None]:
    """Around the request that starts a workflow: the span `create_orchestration||NAME`, whose child the workflow is."""
    if type(command) is not StartWorkflow or command.traceparent or "opentelemetry.trace" not in sys.modules:
        yield
        return
    from opentelemetry import trace as api  # noqa: PLC0415

    tracing = current_tracing(clock)
    if tracing is None:
        _take_over(command)
        yield
        return
    span: api.Span = api.NonRecordingSpan(api.get_current_span().get_span_context())  # where none can be made
    with tracing.harmless():
        span = api.get_tracer(SCOPE).start_span(
            f"create_orchestration||{command.name}", kind=api.SpanKind.PRODUCER, start_time=clock.now_us() * 1000,
            attributes={"perdure.instance_id": instance_id, "perdure.workflow": command.name},
        )  # fmt: skip
    try:
        with api.use_span(span, record_exception=False, set_status_on_exception=False):
            _take_over(command)
            yield
    except BaseException as error:
        span.set_status(api.StatusCode.ERROR, type(error).__name__)
        span.set_attribute("error.type", type(error).__name__)
        raise
    finally:
        with tracing.harmless():
            span.end(clock.now_us() * 1000)


def _take_over(command: StartWorkflow) -> None:
    found = current_context()
    if found is not None:
        command.traceparent, command.tracestate = found.traceparent, found.state


@contextmanager
def attached(found: TraceContext | None) -> Iterator[None]:
    """A request's trace context is the current one meanwhile, unless a span of its trace is already."""
    current = current_context()
    if found is None or (current is not None and current.trace_id == found.trace_id):
        yield
        return
    from opentelemetry import context as otel_context  # noqa: PLC0415
    from opentelemetry import trace as api  # noqa: PLC0415

    token = otel_context.attach(api.set_span_in_context(api.NonRecordingSpan(span_context(found))))
    try:
        yield
    finally:
        otel_context.detach(token)
