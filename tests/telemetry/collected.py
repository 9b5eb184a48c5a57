"""Spans as tests look at them: collected in memory, or received as OTLP; trees of names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Seen:
    """A span, wherever it came from. Ids as integers, times in microseconds."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int  # 0: none
    start_us: int
    end_us: int
    attributes: dict[str, Any]
    error: str | None = None  # the status' description; None: no error
    links: list[tuple[int, int]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple[int, int]:
        return self.trace_id, self.span_id


def of_sdk(span: Any) -> Seen:
    from opentelemetry.trace import StatusCode

    return Seen(
        span.name, span.context.trace_id, span.context.span_id, span.parent.span_id if span.parent else 0,
        span.start_time // 1000, span.end_time // 1000, dict(span.attributes),
        span.status.description if span.status.status_code is StatusCode.ERROR else None,
        [(link.context.trace_id, link.context.span_id) for link in span.links], [event.name for event in span.events],
    )  # fmt: skip


def once(spans: list[Seen]) -> list[Seen]:
    """As a tracing backend keeps them: one for each id."""
    return list({span.key: span for span in spans}.values())


def steps(spans: list[Seen]) -> list[Seen]:
    """Without turns and batches, whose borders are nobody's promise."""
    return [span for span in spans if span.name != "process" and not span.name.startswith("turn||")]


def tree(spans: list[Seen], label: Any = None) -> list[Any]:
    """[label, [children …]] of every span without a parent here; siblings in the order of their starts."""
    label = label or (lambda span: span.name)
    known = {span.key for span in spans}

    def below(trace_id: int, span_id: int) -> list[Any]:
        children = [span for span in spans if span.trace_id == trace_id and span.parent_id == span_id]
        return [node(each) for each in sorted(children, key=_order)]

    def node(span: Seen) -> list[Any]:
        children = below(*span.key)
        return [label(span), children] if children else [label(span)]

    roots = [span for span in spans if (span.trace_id, span.parent_id) not in known]
    return [node(each) for each in sorted(roots, key=_order)]


def _order(span: Seen) -> Any:
    return span.start_us, span.attributes.get("perdure.task_id", 0), span.name, span.end_us
