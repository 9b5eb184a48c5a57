"""An instance's state, and `apply`: the one door to it.

**Law.** State is a fold of events. Nothing else changes it: what a decision wants changed, it says as an event, and the
event is applied live exactly as it is when history is read back. (The live generator is not state: it can be thrown
away at any time and made again.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from perdure.core.events import (
    ActivityCompleted,
    ActivityFailed,
    ActivityRetried,
    ActivityScheduled,
    CarriedChild,
    ChildCompleted,
    ChildFailed,
    ChildRetried,
    ChildScheduled,
    CustomStatusSet,
    Event,
    EventRaised,
    TimerCreated,
    TimerFired,
    WorkflowBegun,
    WorkflowCompleted,
    WorkflowContinuedAsNew,
    WorkflowFailed,
    WorkflowPurged,
    WorkflowRecovered,
    WorkflowResumed,
    WorkflowStalled,
    WorkflowStarted,
    WorkflowSuspended,
    WorkflowTerminated,
)
from perdure.core.limits import COMMAND_IDS_REMEMBERED
from perdure.core.replies import InstanceSnapshot
from perdure.core.rows import InstanceRow
from perdure.core.sizes import payload_bytes

__all__ = ["STALL_REASONS", "Instance", "OpenTask", "apply", "from_row"]

STALL_REASONS: Final = (
    "diverged",  # replay asked for something else than history has
    "unregistered",  # no such workflow in this deployment
    "turn deadline",  # one resume took too long
    "resources",  # recursion or memory
    "base exception",  # SystemExit and the like
    "guard",  # the strict dev-mode guard
    "crash",  # the process died whenever this instance was tried
    "internal",  # an unexpected error of the engine's own
)

TERMINAL: Final = frozenset(("COMPLETED", "FAILED", "TERMINATED", "PURGED"))


class OpenTask:
    """A step that has not ended: what was asked, and the attempt that counts. `retry_at_us` > 0: between attempts."""

    __slots__ = ("asked", "attempt", "retry_at_us", "since_us")

    def __init__(self, asked: ActivityScheduled | TimerCreated | ChildScheduled) -> None:
        self.asked = asked
        self.attempt = 1
        self.retry_at_us = 0
        self.since_us = asked.at_us


class Instance:
    """The latest run of an instance id, in its latest generation."""

    __slots__ = (
        "begun", "carried_children", "children", "command_ids", "created_at_us", "custom_status", "ended", "error_message",
        "error_type", "generation", "handled_to", "history_bytes", "input", "instance_id", "last_at_us", "last_failure", "name",
        "next_seq", "open", "output", "run", "stack_trace", "stalled", "started", "suspended",
    )  # fmt: skip

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        self.run = ""
        self.generation = 0
        self.name = ""
        self.started: WorkflowStarted | None = None
        self.next_seq = 1
        self.last_at_us = 0
        self.history_bytes = 0  # payloads of this generation
        self.created_at_us = 0
        self.begun = False
        self.ended = ""  # COMPLETED, FAILED, TERMINATED or PURGED
        self.suspended = False
        self.stalled: WorkflowStalled | None = None
        self.handled_to = 0  # while suspended or stalled: seq of the last fact user code was told
        self.open: dict[int, OpenTask] = {}
        self.children: list[CarriedChild] = []  # of this generation, ended ones too
        self.carried_children: list[CarriedChild] = []
        self.command_ids: dict[str, None] = {}  # accepted external commands, oldest first
        self.input = ""
        self.output = ""
        self.custom_status = ""
        self.error_type = ""
        self.error_message = ""
        self.stack_trace = ""
        self.last_failure = ""  # of any attempt, for describe

    @property
    def status(self) -> str:
        """A name of WorkflowStatus (or PURGED)."""
        if self.ended:
            return self.ended
        if self.stalled is not None:
            return "STALLED"
        if self.suspended:
            return "SUSPENDED"
        return "RUNNING" if self.begun or self.generation else "PENDING"

    @property
    def exists(self) -> bool:
        return self.started is not None and self.ended != "PURGED"

    @property
    def active(self) -> bool:
        return self.started is not None and not self.ended

    @property
    def parked(self) -> bool:
        """Facts are recorded, user code is not resumed."""
        return self.suspended or self.stalled is not None

    def is_child_of(self, parent_id: str, run: str, generation: int, task_id: int) -> bool:
        """Did that very step of that very parent start this run? Recursion obeys only then."""
        link = self.started
        return (
            link is not None
            and link.parent_id == parent_id
            and link.parent_run == run
            and link.parent_generation == generation
            and link.parent_task_id == task_id
        )

    def row(self) -> InstanceRow:
        """What the store keeps."""
        link = self.started or _NO_START
        everyone = [*self.carried_children, *self.children]
        return InstanceRow(
            self.instance_id, self.run, self.generation, self.next_seq - 1, self.name, self.status,
            self.created_at_us, self.last_at_us, self.input, self.output, self.custom_status,
            self.error_type, self.error_message, self.stack_trace,
            link.parent_id, link.parent_run, link.parent_generation, link.parent_task_id, link.command_id,
            list(self.command_ids), self.stalled.fingerprint if self.stalled else "", list(everyone),
        )  # fmt: skip

    def snapshot(self, partition: int, detail: str = "") -> InstanceSnapshot:
        """What a client is told."""
        return InstanceSnapshot(
            self.instance_id, self.run, self.generation, self.name, self.status, self.created_at_us, self.last_at_us,
            self.input, self.output, self.custom_status, self.error_type, self.error_message, self.stack_trace,
            self.started.parent_id if self.started else "", self.next_seq - 1, partition, detail,
        )  # fmt: skip


_NO_START = WorkflowStarted("", 0, 0, 0, "")


def from_row(row: InstanceRow) -> Instance:
    """A finished or purged instance, whose history nobody needs any more."""
    instance = Instance(row.instance_id)
    instance.run, instance.generation, instance.name = row.run, row.generation, row.name
    instance.next_seq = row.last_seq + 1
    instance.last_at_us, instance.created_at_us = row.updated_at_us, row.created_at_us
    instance.begun, instance.ended = True, row.status
    instance.input, instance.output, instance.custom_status = row.input, row.output, row.custom_status
    instance.error_type, instance.error_message = row.error_type, row.error_message
    instance.stack_trace = row.stack_trace
    instance.command_ids = dict.fromkeys(row.command_ids)
    instance.carried_children = list(row.children)
    instance.started = WorkflowStarted(
        row.run, row.generation, 1, row.created_at_us, row.name, row.input, row.start_command_id,
        created_at_us=row.created_at_us, parent_id=row.parent_id, parent_run=row.parent_run,
        parent_generation=row.parent_generation, parent_task_id=row.parent_task_id,
    )  # fmt: skip
    return instance


def apply(instance: Instance, event: Event) -> None:
    """Let an event take effect. Events of one instance are applied in order, each once."""
    APPLY[type(event)](instance, event)
    instance.next_seq = event.seq + 1
    instance.last_at_us = event.at_us
    instance.history_bytes += payload_bytes(event)


def _started(instance: Instance, event: WorkflowStarted) -> None:
    Instance.__init__(instance, instance.instance_id)
    instance.started = event
    instance.run, instance.generation, instance.name = event.run, event.generation, event.name
    instance.input = event.input
    instance.created_at_us = event.created_at_us
    instance.begun = event.start_at_us == 0 and event.generation == 0
    instance.command_ids = dict.fromkeys(event.carried_command_ids)
    instance.carried_children = list(event.carried_children)


def _begun(instance: Instance, event: WorkflowBegun) -> None:  # noqa: ARG001
    instance.begun = True


def _completed(instance: Instance, event: WorkflowCompleted) -> None:
    _end(instance, "COMPLETED")
    instance.output = event.output


def _failed(instance: Instance, event: WorkflowFailed) -> None:
    _end(instance, "FAILED")
    instance.error_type, instance.error_message = event.error_type, event.error_message
    instance.stack_trace = event.stack_trace


def _terminated(instance: Instance, event: WorkflowTerminated) -> None:
    _end(instance, "TERMINATED")
    instance.output = event.output
    _remember(instance, event.command_id)


def _end(instance: Instance, status: str) -> None:
    instance.ended = status
    instance.suspended = False
    instance.stalled = None
    instance.open.clear()


def _continued(instance: Instance, event: WorkflowContinuedAsNew) -> None:
    """Nothing changes until the next generation's first event, which follows in the same commit."""


def _suspended(instance: Instance, event: WorkflowSuspended) -> None:
    if not instance.parked:
        instance.handled_to = event.handled_to
    instance.suspended = True
    _remember(instance, event.command_id)


def _resumed(instance: Instance, event: WorkflowResumed) -> None:
    instance.suspended = False
    _remember(instance, event.command_id)


def _stalled(instance: Instance, event: WorkflowStalled) -> None:
    instance.handled_to = event.handled_to
    instance.stalled = event


def _recovered(instance: Instance, event: WorkflowRecovered) -> None:  # noqa: ARG001
    instance.stalled = None


def _event_raised(instance: Instance, event: EventRaised) -> None:
    if not event.carried:
        _remember(instance, event.command_id)


def _step_asked(instance: Instance, event: ActivityScheduled | TimerCreated) -> None:
    instance.open[event.task_id] = OpenTask(event)


def _child_asked(instance: Instance, event: ChildScheduled) -> None:
    instance.open[event.task_id] = OpenTask(event)
    instance.children.append(CarriedChild(event.child_id, event.generation, event.task_id))


def _step_ended(instance: Instance, event: ActivityCompleted | ChildCompleted | TimerFired) -> None:
    instance.open.pop(event.task_id, None)


def _attempt_failed(instance: Instance, event: ActivityFailed | ChildFailed) -> None:
    instance.last_failure = f"{event.error_type}: {event.error_message}"[:1000]
    if event.retry_at_us:
        instance.open[event.task_id].retry_at_us = event.retry_at_us
    else:
        instance.open.pop(event.task_id, None)


def _attempt_made(instance: Instance, event: ActivityRetried | ChildRetried) -> None:
    task = instance.open[event.task_id]
    task.attempt, task.retry_at_us = event.attempt, 0


def _custom_status(instance: Instance, event: CustomStatusSet) -> None:
    instance.custom_status = event.value


def _purged(instance: Instance, event: WorkflowPurged) -> None:
    instance.ended = "PURGED"
    instance.input = instance.output = instance.custom_status = ""
    instance.error_type = instance.error_message = instance.stack_trace = ""
    instance.children, instance.carried_children = [], []
    _remember(instance, event.command_id)


def _remember(instance: Instance, command_id: str) -> None:
    if command_id:
        instance.command_ids[command_id] = None
        if len(instance.command_ids) > COMMAND_IDS_REMEMBERED:
            del instance.command_ids[next(iter(instance.command_ids))]


APPLY: Final[dict[type, Callable[[Instance, Any], None]]] = {
    WorkflowStarted: _started,
    WorkflowBegun: _begun,
    WorkflowCompleted: _completed,
    WorkflowFailed: _failed,
    WorkflowTerminated: _terminated,
    WorkflowContinuedAsNew: _continued,
    WorkflowSuspended: _suspended,
    WorkflowResumed: _resumed,
    WorkflowStalled: _stalled,
    WorkflowRecovered: _recovered,
    EventRaised: _event_raised,
    ActivityScheduled: _step_asked,
    ActivityCompleted: _step_ended,
    ActivityFailed: _attempt_failed,
    ActivityRetried: _attempt_made,
    TimerCreated: _step_asked,
    TimerFired: _step_ended,
    ChildScheduled: _child_asked,
    ChildCompleted: _step_ended,
    ChildFailed: _attempt_failed,
    ChildRetried: _attempt_made,
    CustomStatusSet: _custom_status,
    WorkflowPurged: _purged,
}
