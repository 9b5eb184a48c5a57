"""Spans with prescribed ids and times, given to whatever TracerProvider the process has.

**Law.** A span is made when what it tells of has been committed, whole, from facts: name, ids, start, end. It is never
open in the SDK, so a crash leaves none behind half told, and nothing speculative is ever told. The SDK's own spans
begin now under random ids; so finished ones are built here and go straight to the provider's processor. Rejected: an
IdGenerator that hands out prescribed ids (a provider that the user made has its own), and spans kept open over turns.

A process without a TracerProvider of OpenTelemetry's SDK has no `Tracing`, and its roles do nothing for traces.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import structlog

from perdure.ports.clock import Clock
from perdure.telemetry.propagation import TraceContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.trace import Link, SpanContext

__all__ = ["LINKS_MAX", "Span", "Tracing", "current_tracing"]

log = structlog.get_logger("perdure.telemetry")

LINKS_MAX = 128
SCOPE = "perdure"


@dataclass(slots=True)
class Span:
    """A finished span. Times in microseconds since the epoch. `error`: the type of the failure; no text of it, ever."""

    name: str
    context: TraceContext
    parent: TraceContext | None
    start_us: int
    end_us: int
    attributes: Mapping[str, str | int | float | bool]
    kind: str = "INTERNAL"
    error: str = ""
    links: Sequence[TraceContext] = ()
    events: Sequence[tuple[str, int, Mapping[str, Any]]] = ()  # name, at_us, attributes


class Tracing:
    """What the process's TracerProvider is given. `clock` is the process's."""

    def __init__(self, provider: TracerProvider, clock: Clock) -> None:
        self.clock = clock
        self._provider = provider
        self._tracer: Any = provider.get_tracer(SCOPE)
        self._failed = False

    def emit(self, spans: Sequence[Span]) -> None:
        """Give them away. Unsampled ones are dropped; nothing that a processor raises leaves here."""
        processor, resource = self._tracer.span_processor, self._tracer.resource
        with self.harmless():
            for span in spans:
                if span.context.sampled:
                    processor.on_end(_readable(span, resource, self._tracer._instrumentation_scope))

    @contextmanager
    def harmless(self) -> Iterator[None]:
        """Traces never disturb the work they tell of: whatever goes wrong is told, once, and the spans are lost."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - as it says
            if not self._failed:  # an exporter that fails would otherwise fill the log
                self._failed = True
                log.warning("spans are lost; traces will have gaps", error=f"{type(error).__name__}: {error}")

    def samples(self, trace: TraceContext, parent: TraceContext | None, name: str) -> bool:
        """The provider's sampler on a workflow that starts. Everything below follows this one decision."""
        from opentelemetry import trace as api  # noqa: PLC0415

        above = None if parent is None else api.set_span_in_context(api.NonRecordingSpan(span_context(parent)))
        try:
            result = self._provider.sampler.should_sample(above, trace.trace_id, name)
        except Exception as error:  # noqa: BLE001 - a user's sampler
            log.warning("the sampler failed: a workflow is traced as its caller is", error=str(error))
            return parent is None or parent.sampled
        return bool(result.decision.is_sampled())  # type: ignore[no-untyped-call]


def current_tracing(clock: Clock) -> Tracing | None:
    """Of this process, if it has set an SDK TracerProvider by now; else None, without importing anything."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    from opentelemetry import trace as api  # noqa: PLC0415
    from opentelemetry.sdk.trace import Tracer, TracerProvider  # noqa: PLC0415

    provider = api.get_tracer_provider()
    if not isinstance(provider, TracerProvider) or not isinstance(provider.get_tracer(SCOPE), Tracer):
        return None  # none was set, or OTEL_SDK_DISABLED
    return Tracing(provider, clock)


@lru_cache(maxsize=1024)
def span_context(context: TraceContext) -> SpanContext:
    """As OpenTelemetry's API has it."""
    from opentelemetry import trace as api  # noqa: PLC0415

    flags = api.TraceFlags(api.TraceFlags.SAMPLED if context.sampled else api.TraceFlags.DEFAULT)
    state = api.TraceState.from_header([context.state]) if context.state else None
    return api.SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=flags, trace_state=state)


def _readable(span: Span, resource: Any, scope: Any) -> ReadableSpan:
    from opentelemetry import trace as api  # noqa: PLC0415
    from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415

    status = api.Status(api.StatusCode.ERROR, span.error) if span.error else api.Status()
    return ReadableSpan(
        span.name, span_context(span.context), None if span.parent is None else span_context(span.parent), resource,
        dict(span.attributes), [Event(name, attributes, at_us * 1000) for name, at_us, attributes in span.events],
        [_link(each) for each in span.links[:LINKS_MAX]], api.SpanKind[span.kind], status=status,
        start_time=span.start_us * 1000, end_time=max(span.start_us, span.end_us) * 1000, instrumentation_scope=scope,
    )  # fmt: skip


def _link(context: TraceContext) -> Link:
    from opentelemetry import trace as api  # noqa: PLC0415

    return api.Link(span_context(context))
