"""The golden bytes: one JSON line per message, `{"record", "fields", "hex"}`; the file only grows.

`python -m tests.codec.golden` appends a full and a least sample of every record type whose current schema has none yet.
A line written with a schema that is no longer current stays: it must decode to the current record for ever.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from perdure.codec.avro import encode, record_types
from perdure.codec.schemas import HEADER_BYTES
from tests.codec.shapes import full, least, nested

__all__ = ["FILE", "built", "lines", "missing"]

FILE = Path(__file__).parent / "golden" / "messages.jsonl"


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()] if FILE.exists() else []


def built(cls: type, fields: dict[str, Any]) -> Any:
    """The record of a line's fields; fields that came later take their defaults."""
    import typing

    hints = typing.get_type_hints(cls)
    values = dict(fields)
    for name, value in fields.items():
        kind = nested(hints[name])
        if kind is not None and isinstance(value, dict):
            values[name] = built(kind, value)
        elif kind is not None and isinstance(value, list):
            values[name] = [built(kind, item) for item in value]
    return cls(**values)


def missing() -> list[Any]:
    """Samples of record types that have no line under their current schema."""
    known = {line["hex"][: 2 * HEADER_BYTES] for line in lines()}
    found = []
    for cls in record_types():
        if encode(least(cls))[:HEADER_BYTES].hex() not in known:
            found += [full(cls), least(cls)]
    return found


def main() -> None:
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a", encoding="utf-8") as out:
        for record in missing():
            line = {"record": type(record).__name__, "fields": dataclasses.asdict(record), "hex": encode(record).hex()}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
