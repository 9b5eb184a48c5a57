"""Records of instances[p] to requests: what cannot be one is forwarded or dead-lettered, never fatal.

A command is framed in one of three ways: JSON where the record's content-type says so; Confluent's framing where the value
begins with a zero byte, to be opened once its writer's schema is known; else Avro's single-object encoding, as ours are.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any

from perdure.codec.avro import DecodeError, decode
from perdure.codec.confluent import FRAME, WriterSchema, schema_id
from perdure.codec.json_commands import command_from_json
from perdure.core.commands import ClientCommand, Command, InspectInstance, PurgeWorkflow
from perdure.core.headers import COMMAND_ID, CONTENT_TYPE, FORWARDED
from perdure.core.limits import (
    COMMAND_ID_BYTES_MAX,
    DERIVED_ID_BYTES_MAX,
    RECORD_BYTES_MAX,
    REPLY_TOKEN_CHARS_MAX,
)
from perdure.core.names import Topics
from perdure.ports.log import Headers, Outgoing, Record
from perdure.roles.dead_letters import HEADER_ROOM, dead_letter, record_bytes
from perdure.roles.orchestrator.retention import is_retention

__all__ = [
    "Incoming", "Misfit", "Sealed", "is_client_command", "misrouted", "opened", "read", "refused",
]  # fmt: skip

CLIENT_COMMANDS = typing.get_args(ClientCommand)
COMMANDS = frozenset(typing.get_args(Command))


@dataclass(slots=True)
class Incoming:
    """A command with its address and the record it came in."""

    instance_id: str
    command: Any
    record: Record


@dataclass(slots=True)
class Sealed:
    """A command that cannot be read before its writer's schema is known."""

    instance_id: str
    schema_id: int
    record: Record


@dataclass(slots=True)
class Misfit:
    """A record that is not ours to decide: what to write instead, and why."""

    out: Outgoing
    forwarded: bool
    reason: str
    offset: int  # of the record


def is_client_command(command: Any) -> bool:
    """Came from outside, where nobody keeps count of it: a rejection without a reply address is kept as a dead letter."""
    if type(command) is PurgeWorkflow and is_retention(command):
        return False
    return isinstance(command, CLIENT_COMMANDS) and not getattr(command, "parent_id", "")


def read(record: Record, topics: Topics) -> Incoming | Sealed | Misfit:
    """The command in a record, or what becomes of a record that holds none."""
    try:
        instance_id = record.key.decode()
        if record.headers and _is_json(record.headers):
            command: Any = command_from_json(record.value)
        elif record.value[:1] == FRAME:
            command = Sealed(instance_id, schema_id(record.value), record)
        else:
            command = decode(record.value)
        if record.headers and type(command) is not Sealed:
            _take_command_id(command, record.headers)
    except UnicodeDecodeError:
        return refused(record, topics, "the key is not an instance id in UTF-8")
    except DecodeError as error:
        return refused(record, topics, _with_advice(record, str(error)))
    if len(record.key) > DERIVED_ID_BYTES_MAX:  # a store may refuse such a key, for ever
        return refused(record, topics, f"the key has {len(record.key):,} bytes: no instance id is that long")
    if type(command) is InspectInstance and _is_overlong(command):
        return refused(record, topics, "its command_id or reply_to is too long to be kept for a client that waits")
    if not instance_id:
        return refused(record, topics, "the key is empty: it is the instance id")
    if type(command) is Sealed:
        return command
    if type(command) not in COMMANDS:
        return refused(record, topics, f"{type(command).__name__} is not a command")
    return Incoming(instance_id, command, record)


def opened(sealed: Sealed, schema: WriterSchema, topics: Topics) -> Incoming | Misfit:
    """The command in it, now that its writer's schema is known."""
    record = sealed.record
    try:
        command = schema.decode(record.value)
        _take_command_id(command, record.headers)
    except DecodeError as error:
        return refused(record, topics, f"written with schema {sealed.schema_id}: {error}")
    return Incoming(sealed.instance_id, command, record)


def _is_json(headers: Headers) -> bool:
    """What its content-type says; the last one, as Kafka's clients have it. Raises DecodeError for a text in another code."""
    told = b""
    for name, value in headers:
        if name == CONTENT_TYPE:
            told = value
    if not told:
        return False
    kind, _, parameters = told.decode("ascii", "replace").lower().partition(";")
    if kind.strip() != "application/json":
        return False
    for parameter in parameters.split(";"):
        name, _, given = parameter.partition("=")
        if name.strip() == "charset" and given.strip().strip('"') not in ("utf-8", "utf8"):
            raise DecodeError(f"its content-type names the charset {given.strip()[:40]}: JSON is read in utf-8 only")
    return True


def _take_command_id(command: Any, headers: Headers) -> None:
    """A producer that cannot put it into its message puts it beside. Raises DecodeError."""
    given: bytes | None = None
    for name, value in headers:
        if name == COMMAND_ID and value:
            if given is not None and value != given:
                raise DecodeError(f"two headers {COMMAND_ID} contradict each other")
            given = value
    if given is None or not hasattr(command, "command_id"):
        return
    if len(given) > COMMAND_ID_BYTES_MAX:
        raise DecodeError(f"the header {COMMAND_ID} has {len(given):,} bytes, and may have {COMMAND_ID_BYTES_MAX}")
    try:
        command_id = given.decode()
    except UnicodeDecodeError:
        raise DecodeError(f"the header {COMMAND_ID} is no text in UTF-8") from None
    if command.command_id and command.command_id != command_id:
        raise DecodeError(f"the header {COMMAND_ID} contradicts the command_id in the message: give one, or the same")
    command.command_id = command_id


def _with_advice(record: Record, reason: str) -> str:
    if record.value[:1] == b"{" and not reason.startswith("no JSON"):
        return f"{reason}. For a command in JSON, set the header {CONTENT_TYPE}: application/json"
    return reason


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
    out = Outgoing(topics.instances, home, record.key, record.value, headers)
    return Misfit(out, True, "misrouted", record.offset)


def refused(record: Record, topics: Topics, reason: str) -> Misfit:
    """To the dead letters; the topic has as many partitions as this one."""
    letter = dead_letter(topics.dead_letters, record.partition + 1, record, reason)
    return Misfit(letter, False, reason, record.offset)
