"""Events: facts of a history. Past tense; the only thing stored. Each is one Avro record in `schemas/event/`.

Every event begins with its place: run, generation, seq (1, 2, 3 … within the generation, gapless) and the time it
counts as having happened at. The record's key is the instance id; (instance id, run, generation, seq) names an
event for ever.

Two kinds matter to replay. **Facts** are what user code is told (a result, a timer, an event raised). **Actions** are
what user code asked for, each with the `cause`: the seq of the fact it was handling. User code is a function from
the facts, in their order, to the actions; nothing else (batches, turns, suspensions, evictions) reaches it. Replay
feeds the facts and holds the actions against history.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "ACTIONS", "ActivityCompleted", "ActivityFailed", "ActivityRetried", "ActivityScheduled", "BatchCommitted",
    "CarriedChild", "ChildCompleted", "ChildFailed", "ChildRetried", "ChildScheduled", "CustomStatusSet", "Event",
    "EventRaised", "RetrySpec", "TimerCreated", "TimerFired", "WorkflowBegun", "WorkflowCompleted",
    "WorkflowContinuedAsNew", "WorkflowFailed", "WorkflowPurged", "WorkflowRecovered", "WorkflowResumed",
    "WorkflowStalled", "WorkflowStarted", "WorkflowSuspended", "WorkflowTerminated",
]  # fmt: skip


@dataclass(slots=True)
class RetrySpec:
    """A retry policy as recorded. Microseconds; 0 = no bound."""

    first_interval_us: int
    max_attempts: int
    backoff: float = 1.0
    max_interval_us: int = 0
    timeout_us: int = 0
    non_retryable: list[str] = field(default_factory=list)


@dataclass(slots=True)
class CarriedChild:
    """A child of an earlier generation that had not ended when that generation did."""

    child_id: str
    generation: int
    task_id: int


@dataclass(slots=True)
class WorkflowStarted:
    """First event of every generation. `created_at_us` is the run's; in generation 0 it equals at_us."""

    run: str
    generation: int
    seq: int
    at_us: int
    name: str
    input: str = ""
    command_id: str = ""
    requested_by: str = ""
    start_at_us: int = 0  # 0: at once; else WorkflowBegun follows when it is due
    created_at_us: int = 0
    parent_id: str = ""
    parent_run: str = ""
    parent_generation: int = 0
    parent_task_id: int = 0
    parent_attempt: int = 0
    rerun_of: str = ""
    traceparent: str = ""
    carried_command_ids: list[str] = field(default_factory=list)
    carried_children: list[CarriedChild] = field(default_factory=list)
    tracestate: str = ""


@dataclass(slots=True)
class WorkflowBegun:
    """A delayed start is due."""

    run: str
    generation: int
    seq: int
    at_us: int


@dataclass(slots=True)
class WorkflowCompleted:
    run: str
    generation: int
    seq: int
    at_us: int
    output: str = ""


@dataclass(slots=True)
class WorkflowFailed:
    run: str
    generation: int
    seq: int
    at_us: int
    error_type: str
    error_message: str = ""
    stack_trace: str = ""


@dataclass(slots=True)
class WorkflowTerminated:
    run: str
    generation: int
    seq: int
    at_us: int
    output: str = ""
    recursive: bool = True
    command_id: str = ""
    requested_by: str = ""


@dataclass(slots=True)
class WorkflowContinuedAsNew:
    """Last event of a generation; the next one's first events are in the same commit."""

    run: str
    generation: int
    seq: int
    at_us: int
    input: str = ""
    save_events: bool = False


@dataclass(slots=True)
class WorkflowSuspended:
    run: str
    generation: int
    seq: int
    at_us: int
    handled_to: int = 0  # seq of the last fact that user code was told; later ones wait
    command_id: str = ""
    requested_by: str = ""


@dataclass(slots=True)
class WorkflowResumed:
    run: str
    generation: int
    seq: int
    at_us: int
    command_id: str = ""
    requested_by: str = ""


@dataclass(slots=True)
class WorkflowStalled:
    """User code cannot go on (divergence, turn deadline, missing code …): parked, facts still appended."""

    run: str
    generation: int
    seq: int
    at_us: int
    reason: str = ""  # one of perdure.core.instance.STALL_REASONS
    detail: str = ""
    fingerprint: str = ""  # of the code that stalled; another one is a reason to try again
    handled_to: int = 0  # seq of the last fact that user code was told; later ones wait


@dataclass(slots=True)
class WorkflowRecovered:
    """A stalled run is being tried again."""

    run: str
    generation: int
    seq: int
    at_us: int
    fingerprint: str = ""


@dataclass(slots=True)
class EventRaised:
    run: str
    generation: int
    seq: int
    at_us: int
    name: str
    data: str = ""
    command_id: str = ""
    requested_by: str = ""
    carried: bool = False  # came from the generation before


@dataclass(slots=True)
class ActivityScheduled:
    run: str
    generation: int
    seq: int
    at_us: int
    cause: int
    task_id: int
    name: str
    input: str = ""
    queue: str = ""
    timeout_us: int = 0  # start-to-close; 0 = none
    retry: RetrySpec | None = None


@dataclass(slots=True)
class ActivityCompleted:
    run: str
    generation: int
    seq: int
    at_us: int
    task_id: int
    attempt: int
    output: str = ""


@dataclass(slots=True)
class ActivityFailed:
    """One attempt failed. `retry_at_us` > 0: another attempt is planned then; 0: the task has failed."""

    run: str
    generation: int
    seq: int
    at_us: int
    task_id: int
    attempt: int
    error_type: str
    error_message: str = ""
    stack_trace: str = ""
    retry_at_us: int = 0


@dataclass(slots=True)
class ActivityRetried:
    """The next attempt was dispatched; `attempt` is its number."""

    run: str
    generation: int
    seq: int
    at_us: int
    task_id: int
    attempt: int


@dataclass(slots=True)
class TimerCreated:
    run: str
    generation: int
    seq: int
    at_us: int
    cause: int
    task_id: int
    fire_at_us: int
    event_name: str = ""  # set: it bounds a wait for that event


@dataclass(slots=True)
class TimerFired:
    run: str
    generation: int
    seq: int
    at_us: int
    task_id: int
    fire_at_us: int


@dataclass(slots=True)
class ChildScheduled:
    run: str
    generation: int
    seq: int
    at_us: int
    cause: int
    task_id: int
    name: str
    child_id: str
    input: str = ""
    retry: RetrySpec | None = None


@dataclass(slots=True)
class ChildCompleted:
    run: str
    generation: int
    seq: int
    at_us: int
    task_id: int
    attempt: int
    output: str = ""


@dataclass(slots=True)
class ChildFailed:
    run: str
    generation: int
    seq: int
    at_us: int
    task_id: int
    attempt: int
    error_type: str
    error_message: str = ""
    stack_trace: str = ""
    retry_at_us: int = 0


@dataclass(slots=True)
class ChildRetried:
    run: str
    generation: int
    seq: int
    at_us: int
    task_id: int
    attempt: int


@dataclass(slots=True)
class CustomStatusSet:
    run: str
    generation: int
    seq: int
    at_us: int
    cause: int
    value: str = ""


@dataclass(slots=True)
class WorkflowPurged:
    """The run is forgotten: the store deletes it and keeps (run, start command) for 7 days."""

    run: str
    generation: int
    seq: int
    at_us: int
    command_id: str = ""
    requested_by: str = ""


@dataclass(slots=True)
class BatchCommitted:
    """The last record of every commit, in history[p] under the empty key: the only resume point of the partition."""

    epoch: int
    next_offset: int  # of instances[p]: everything below is decided, except …
    undecided: list[int] = field(default_factory=list)  # … these
    stored_to: int = 0  # history[p] below this offset is in the store
    owner: str = ""  # who committed: a cache outlives a rebalance only if the last marker is one's own
    takeovers: int = 0  # owners in a row that have not committed a batch yet
    trying: str = ""  # in caution: the instance that is about to be tried


Event = (
    WorkflowStarted | WorkflowBegun | WorkflowCompleted | WorkflowFailed | WorkflowTerminated
    | WorkflowContinuedAsNew | WorkflowSuspended | WorkflowResumed | WorkflowStalled | WorkflowRecovered
    | EventRaised | ActivityScheduled | ActivityCompleted | ActivityFailed | ActivityRetried | TimerCreated
    | TimerFired | ChildScheduled | ChildCompleted | ChildFailed | ChildRetried | CustomStatusSet | WorkflowPurged
)  # fmt: skip

ACTIONS = (ActivityScheduled, TimerCreated, ChildScheduled, CustomStatusSet)
"""Events that user code asked for; each carries its `cause`."""
