"""`WorkflowStatus` and `WorkflowState`: what a client is told of an instance, under Dapr's names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from perdure.core.errors import FailureDetails
from perdure.core.replies import InstanceSnapshot

__all__ = ["WorkflowState", "WorkflowStatus"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WorkflowStatus(Enum):
    """An instance's status. A plain Enum, as Dapr's is: `str()` of it shows the name."""

    UNKNOWN = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    TERMINATED = 4
    PENDING = 5
    SUSPENDED = 6
    STALLED = 7

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended for good."""
        return self in _TERMINAL


_TERMINAL = frozenset({WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.TERMINATED})


@dataclass(slots=True, frozen=True)
class WorkflowState:
    """An instance as it stood when asked for.

    `created_at` and `last_updated_at` are naive UTC, as Dapr's are, so that code which compares them with its
    own naive times goes on working. `serialized_*` is JSON text; None: there is none, or payloads were not
    asked for.
    """

    instance_id: str
    name: str
    runtime_status: WorkflowStatus
    created_at: datetime
    last_updated_at: datetime
    serialized_input: str | None = None
    serialized_output: str | None = None
    serialized_custom_status: str | None = None
    failure_details: FailureDetails | None = None

    @classmethod
    def from_snapshot(cls, snapshot: InstanceSnapshot, fetch_payloads: bool = True) -> WorkflowState:
        """From what the owner, or the store, says. A status this version does not know is UNKNOWN.

        Failure details are no payload: they are told in any case.
        """
        return cls(
            instance_id=snapshot.instance_id,
            name=snapshot.name,
            runtime_status=_STATUSES.get(snapshot.status, WorkflowStatus.UNKNOWN),
            created_at=_naive(snapshot.created_at_us),
            last_updated_at=_naive(snapshot.updated_at_us),
            serialized_input=(fetch_payloads and snapshot.input) or None,
            serialized_output=(fetch_payloads and snapshot.output) or None,
            serialized_custom_status=(fetch_payloads and snapshot.custom_status) or None,
            failure_details=_failure(snapshot),
        )

    def to_json(self) -> dict[str, Any]:
        """Dapr's dict: the fields by name, the status by its name, the times as datetimes.

        `failure_details` is in it only when there was a failure. `str(state)` is it as JSON text.
        """
        fields: dict[str, Any] = {
            "instance_id": self.instance_id,
            "name": self.name,
            "runtime_status": self.runtime_status.name,
            "created_at": self.created_at,
            "last_updated_at": self.last_updated_at,
            "serialized_input": self.serialized_input,
            "serialized_output": self.serialized_output,
            "serialized_custom_status": self.serialized_custom_status,
        }
        if self.failure_details is not None:
            fields["failure_details"] = {
                "message": self.failure_details.message,
                "error_type": self.failure_details.error_type,
                "stack_trace": self.failure_details.stack_trace,
            }
        return fields

    def __str__(self) -> str:
        return json.dumps(self.to_json(), indent=4, sort_keys=True, default=str)


_STATUSES = {status.name: status for status in WorkflowStatus}


def _failure(snapshot: InstanceSnapshot) -> FailureDetails | None:
    if not snapshot.error_type:
        return None
    return FailureDetails(snapshot.error_message, snapshot.error_type, snapshot.stack_trace or None)


def _naive(us: int) -> datetime:
    return (_EPOCH + timedelta(microseconds=us)).replace(tzinfo=None)
