"""Traces of one tenure: which turns are followed, and when their spans leave.

**Law.** Spans leave after the commit of their batch, and replay makes none. What a dead owner had committed and may not
have exported is told again from the tail of history: under the same ids, so that it is one span all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from perdure.core.commands import RaiseEvent, StartWorkflow
from perdure.core.events import Event
from perdure.core.turn import Live, Turn
from perdure.ports.clock import Clock
from perdure.roles.orchestrator.batch import Batch
from perdure.roles.orchestrator.intake import Incoming
from perdure.telemetry.orchestrations import Trail, begin, process_span, spans_of, tail_spans
from perdure.telemetry.propagation import adopt
from perdure.telemetry.spans import current_tracing

__all__ = ["Following"]


class Following:
    """`on` is False in a process without a TracerProvider: then only contexts beside commands are taken over."""

    def __init__(self, clock: Clock, namespace: str, partition: int) -> None:
        self._tracing = current_tracing(clock)
        self._namespace = namespace
        self._partition = partition
        self.on = self._tracing is not None

    def begins(self, turn: Turn, group: Sequence[Incoming]) -> None:
        """Before it is decided."""
        tracing, trail = self._tracing, Trail() if self.on else None
        for each, request in zip(group, turn.requests, strict=True):
            beside = adopt(each.command, each.record.headers) if each.record.headers else None
            if tracing is None or trail is None:
                continue
            if type(each.command) is StartWorkflow:
                where = (self._namespace, each.record.timestamp_ms)  # offsets alone begin anew in every cluster
                with tracing.harmless():
                    begin(each.command, tracing, each.instance_id, request.origin, *where)
            elif type(each.command) is RaiseEvent and beside is not None:
                trail.links.append(beside)
        turn.witness = trail

    def decided(self, turn: Turn, batch: Batch) -> None:
        """Its spans wait in the batch."""
        tracing = self._tracing
        if tracing is not None and turn.events:
            trail, now_us = cast("Trail", turn.witness), tracing.clock.now_us()
            with tracing.harmless():
                batch.spans += spans_of(turn.instance.instance_id, trail, turn.now_us, now_us)

    def committed(self, batch: Batch, marker_offset: int) -> None:
        if self._tracing is not None and batch.spans:
            turns = [span for span in batch.spans if span.name.startswith("turn||")]
            with self._tracing.harmless():
                place = (self._namespace, self._partition, marker_offset)
                batch.spans.append(process_span(self._tracing, place, len(batch.offsets), turns))
            self._tracing.emit(batch.spans)

    def taken_over(self, live: Live, tail: Sequence[Event]) -> None:
        """Committed before this tenure, and not in the store yet: its spans may not have been exported either."""
        if self._tracing is None or not tail:
            return
        first = tail[0]
        place = (first.run, first.generation)
        history = [event for event in live.history or () if (event.run, event.generation) == place]
        with self._tracing.harmless():
            before = [event for event in history if event.seq < first.seq]
            self._tracing.emit(tail_spans(live.instance.instance_id, before, tail))
