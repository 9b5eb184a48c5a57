"""Answers to commands, and the state they carry. Avro records in `schemas/reply/`.

A reply address is `"<partition>/<token>"` of the topic `replies`; an answer echoes the command_id.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["InstanceSnapshot", "Reply"]


@dataclass(slots=True)
class InstanceSnapshot:
    """An instance as its owner sees it. Status is a name of `WorkflowStatus`; payloads are JSON text, `""` absent."""

    instance_id: str
    run: str
    generation: int
    name: str
    status: str
    created_at_us: int
    updated_at_us: int
    input: str = ""
    output: str = ""
    custom_status: str = ""
    error_type: str = ""
    error_message: str = ""
    stack_trace: str = ""
    parent_id: str = ""
    events: int = 0  # in the current generation
    partition: int = -1
    detail: str = ""  # JSON; only when asked for
    owner: str = ""  # who owns its partition; this and what follows only with detail
    lag: int = -1  # commands of its partition that are not decided yet; -1: not known
    store_lag: int = -1  # history records of its partition that are committed but not stored yet


@dataclass(slots=True)
class Reply:
    """`accepted`, or a rejection with one of `perdure.core.refusals.REJECTIONS` and a sentence that says what to do."""

    correlation: str  # the command_id
    token: str  # the reply address's second half
    accepted: bool
    reason: str = ""
    message: str = ""
    snapshot: InstanceSnapshot | None = None
