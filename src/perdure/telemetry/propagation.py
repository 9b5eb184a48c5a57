"""W3C trace context: as text in messages, in records' headers and in HTTP's; and the ids that are derived, not drawn.

**Law.** A span's id is a function of what history says of it (trace, kind, run, generation, step, attempt). So a process
that takes over knows the ids that the dead one used, a span told twice is one span, and nobody has to pass a parent's id
to a child: whoever knows the trace of a run knows the place of each of its steps.

Nothing here needs OpenTelemetry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from perdure.core.commands import RaiseEvent, StartWorkflow

__all__ = [
    "Headers", "RunTrace", "TraceContext", "adopt", "attempt_id", "context_in", "headers_of", "own_trace", "parse", "run_trace",
    "timer_id", "turn_id",
]  # fmt: skip

Headers = tuple[tuple[str, bytes], ...]

TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
TRACESTATE_CHARS_MAX: Final = 512  # what W3C asks everybody to pass on; a longer one is dropped whole


@dataclass(slots=True, frozen=True)
class TraceContext:
    """A span's place: its trace, its id, whether the trace is recorded, and what vendors add (tracestate)."""

    trace_id: int
    span_id: int
    sampled: bool = True
    state: str = ""

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{'01' if self.sampled else '00'}"

    def at(self, span_id: int) -> TraceContext:
        """Another span of the same trace."""
        return TraceContext(self.trace_id, span_id, self.sampled, self.state)


@dataclass(slots=True, frozen=True)
class RunTrace:
    """Of one generation of a run: its workflow's span, the span above that one, and the one it goes on from."""

    own: TraceContext
    parent: TraceContext | None = None
    linked: TraceContext | None = None


def parse(traceparent: str, tracestate: str = "") -> TraceContext | None:
    """None for what is no trace context: a stranger's header stops nothing."""
    found = TRACEPARENT.fullmatch(traceparent)
    if found is None or (traceparent.startswith("00-") and found[4]):
        return None
    trace_id, span_id, flags = int(found[1], 16), int(found[2], 16), int(found[3], 16)
    if not trace_id or not span_id:
        return None
    return TraceContext(trace_id, span_id, bool(flags & 1), tracestate if _passable(tracestate) else "")


def _passable(tracestate: str) -> bool:
    return len(tracestate) <= TRACESTATE_CHARS_MAX and tracestate.isascii() and tracestate.isprintable()


def own_trace(*identity: str | int, sampled: bool = True) -> TraceContext:
    """The trace of a run that nobody gave one: the span it names is the workflow's own, `identity` ends with the run."""
    trace_id = _derived(16, "trace", *identity)
    return TraceContext(trace_id, _derived(8, trace_id, "orchestration", identity[-1], 0), sampled)


@lru_cache(maxsize=4096)
def run_trace(traceparent: str, tracestate: str, run: str, generation: int) -> RunTrace | None:
    """What the trace context in a run's history means. None: it has none, and nothing of it is traced.

    Each generation after the first has a trace of its own, linked to the one before, as an endless workflow would
    otherwise be an endless trace.
    """
    given = parse(traceparent, tracestate)
    if given is None:
        return None
    first = given.at(_derived(8, given.trace_id, "orchestration", run, 0))
    if generation == 0:
        return RunTrace(first, None if first.span_id == given.span_id else given)
    return RunTrace(_generation(given, run, generation), linked=_generation(given, run, generation - 1))


def _generation(given: TraceContext, run: str, generation: int) -> TraceContext:
    trace_id = _derived(16, given.trace_id, run, generation) if generation else given.trace_id
    span_id = _derived(8, trace_id, "orchestration", run, generation)
    return TraceContext(trace_id, span_id, given.sampled, given.state)


def attempt_id(trace: TraceContext, run: str, generation: int, task_id: int, attempt: int) -> int:
    """Of one attempt of one activity."""
    return _derived(8, trace.trace_id, "activity", run, generation, task_id, attempt)


def timer_id(trace: TraceContext, run: str, generation: int, task_id: int) -> int:
    return _derived(8, trace.trace_id, "timer", run, generation, task_id)


def turn_id(trace: TraceContext, run: str, generation: int, first_seq: int) -> int:
    return _derived(8, trace.trace_id, "turn", run, generation, first_seq)


def _derived(size: int, *parts: str | int) -> int:
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=size, person=b"perdure-span").digest(), "big") or 1


def headers_of(context: TraceContext | None) -> Headers:
    """As headers of a record."""
    if context is None:
        return ()
    parent = ("traceparent", context.traceparent.encode())
    return (parent, ("tracestate", context.state.encode())) if context.state else (parent,)


def context_in(headers: Headers) -> TraceContext | None:
    """The trace context among a record's headers, if a valid one is there."""
    found = {name: value for name, value in headers if name in ("traceparent", "tracestate")}
    try:
        return parse(found.get("traceparent", b"").decode("ascii"), found.get("tracestate", b"").decode("ascii"))
    except UnicodeDecodeError:
        return None


def adopt(command: object, headers: Headers) -> TraceContext | None:
    """A producer that knows only W3C puts its context beside the command: a start without one of its own takes it over.

    Returns the context beside a StartWorkflow or RaiseEvent, for links.
    """
    if not isinstance(command, StartWorkflow | RaiseEvent):
        return None
    found = context_in(headers)
    if found is not None and type(command) is StartWorkflow and not command.traceparent:
        command.traceparent, command.tracestate = found.traceparent, found.state
    return found
