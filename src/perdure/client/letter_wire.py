"""The gateway's JSON for dead letters, in both directions: written here, read here.

What a record holds is shown beside its bytes where it can be read: for people, never to be sent again.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from datetime import datetime
from typing import Any

from perdure.client.values import to_us
from perdure.client.wire import CODES, REASONS, rfc3339
from perdure.codec.avro import DecodeError, decode
from perdure.letters import DeadLetter, LetterPage, LetterRecord, Place, Settlement

__all__ = [
    "decoded", "letter_body", "letter_from", "letter_page_from", "letter_record_body", "letter_record_from",
    "settlement_body", "settlement_from",
]  # fmt: skip


def letter_body(letter: DeadLetter) -> dict[str, Any]:
    """What there is not is null."""
    return {
        "id": letter.letter_id,
        "state": letter.state,
        "time": rfc3339(letter.at_us),
        "reason": letter.reason,
        "origin": None if letter.origin is None else dataclasses.asdict(letter.origin),
        "instanceID": letter.instance_id,
        "kind": letter.kind or None,
        "bytes": letter.size_bytes,
        "truncatedBytes": letter.truncated_bytes or None,
        "subscription": letter.subscription or None,
        "replayOf": letter.replay_of or None,
        "repeatOf": letter.repeat_of or None,
        "settledAt": rfc3339(letter.settled_at_us) if letter.settled_at_us else None,
        "settledBy": letter.settled_by or None,
    }


def letter_from(body: dict[str, Any]) -> DeadLetter:
    """The inverse of `letter_body`. Raises KeyError, TypeError or ValueError for what is none."""
    origin = body["origin"]
    return DeadLetter(
        letter_id=str(body["id"]),
        at_us=_us(body["time"]),
        reason=str(body["reason"]),
        origin=None if origin is None else Place(str(origin["topic"]), int(origin["partition"]), int(origin["offset"])),
        instance_id=body["instanceID"],
        kind=body["kind"] or "",
        size_bytes=int(body["bytes"]),
        truncated_bytes=int(body["truncatedBytes"] or 0),
        subscription=body["subscription"] or "",
        replay_of=body["replayOf"] or "",
        repeat_of=body["repeatOf"] or "",
        state=str(body["state"]),
        settled_at_us=_us(body["settledAt"]) if body["settledAt"] else 0,
        settled_by=body["settledBy"] or "",
    )


def letter_page_from(body: dict[str, Any]) -> LetterPage:
    return LetterPage([letter_from(each) for each in body["letters"]], str(body["next"]))


def letter_record_body(found: LetterRecord) -> dict[str, Any]:
    """The letter, and its record: the original bytes as base64, and what they say where they can be read."""
    kind, fields = decoded(found.value)
    body = letter_body(found.letter)
    return body | {
        "kind": body["kind"] or kind,
        "key": _base64(found.key),
        "value": _base64(found.value),
        "headers": [{"name": name, "value": _base64(value), "text": _text(value)} for name, value in found.headers],
        "fields": fields,
        "text": None if fields is not None else _text(found.value),
    }


def letter_record_from(body: dict[str, Any]) -> LetterRecord:
    headers = tuple((str(each["name"]), base64.b64decode(each["value"])) for each in body["headers"])
    return LetterRecord(letter_from(body), base64.b64decode(body["key"]), base64.b64decode(body["value"]), headers)


def settlement_body(settlement: Settlement) -> dict[str, Any]:
    """`state`, or an error as any other request would have it."""
    code = CODES[settlement.reason][1] if settlement.reason else None
    return {
        "id": settlement.letter_id,
        "state": settlement.state or None,
        "errorCode": code,
        "message": settlement.message or None,
    }


def settlement_from(body: dict[str, Any]) -> Settlement:
    code = body["errorCode"]
    return Settlement(str(body["id"]), body["state"] or "", REASONS[code] if code else "", body["message"] or "")


def decoded(value: bytes) -> tuple[str | None, dict[str, Any] | None]:
    """(name, fields) of a record of ours; (None, None) for what is none, or cannot be read."""
    try:
        record = decode(value)
    except DecodeError:
        return None, None
    return type(record).__name__, _finite(dataclasses.asdict(record))


def _finite(node: Any) -> Any:
    """JSON has no infinities: a stranger's record may hold one."""
    if isinstance(node, dict):
        return {key: _finite(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_finite(each) for each in node]
    if isinstance(node, bytes):
        return _base64(node)
    return str(node) if isinstance(node, float) and not math.isfinite(node) else node


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _us(text: str) -> int:
    return to_us(datetime.fromisoformat(text))
