"""Records of instances[p] to requests: what cannot be one is forwarded or dead-lettered, never fatal."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any

from perdure.codec.avro import DecodeError, decode
from perdure.core.commands import (
    Command,
    InspectInstance,
    PurgeWorkflow,
    RaiseEvent,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.limits import (
    COMMAND_ID_BYTES_MAX,
    DERIVED_ID_BYTES_MAX,
    RECORD_BYTES_MAX,
    REPLY_TOKEN_CHARS_MAX,
)
from perdure.core.names import Topics
from perdure.ports.log import Outgoing, Record
from perdure.roles.dead_letters import HEADER_ROOM, dead_letter, record_bytes
from perdure.roles.orchestrator.retention import is_retention

__all__ = ["FORWARDED", "Incoming", "Misfit", "is_client_command", "misrouted", "read", "refused"]

CLIENT_COMMANDS = (
    StartWorkflow, RaiseEvent, SuspendWorkflow, ResumeWorkflow, TerminateWorkflow, PurgeWorkflow,
)  # fmt: skip
FORWARDED = "perdure-forwarded"
COMMANDS = frozenset(typing.get_args(Command))


@dataclass(slots=True)
class Incoming:
    """A command with its address and the record it came in."""

    instance_id: str
    command: Any
    record: Record


@dataclass(slots=True)
class Misfit:
    """A record that is not ours to decide: what to write instead, and why."""

    out: Outgoing
    forwarded: bool
    reason: str


def is_client_command(command: Any) -> bool:
    """Came from outside, where nobody keeps count of it: a rejection without a reply address is kept as a dead letter."""
    if type(command) is PurgeWorkflow and is_retention(command):
        return False
    return isinstance(command, CLIENT_COMMANDS) and not getattr(command, "parent_id", "")


def read(record: Record, topics: Topics) -> Incoming | Misfit:
    """The command in a record, or what becomes of a record that holds none."""
    try:
        instance_id = record.key.decode()
        command = decode(record.value)
    except UnicodeDecodeError:
        return refused(record, topics, "the key is not an instance id in UTF-8")
    except DecodeError as error:
        return refused(record, topics, str(error))
    if len(record.key) > DERIVED_ID_BYTES_MAX:  # a store may refuse such a key, for ever
        return refused(record, topics, f"the key has {len(record.key):,} bytes: no instance id is that long")
    if type(command) is InspectInstance and _is_overlong(command):
        return refused(record, topics, "its command_id or reply_to is too long to be kept for a client that waits")
    if type(command) not in COMMANDS:
        return refused(record, topics, f"{type(command).__name__} is not a command")
    if not instance_id:
        return refused(record, topics, "the key is empty: it is the instance id")
    return Incoming(instance_id, command, record)


def _is_overlong(question: InspectInstance) -> bool:
    return (
        len(question.command_id.encode()) > COMMAND_ID_BYTES_MAX or len(question.reply_to) > 2 * REPLY_TOKEN_CHARS_MAX
    )


def misrouted(record: Record, topics: Topics, home: int) -> Misfit:
    """On to its home, once."""
    if any(name == FORWARDED for name, _ in record.headers):
        return refused(
            record, topics, f"forwarded once already, and partition {record.partition} is not its home either"
        )
    headers = (*record.headers, (FORWARDED, f"{record.partition}/{record.offset}".encode()))
    if record_bytes(record) + HEADER_ROOM > RECORD_BYTES_MAX:
        return refused(record, topics, f"misrouted, and too large to be forwarded to partition {home}")
    return Misfit(Outgoing(topics.instances, home, record.key, record.value, headers), True, "misrouted")


def refused(record: Record, topics: Topics, reason: str) -> Misfit:
    """To the dead letters; the topic has as many partitions as this one."""
    return Misfit(dead_letter(topics.dead_letters, record.partition + 1, record, reason), False, reason)
