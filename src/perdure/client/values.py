"""What a client hands over and gets back, beyond Dapr's `WorkflowState`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from perdure.client.stored import snapshot_of
from perdure.core.replies import InstanceSnapshot
from perdure.ports.store import Page
from perdure.workflow.payloads import check_size, dumps
from perdure.workflow.status import WorkflowState

__all__ = ["BulkResult", "JsonText", "WorkflowDescription", "WorkflowPage", "payload_text", "to_us"]


class JsonText(str):
    """A payload that is JSON already: it is sent as it is. Whoever makes one has checked it."""

    __slots__ = ()


@dataclass(slots=True, frozen=True)
class WorkflowPage:
    """Some instances, newest first; `next` asks for the following page, `""` when there is none."""

    instances: list[WorkflowState]
    next: str = ""

    def __iter__(self) -> Iterator[WorkflowState]:
        return iter(self.instances)

    def __len__(self) -> int:
        return len(self.instances)

    @classmethod
    def from_stored(cls, page: Page, fetch_payloads: bool) -> WorkflowPage:  # noqa: FBT001, RUF100 - Dapr's argument
        states = [WorkflowState.from_snapshot(snapshot_of(row), fetch_payloads) for row in page.rows]
        return cls(states, page.next)


@dataclass(slots=True, frozen=True)
class WorkflowDescription:
    """An instance, and what its owner knows beyond its state.

    `detail`: what it awaits and since when, attempts, the last failure, buffered events. `events` counts the current
    generation's; `partition` is where it lives, `owner` the process that owns it. `lag` counts the partition's commands
    that are not decided yet, `store_lag` its history records that are not stored yet; -1 is not known.
    """

    state: WorkflowState
    run: str
    generation: int
    events: int
    partition: int
    parent_id: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    owner: str = ""
    lag: int = -1
    store_lag: int = -1

    @classmethod
    def from_snapshot(cls, snapshot: InstanceSnapshot) -> WorkflowDescription:
        return cls(
            WorkflowState.from_snapshot(snapshot), snapshot.run, snapshot.generation, snapshot.events,
            snapshot.partition, snapshot.parent_id, json.loads(snapshot.detail) if snapshot.detail else {},
            snapshot.owner, snapshot.lag, snapshot.store_lag,
        )  # fmt: skip


@dataclass(slots=True, frozen=True)
class BulkResult:
    """What became of each instance that a bulk operation found.

    `skipped` had changed since the store saw it (ended, or purged) and needed nothing. `failed` maps an id to the
    error's text. `more`: others fit the filter, too; call again.
    """

    done: list[str]
    skipped: list[str]
    failed: dict[str, str]
    more: bool = False


def payload_text(value: Any, what: str) -> str:
    """The JSON of a payload, its size checked. Raises PayloadError, PayloadTooLarge; `what` names it in both."""
    text = value if type(value) is JsonText else dumps(value)
    check_size(text, what)
    return text


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch; a naive datetime is UTC, as everywhere in this API."""
    if not isinstance(moment, datetime):
        raise TypeError(f"a time is a datetime, not {moment!r}")
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
