"""The record that a replay sends: the letter's, to where it came from, or why it cannot be sent.

Only the topics that roles read are written to: what a letter says of its origin may be a stranger's word.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from perdure.codec.avro import DecodeError, decode
from perdure.codec.schemas import MAGIC
from perdure.core.headers import COMMAND_ID, FORWARDED, ORIGIN, REASON, REPLAY_OF, SUBSCRIPTION, TRUNCATED
from perdure.core.names import Topics, partition_of
from perdure.letters.letter import LetterRecord
from perdure.ports.log import Headers, Outgoing

__all__ = ["NotReplayable", "origin_topic", "resent"]

OURS: Final = frozenset((REASON, ORIGIN, TRUNCATED, SUBSCRIPTION, REPLAY_OF, FORWARDED))


@dataclass(slots=True, frozen=True)
class NotReplayable:
    """Why a letter cannot be sent again, in a sentence."""

    message: str


def origin_topic(found: LetterRecord, topics: Topics) -> str | NotReplayable:
    """The topic that it came from, if that is one that a replay may write to."""
    letter = found.letter
    if letter.truncated_bytes:
        return NotReplayable(
            f"it was cut from {letter.truncated_bytes:,} bytes when it became a dead letter: have its sender send it again"
        )
    if letter.origin is None:
        return NotReplayable("it does not say where it came from: no part of Perdure has written it")
    topic, activities = letter.origin.topic, topics.activities()
    if topic in (topics.instances, topics.timers, activities) or topic.startswith(f"{activities}."):
        return topic
    return NotReplayable(f"it came from the topic {topic}, to which no replay writes")


def resent(found: LetterRecord, topics: Topics, topic: str, partitions: int) -> Outgoing | NotReplayable:
    """The record to send to `topic`, the letter's origin, which has so many partitions."""
    letter, headers = found.letter, _headers(found, with_command_id=topic == topics.instances)
    partition = letter.origin.partition if letter.origin is not None else 0
    if topic == topics.instances:
        try:
            partition = partition_of(found.key.decode(), partitions)
        except UnicodeDecodeError:
            return NotReplayable("its key is not UTF-8, so it is the ID of no instance: nobody could ever handle it")
    if partition >= partitions:
        return NotReplayable(f"it came from partition {partition} of {topic}, which has {partitions} today")
    return Outgoing(topic, partition, found.key, found.value, headers)


def _headers(found: LetterRecord, *, with_command_id: bool) -> Headers:
    kept = tuple(header for header in found.headers if header[0] not in OURS)
    ours: Headers = ((REPLAY_OF, found.letter.letter_id.encode()),)
    if with_command_id and all(name != COMMAND_ID for name, _ in kept) and _lacks_command_id(found.value, kept):
        ours += ((COMMAND_ID, f"dead-letter/{found.letter.letter_id.replace('-', '/')}".encode()),)
    return (*kept, *ours)


def _lacks_command_id(value: bytes, headers: Headers) -> bool:
    """Whether it is a command without a command_id. What cannot be read may have one: then the header would contradict."""
    if value.startswith(MAGIC):
        try:
            return getattr(decode(value), "command_id", None) == ""
        except DecodeError:
            return False
    kind = dict(headers).get("content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        return False
    try:
        command = json.loads(value)
    except (ValueError, RecursionError):
        return False
    return isinstance(command, dict) and command.get("command_id", "") == ""
