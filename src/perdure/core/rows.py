"""What the store keeps of an instance beside its events. One Avro record (`schemas/store/InstanceRow.avsc`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from perdure.core.events import CarriedChild

__all__ = ["InstanceRow"]


@dataclass(slots=True)
class InstanceRow:
    """The latest generation of the latest run. Enough to answer for a finished instance without its history.

    status "PURGED" is a tombstone: only instance_id, run, start_command_id and updated_at_us mean something.
    """

    instance_id: str
    run: str
    generation: int
    last_seq: int
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
    parent_run: str = ""
    parent_generation: int = 0
    parent_task_id: int = 0
    start_command_id: str = ""
    command_ids: list[str] = field(default_factory=list)  # accepted ones: a repeat gets the first answer
    stalled_fingerprint: str = ""
    children: list[CarriedChild] = field(default_factory=list)  # whom a recursive purge reaches
