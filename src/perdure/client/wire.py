"""The gateway's JSON for instances, events and rejections, in both directions: written here, read here.

Keys are Dapr's where Dapr has them. Times are RFC 3339, UTC, to the microsecond.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from perdure.client.values import to_us
from perdure.core.events import Event
from perdure.core.replies import InstanceSnapshot
from perdure.core.rows import InstanceRow
from perdure.workflow.payloads import dumps, loads

__all__ = [
    "CODES", "REASONS", "event_body", "event_from", "instance_body", "rfc3339", "row_from", "snapshot_from",
]  # fmt: skip

CODES: Final = {
    "UnknownInstance": (404, "ERR_INSTANCE_ID_NOT_FOUND"),
    "AlreadyExists": (409, "ERR_INSTANCE_ALREADY_EXISTS"),
    "IdInUse": (409, "ERR_INSTANCE_ID_IN_USE"),
    "UnknownWorkflow": (404, "ERR_WORKFLOW_NOT_REGISTERED"),
    "NotRunning": (409, "ERR_INSTANCE_NOT_RUNNING"),
    "NotFinished": (409, "ERR_INSTANCE_NOT_FINISHED"),
    "EventBufferFull": (429, "ERR_EVENT_BUFFER_FULL"),
    "HistoryFull": (409, "ERR_HISTORY_FULL"),
    "TooManyWaiters": (429, "ERR_TOO_MANY_WAITERS"),
    "InvalidCommand": (400, "ERR_COMMAND_INVALID"),
    "InvalidName": (400, "ERR_NAME_INVALID"),
    "InvalidInstanceId": (400, "ERR_INSTANCE_ID_INVALID"),
    "PayloadTooLarge": (413, "ERR_PAYLOAD_TOO_LARGE"),
    "UnknownLetter": (404, "ERR_DEAD_LETTER_NOT_FOUND"),
    "LetterSettled": (409, "ERR_DEAD_LETTER_SETTLED"),
    "NotReplayable": (409, "ERR_DEAD_LETTER_NOT_REPLAYABLE"),
    "LetterNotSettled": (503, "ERR_DEAD_LETTER_NOT_SETTLED"),
    "InvalidPayload": (400, "ERR_PAYLOAD_INVALID"),
    "UpgradeNeeded": (409, "ERR_UPGRADE_NEEDED"),
    "Internal": (500, "ERR_INTERNAL"),
}
"""What the engine may answer a client with: the rejection's reason, its HTTP status and error code."""

REASONS: Final = {code: reason for reason, (_, code) in CODES.items()} | {
    "ERR_INSTANCE_ID_TOO_LONG": "InvalidInstanceId"
}

TIME: Final = "_at_us"
DESCRIBED_TIMES: Final = frozenset(("sinceUs", "fireAtUs", "retryAtUs"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENTS: Final[dict[str, type]] = {kind.__name__: kind for kind in typing.get_args(Event)}


_SNAPSHOT_TYPES: Final[dict[str, type]] = typing.get_type_hints(InstanceSnapshot)


def rfc3339(us: int) -> str:
    """`2026-01-31T12:00:00.000000Z`"""
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def instance_body(snapshot: InstanceSnapshot) -> dict[str, Any]:
    """An instance as /v1 shows it; what there is not is null."""
    failure = None
    if snapshot.error_type:
        failure = {
            "errorType": snapshot.error_type,
            "message": snapshot.error_message,
            "stackTrace": snapshot.stack_trace,
        }
    return {
        "instanceID": snapshot.instance_id,
        "workflowName": snapshot.name,
        "runtimeStatus": snapshot.status,
        "createdAt": rfc3339(snapshot.created_at_us),
        "lastUpdatedAt": rfc3339(snapshot.updated_at_us),
        "run": snapshot.run,
        "generation": snapshot.generation,
        "events": snapshot.events,
        "partition": snapshot.partition if snapshot.partition >= 0 else None,
        "parentInstanceID": snapshot.parent_id or None,
        "serializedInput": snapshot.input or None,
        "serializedOutput": snapshot.output or None,
        "serializedCustomStatus": snapshot.custom_status or None,
        "failure": failure,
        "detail": _shown(json.loads(snapshot.detail)) if snapshot.detail else None,
        "owner": snapshot.owner or None,
        "lag": snapshot.lag if snapshot.lag >= 0 else None,
        "storeLag": snapshot.store_lag if snapshot.store_lag >= 0 else None,
    }


def snapshot_from(body: dict[str, Any]) -> InstanceSnapshot:
    """The inverse of `instance_body`. Raises KeyError, TypeError or ValueError for what is no instance."""
    failure = body["failure"] or {}
    found = InstanceSnapshot(
        instance_id=body["instanceID"],
        run=body["run"],
        generation=body["generation"],
        name=body["workflowName"],
        status=body["runtimeStatus"],
        created_at_us=to_us(datetime.fromisoformat(body["createdAt"])),
        updated_at_us=to_us(datetime.fromisoformat(body["lastUpdatedAt"])),
        input=body["serializedInput"] or "",
        output=body["serializedOutput"] or "",
        custom_status=body["serializedCustomStatus"] or "",
        error_type=failure.get("errorType", ""),
        error_message=failure.get("message", ""),
        stack_trace=failure.get("stackTrace", ""),
        parent_id=body["parentInstanceID"] or "",
        events=body["events"],
        partition=-1 if body["partition"] is None else body["partition"],
        detail="" if body["detail"] is None else json.dumps(_read(body["detail"])),
        owner=body.get("owner") or "",  # a gateway of an earlier release does not tell these
        lag=_count(body.get("lag")),
        store_lag=_count(body.get("storeLag")),
    )
    for name, kind in _SNAPSHOT_TYPES.items():
        if type(getattr(found, name)) is not kind:
            raise TypeError(f"{name} is no {kind.__name__}")
    return found


def _count(told: int | None) -> int:
    return -1 if told is None else told


def row_from(body: dict[str, Any]) -> InstanceRow:
    """A listed instance in the store's shape; what the gateway does not show is left empty."""
    known = snapshot_from(body)
    return InstanceRow(
        known.instance_id, known.run, known.generation, known.events, known.name, known.status, known.created_at_us,
        known.updated_at_us, known.input, known.output, known.custom_status, known.error_type, known.error_message,
        known.stack_trace, known.parent_id,
    )  # fmt: skip


def event_body(event: Any) -> dict[str, Any]:
    """An event: its type's name under "type", then its fields as in its Avro schema.

    Only times differ: `fire_at_us` there is `fire_at` here, RFC 3339, null where there is none. Durations stay `…_us`.
    """
    body: dict[str, Any] = {"type": type(event).__name__}
    for name, value in dataclasses.asdict(event).items():
        if name == "at_us" or name.endswith(TIME):
            body[name.removesuffix("_us")] = rfc3339(value) if value else None
        else:
            body[name] = value
    return body


def event_from(body: dict[str, Any]) -> Any:
    """The inverse of `event_body`. Raises KeyError for a type that this version does not know."""
    kind = _EVENTS[body["type"]]
    fields = {name: value for name, value in body.items() if name != "type"}
    for name in (field.name for field in dataclasses.fields(kind)):
        if (name == "at_us" or name.endswith(TIME)) and name.removesuffix("_us") in fields:
            fields[name] = _us(fields.pop(name.removesuffix("_us")))
    return loads(dumps(fields), kind)


def _us(text: str | None) -> int:
    return to_us(datetime.fromisoformat(text)) if text else 0


def _shown(node: Any) -> Any:
    """A description with its times as text: `sinceUs` becomes `since`."""
    return _renamed(node, {key: (key.removesuffix("Us"), rfc3339) for key in DESCRIBED_TIMES})


def _read(node: Any) -> Any:
    """The inverse of `_shown`."""
    return _renamed(node, {key.removesuffix("Us"): (key, _us) for key in DESCRIBED_TIMES})


def _renamed(node: Any, times: dict[str, tuple[str, Callable[[Any], Any]]]) -> Any:
    if isinstance(node, list):
        return [_renamed(each, times) for each in node]
    if not isinstance(node, dict):
        return node
    renamed = {}
    for key, value in node.items():
        if key in times:
            name, change = times[key]
            renamed[name] = change(value)
        else:  # names of buffered events are the user's, whatever they look like
            renamed[key] = value if key == "bufferedEvents" else _renamed(value, times)
    return renamed
