"""A message to the command that a subscription makes of it. Pure: the same record, subscription and schema give the same.

What cannot be mapped raises Misfit, which names the expression and what it gave; nothing else is raised, whatever the
bytes. `dead_letter_of` makes its dead letter: the message as it was, with `perdure-reason`, `perdure-origin` and
`perdure-subscription`, so that it can be mapped again under the subscription of another day, to the same command_id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from perdure.codec.encoder import Encoder
from perdure.core.clipping import clipped
from perdure.core.commands import RaiseEvent, StartWorkflow
from perdure.core.errors import PayloadError, PerdureError
from perdure.core.headers import SUBSCRIPTION
from perdure.core.limits import COMMAND_ID_BYTES_MAX, RECORD_BYTES_MAX, TRACE_CHARS_MAX
from perdure.core.names import partition_of
from perdure.core.refusals import bad_id, too_large
from perdure.ports.log import Outgoing, Record
from perdure.roles.dead_letters import dead_letter
from perdure.roles.subscriptions.avro import AvroSchema, AvroWrong
from perdure.roles.subscriptions.expressions import Expression, ExpressionFailed
from perdure.roles.subscriptions.subscription import Subscription
from perdure.workflow.payloads import dumps, parsed

__all__ = ["Mapped", "Misfit", "command_id_of", "dead_letter_of", "envelope_of", "made_of", "mapped", "schema_id_of"]

TRACE_HEADERS: Final = ("traceparent", "tracestate")
SHOWN_CHARS_MAX: Final = 120
CONFLUENT_BYTES: Final = 5
"""Confluent's framing before the Avro datum: a zero byte and the schema's id, big-endian."""


class Misfit(PerdureError, ValueError):
    """A message that this subscription makes nothing of. `expression`: which one; "value" if none was reached."""

    def __init__(self, expression: str, reason: str) -> None:
        super().__init__(f"{expression} {reason}")
        self.expression = expression


@dataclass(slots=True, frozen=True)
class Mapped:
    """The command, whose it is, and the message's trace context."""

    instance_id: str
    command: StartWorkflow | RaiseEvent
    headers: tuple[tuple[str, bytes], ...] = ()

    def outgoing(self, topic: str, partitions: int, encode: Encoder) -> Outgoing:
        """As a record of the commands' topic."""
        partition = partition_of(self.instance_id, partitions)
        return Outgoing(topic, partition, self.instance_id.encode(), encode(self.command), self.headers)


def mapped(record: Record, subscription: Subscription, schema: AvroSchema | None = None) -> Mapped | None:
    """None if its `when` says no. Raises Misfit.

    `schema`: the registry's, of the id that `schema_id_of` tells; else the subscription's own is taken.
    """
    envelope = envelope_of(record, _value(record.value, subscription, schema))
    trace = tuple(each for each in record.headers if each[0] in TRACE_HEADERS and len(each[1]) <= TRACE_CHARS_MAX)
    return made_of(envelope, subscription, command_id_of(subscription.name, record), trace)


def made_of(
    envelope: dict[str, Any], subscription: Subscription, command_id: str, headers: tuple[tuple[str, bytes], ...] = ()
) -> Mapped | None:
    """What its expressions make of an envelope. Raises Misfit."""
    if not _wanted(subscription.when, envelope):
        return None
    instance_id = _evaluated("instance_id", subscription.instance_id, envelope)
    if not isinstance(instance_id, str):
        raise Misfit("instance_id", f"gave {_shown(instance_id)}, not text")
    bad = bad_id(instance_id, child=False)
    if bad is not None and bad.rejection is not None:
        raise Misfit("instance_id", f"gave {_shown(instance_id)}: {bad.rejection.message}")
    payload = _payload(_evaluated("input", subscription.input, envelope))
    said_by = f"subscription {subscription.name}"
    command: StartWorkflow | RaiseEvent
    if subscription.workflow:
        # Nobody waits for an answer, so that the id is not used again: what reuse_id "never" would say.
        command = StartWorkflow(subscription.workflow, payload, command_id=command_id, requested_by=said_by)
    else:
        command = RaiseEvent(subscription.event, payload, command_id=command_id, requested_by=said_by)
    return Mapped(instance_id, command, headers)


def schema_id_of(record: Record, subscription: Subscription) -> int | None:
    """The id under which a registry knows this message's schema; None if none is asked. Raises Misfit."""
    message = record.value
    if subscription.format != "avro" or subscription.schema is not None or not message:
        return None
    if len(message) < CONFLUENT_BYTES or message[0]:
        raise Misfit(
            "value", f"begins with {message[:2].hex()}, not with 00 and a registry's schema id; a message without them needs "
            "the schema in the subscription",
        )  # fmt: skip
    return int.from_bytes(message[1:CONFLUENT_BYTES], "big")


def dead_letter_of(record: Record, subscription: str, reason: str, topic: str, partitions: int) -> Outgoing:
    """`subscription`: its name. `topic` and `partitions`: of the dead letters."""
    letter = dead_letter(topic, partitions, record, reason)
    letter.headers = (*letter.headers, (SUBSCRIPTION, subscription.encode()))
    return letter


def command_id_of(name: str, record: Record) -> str:
    """From where the message stands: the same whoever maps it, and whenever."""
    text = f"sub/{name}/{record.topic}/{record.partition}/{record.offset}"
    return text if len(text.encode()) <= COMMAND_ID_BYTES_MAX else f"sub/{sha256(text.encode()).hexdigest()}"


def envelope_of(record: Record, value: Any) -> dict[str, Any]:
    """What expressions see."""
    return {
        "key": _text(record.key) if record.key else None,
        "value": value,
        "headers": {name: _text(content) for name, content in record.headers},
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": _time(record.timestamp_ms),
    }


def _value(message: bytes, subscription: Subscription, schema: AvroSchema | None) -> Any:
    if not message:
        return None
    if len(message) > RECORD_BYTES_MAX:
        raise Misfit("value", f"has {len(message):,} bytes; the limit is {RECORD_BYTES_MAX:,}")
    try:
        if subscription.format == "json":
            return parsed(message.decode("utf-8-sig"))
        if subscription.schema is not None:
            return subscription.schema.of_message(message)
        if schema is None:
            raise Misfit(
                "value", "names a schema of a registry, and no registry is at hand: set PERDURE_SCHEMA_REGISTRY"
            )
        return schema.value(message, CONFLUENT_BYTES)
    except UnicodeDecodeError as error:
        raise Misfit("value", f"is no JSON: byte {error.start} is no UTF-8") from None
    except PayloadError as error:
        raise Misfit("value", f"is no JSON: {_line(error)}") from None
    except AvroWrong as error:
        raise Misfit("value", f"cannot be read: {error}") from None


def _wanted(when: Expression | None, envelope: dict[str, Any]) -> bool:
    """A comparison with what is missing gives null in JMESPath: that is no, too."""
    if when is None:
        return True
    answer = _evaluated("when", when, envelope)
    if answer is not None and not isinstance(answer, bool):
        raise Misfit("when", f"gave {_shown(answer)}, not true or false")
    return answer is True


def _evaluated(name: str, expression: Expression, envelope: dict[str, Any]) -> Any:
    try:
        return expression.of(envelope)
    except ExpressionFailed as error:
        raise Misfit(name, f"cannot be evaluated: {error}") from None


def _payload(value: Any) -> str:
    try:
        text = dumps(value)
        if text:
            parsed(text)  # nothing goes into a history that its readers would refuse
    except PayloadError as error:
        raise Misfit("input", f"gave what is no payload: {_line(error)}") from None
    bad = too_large(text, "input")
    if bad is not None and bad.rejection is not None:
        raise Misfit("input", f"gave too much: {bad.rejection.message}")
    return text


def _shown(value: Any) -> str:
    try:
        return clipped(json.dumps(value, ensure_ascii=False), SHOWN_CHARS_MAX)
    except (TypeError, ValueError, RecursionError):
        return f"a {type(value).__name__}"


def _line(error: Exception) -> str:
    return clipped(" ".join(str(error).split()), 300)


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _time(timestamp_ms: int) -> str | None:
    """RFC 3339; None for a record without a time, or with one beyond the year 9999."""
    if timestamp_ms < 0:
        return None
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
