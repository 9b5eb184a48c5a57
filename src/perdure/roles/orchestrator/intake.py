"""Records of instances[p] to requests: what cannot be one is forwarded or dead-lettered, never fatal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perdure.codec.avro import DecodeError, decode
from perdure.core.commands import (
    Command,
    PurgeWorkflow,
    RaiseEvent,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.names import Topics, partition_of
from perdure.ports.log import Outgoing, Record

__all__ = ["CLIENT_COMMANDS", "FORWARDED", "Incoming", "Misfit", "dead_letter", "is_client_command", "read"]

CLIENT_COMMANDS = (
    StartWorkflow, RaiseEvent, SuspendWorkflow, ResumeWorkflow, TerminateWorkflow, PurgeWorkflow,
)  # fmt: skip
FORWARDED = "perdure-forwarded"
COMMANDS = frozenset(Command.__args__)


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
    return isinstance(command, CLIENT_COMMANDS) and not getattr(command, "parent_id", "")


def read(record: Record, topics: Topics, partitions: int) -> Incoming | Misfit:
    try:
        instance_id = record.key.decode()
        command = decode(record.value)
    except UnicodeDecodeError:
        return _bad(record, topics, "the key is not an instance id in UTF-8")
    except DecodeError as error:
        return _bad(record, topics, str(error))
    if type(command) not in COMMANDS:
        return _bad(record, topics, f"{type(command).__name__} is not a command")
    if not instance_id:
        return _bad(record, topics, "the key is empty: it is the instance id")
    if partitions > 1 and isinstance(command, CLIENT_COMMANDS):
        home = partition_of(instance_id, partitions)
        if home != record.partition:
            return _misrouted(record, topics, home)
    return Incoming(instance_id, command, record)


def _misrouted(record: Record, topics: Topics, home: int) -> Misfit:
    if any(name == FORWARDED for name, _ in record.headers):
        return _bad(record, topics, f"forwarded once already, and partition {record.partition} is not its home either")
    headers = (*record.headers, (FORWARDED, f"{record.partition}/{record.offset}".encode()))
    return Misfit(Outgoing(topics.instances, home, record.key, record.value, headers), True, "misrouted")


def _bad(record: Record, topics: Topics, reason: str) -> Misfit:
    return Misfit(dead_letter(record, topics, reason), False, reason)


def dead_letter(record: Record, topics: Topics, reason: str) -> Outgoing:
    """The record as it came, with the reason and the origin."""
    origin = f"{record.topic}/{record.partition}/{record.offset}".encode()
    headers = (*record.headers, ("perdure-reason", reason.encode()), ("perdure-origin", origin))
    return Outgoing(topics.dead_letters, record.partition, record.key, record.value, headers)
