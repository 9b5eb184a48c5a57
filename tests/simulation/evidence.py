"""What a verdict is passed on: what was asked, what was answered, and everything that was ever committed or stored.

The world fills it and the laws read it. Nothing here knows the engine: records are decoded by a stranger
(`tests.faults.records`), rows are the fields that the store holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Fact(NamedTuple):
    """One committed record. History's markers have the instance "" and the name "BatchCommitted"."""

    partition: int
    offset: int
    at_us: int  # when it was committed, by the world's own clock
    instance: str
    name: str  # of the record; "" where a dead letter holds none
    fields: dict[str, Any]  # of a dead letter: its headers
    value: bytes
    writer: str  # name of the process that wrote it
    headers: tuple = ()  # of the record


@dataclass
class Answer:
    """What became of one operation."""

    op: int  # index into ops; -1: the epilogue's own
    verb: str
    instance: str
    command_id: str
    sent_us: int
    answered_us: int  # 0: never
    outcome: str  # "accepted", a rejection's reason, "timeout" (a bounded wait), "unanswered"
    snapshot: dict[str, Any] | None = None  # of a wait or a state: fields of InstanceSnapshot
    new_instance: str = ""  # of a start or a rerun: the id that was started


class Deletion(NamedTuple):
    """A service has let the log go of what is below an offset."""

    topic: str
    partition: int
    offset: int
    at_us: int
    stored_to: int  # how far the store had the partition's history then


@dataclass
class Evidence:
    ops: list[dict[str, Any]]
    partitions: int
    history: list[Fact] = field(
        default_factory=list
    )  # each topic in the order of (partition, offset), deleted ones too
    commands: list[Fact] = field(default_factory=list)
    activities: list[Fact] = field(default_factory=list)
    timers: list[Fact] = field(default_factory=list)
    dead_letters: list[Fact] = field(default_factory=list)
    replies: list[Fact] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)  # what activities wrote, and "at_us" and "process"
    answers: list[Answer] = field(default_factory=list)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[tuple[str, str, int], dict[int, bytes]] = field(default_factory=dict)  # as stored
    left: dict[str, list[Any]] = field(default_factory=dict)  # what should be empty at rest, and is not
    finished: bool = True  # the world came to rest
    ended_us: int = 0
    deployments: list[dict[str, Any]] = field(default_factory=list)  # {"at_us", "process", "version"}
    poison: list[bytes] = field(default_factory=list)  # values of garbage that the world itself put into `instances`
    ages: dict[str, float] = field(default_factory=dict)  # seconds that ended instances are kept, by status
    record_ages: dict[str, float] = field(default_factory=dict)  # seconds that records are kept, by topic; else no rule
    deletions: list[Deletion] = field(default_factory=list)
    starts: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)  # (start, stored_to), by partition
    calm: bool = False  # nothing went wrong with any process or server
    clock_skew_us: int = 0  # the largest between two processes' clocks, or one's and the world's
    marks: list[Fact] = field(default_factory=list)  # of dead letters that were settled; the key is "instance"
    layouts: list[Fact] = field(default_factory=list)  # what was recorded of the namespace, by `value`
    messages: list[Fact] = field(default_factory=list)  # of the source that is subscribed to
    subscriptions: dict[str, dict[str, str]] = field(default_factory=dict)  # to it, by name
    settlements: list[tuple[int, str, str, Any]] = field(default_factory=list)  # (when, request, what, Settlement)
    registry_troubles: list[tuple[int, int]] = field(default_factory=list)  # (from, to): it could not be asked
    behind_until_us: int = 0  # a member of the namespace's groups reads no later one until then
    is_held_back: bool = False  # the namespace began at an earlier write version
