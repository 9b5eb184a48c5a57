"""Histories as values and as files: plain JSON, one object an event, so that they can be read, compared and kept.

    {"instance_id": "order-7", "events": [{"type": "WorkflowStarted", "run": "0.0.3", "seq": 1, …}, …]}

Fields that a file lacks take their defaults; an event or a field that this version does not know is refused by name.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from perdure.codec.avro import DecodeError, decode
from perdure.core.errors import PerdureError
from perdure.core.events import CarriedChild, ChildScheduled, Event, RetrySpec

__all__ = ["AnyHistory", "History", "HistoryUnreadable", "dump_history", "history_of", "load_history"]

_EVENTS: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in Event.__args__}

AnyHistory: TypeAlias = "Sequence[Any] | Mapping[str, Any] | str | bytes | os.PathLike[str]"
"""Events; their JSON objects; their stored bytes; a dumped history as JSON text or parsed; the path of one."""


class HistoryUnreadable(PerdureError, ValueError):
    """What was given is no history, or another version's."""


class History(list[Any]):
    """The events (`perdure.core.events`) of one run and generation, and whose they are."""

    def __init__(self, events: Iterable[Any] = (), instance_id: str = "") -> None:
        super().__init__(events)
        self.instance_id = instance_id


def dump_history(history: Sequence[Any], path: str | os.PathLike[str], *, instance_id: str = "") -> None:
    """Write events to a JSON file. `instance_id`: whose they are, where the history does not tell."""
    named = instance_id or getattr(history, "instance_id", "")
    lines = ",\n    ".join(json.dumps(_as_json(event), ensure_ascii=False) for event in history)
    text = f'{{\n  "instance_id": {json.dumps(named)},\n  "events": [\n    {lines}\n  ]\n}}\n'
    Path(path).write_text(text, encoding="utf-8")


def load_history(path: str | os.PathLike[str]) -> History:
    """Read what `dump_history` wrote. Raises HistoryUnreadable, OSError."""
    return _from_text(Path(path).read_text(encoding="utf-8"), str(path))


def history_of(source: AnyHistory, instance_id: str = "") -> History:
    """Events from whatever holds them. Raises HistoryUnreadable."""
    if isinstance(source, os.PathLike):
        found = load_history(source)
    elif isinstance(source, str | bytes):
        found = _from_text(source, "the text")
    elif isinstance(source, Mapping):
        found = _from_object(source, "the object")
    else:
        found = History(map(_event, source), getattr(source, "instance_id", ""))
    found.instance_id = instance_id or found.instance_id or _id_of_parent(found)
    return found


def _from_text(text: str | bytes, what: str) -> History:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise HistoryUnreadable(f"{what} is no JSON: {error}") from None
    return _from_object({"events": found} if isinstance(found, list) else found, what)


def _from_object(found: Any, what: str) -> History:
    events = found.get("events") if isinstance(found, Mapping) else None
    if not isinstance(events, list):
        raise HistoryUnreadable(f'{what} is no history: it needs a list of "events"')
    return History(map(_event, events), str(found.get("instance_id") or ""))


def _event(given: Any) -> Any:
    if type(given) in _EVENTS.values():
        return given
    if isinstance(given, bytes):
        try:
            return _event(decode(given))
        except DecodeError as error:
            raise HistoryUnreadable(f"these bytes are no event: {error}") from None
    if not isinstance(given, Mapping) or "type" not in given:
        raise HistoryUnreadable(f'{type(given).__name__} is no event: an event in JSON is an object with a "type"')
    fields = {name: value for name, value in given.items() if name != "type"}
    kind = _EVENTS.get(given["type"])
    if kind is None:
        raise HistoryUnreadable(f"no event is called {given['type']!r}: was it written by a newer version?")
    if fields.get("retry"):
        fields["retry"] = RetrySpec(**fields["retry"])
    if fields.get("carried_children"):
        fields["carried_children"] = [CarriedChild(**child) for child in fields["carried_children"]]
    try:
        return kind(**fields)
    except TypeError as error:
        raise HistoryUnreadable(f"{given['type']} does not fit: {error}") from None


def _as_json(event: Any) -> dict[str, Any]:
    return {"type": type(event).__name__, **dataclasses.asdict(event)}


def _id_of_parent(events: Sequence[Any]) -> str:
    """Events do not hold their instance's id; a child's default id begins with it."""
    for event in events:
        if isinstance(event, ChildScheduled):
            place = f":{event.generation}:{event.task_id:04x}" if event.generation else f":{event.task_id:04x}"
            if event.child_id.endswith(place):
                return event.child_id[: -len(place)]
    return ""
