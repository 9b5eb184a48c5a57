"""What strangers write: bytes that are nothing, records of the wrong kind, and well-formed ones that mean harm.

`few` and `many` are derandomised: a run finds what the last one found. HOSTILE_TIMES=50 looks that much further.
"""

import dataclasses
import os
import typing

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from perdure.codec.avro import encode, record_types
from perdure.core import commands
from tests.codec.framing import as_json, framed
from tests.codec.shapes import any_record, any_value, current_schema

__all__ = ["aimed", "any_headers", "any_json", "any_key", "any_payload", "any_value_bytes", "few", "many", "mutated"]

_as_ever = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
_times = int(os.environ.get("HOSTILE_TIMES", "1"))
few = settings(max_examples=25 * _times, **_as_ever)  # each a world of its own
many = settings(max_examples=200 * _times, **_as_ever)

WHOLE = {"int": 31, "long": 63}
MILD_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

LONG_KEYS = (b"k" * 513, b"k" * 70_000, "ü".encode() * 256 + b"!")


def any_key(*known: bytes) -> st.SearchStrategy[bytes]:
    odd = st.sampled_from((b"", b"\xff\xfe", b"\0", b"a\0b", "\U0010ffff".encode(), b"../..", b"%00", *LONG_KEYS))
    return st.sampled_from(known) | odd | st.binary(max_size=40) if known else odd | st.binary(max_size=40)


def any_headers() -> st.SearchStrategy[tuple[tuple[str, bytes], ...]]:
    names = (
        st.sampled_from(
            (
                "traceparent",
                "tracestate",
                "perdure-forwarded",
                "perdure-reason",
                "perdure-command-id",
                "content-type",
                "",
            )
        )
        | MILD_TEXT
    )
    traces = st.sampled_from(
        (
            b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01",
            b"00-" + b"0" * 600,
            b"\xff",
            b"application/json",
            b"c",
            b"i" * 300,
        )
    )
    return st.lists(st.tuples(names, traces | st.binary(max_size=30)), max_size=4).map(tuple)


@st.composite
def mutated(draw: typing.Any, message: bytes) -> bytes:
    """Cut, doubled, overwritten, or with something put in."""
    place = draw(st.integers(0, len(message)))
    end = draw(st.integers(place, len(message)))
    put = draw(st.binary(max_size=12) | st.sampled_from((b"\xff" * 10, b"\xfe" + b"\xff" * 8 + b"\x01", b"\0")))
    how = draw(st.sampled_from(("cut", "double", "overwrite", "insert")))
    if how == "cut":
        return message[:place] + message[end:]
    if how == "double":
        return message[:end] + message[place:]
    if how == "overwrite":
        return message[:place] + put + message[place + len(put) :]
    return message[:place] + put + message[place:]


def any_value_bytes() -> st.SearchStrategy[bytes]:
    """A record's value: noise, any record of ours, or one that was tampered with."""
    ours = any_record().map(encode)
    return st.binary(max_size=60) | ours | ours.flatmap(mutated)


def aimed(cls: type, run: str, **fixed: typing.Any) -> st.SearchStrategy[typing.Any]:
    """Well-formed records of a type that are meant for a run that there is, at the edges of what fits."""
    schema, hints = current_schema(cls), typing.get_type_hints(cls)
    edges = {
        "run": st.sampled_from((*(run,) * 12, "", "0.0.1", "0.99.1", "0.0.1/2", "0.٣.1", "0." + "9" * 5_000 + ".1")),
        "parent_run": st.just(run),
        "kind": st.sampled_from(("timer", "retry", "lease", "start", "", "bogus", "a/b", "timer\0")),
        "until": st.sampled_from(("now", "started", "completed", "doomsday")),
        "reply_to": st.sampled_from(("", "0/a", "0/" + "t" * 300, "99999999999/x", "٣/x", "-1/x", "0")),
        "minted": st.booleans(),
    } | {name: st.just(value) for name, value in fixed.items()}
    fields = {}
    for field in schema["fields"]:
        name = field["name"]
        kind = (
            field["type"]["type"]
            if isinstance(field["type"], dict) and "logicalType" in field["type"]
            else field["type"]
        )
        if name in edges:
            fields[name] = edges[name]
        elif isinstance(kind, str) and kind in WHOLE:
            top = 1 << WHOLE[kind]
            likely = (0,) * 12 if name == "generation" else (1,) * 12 if name in ("task_id", "attempt") else ()
            fields[name] = st.sampled_from((*likely, 0, 1, 2, 3, -1, top - 1, -top))
        else:
            fields[name] = any_value(field["type"], hints[name])
    return st.builds(cls, **fields)


def any_json_message(run: str) -> st.SearchStrategy[bytes]:
    """Commands in JSON, and what tries to look like them."""
    import json

    client = st.sampled_from(typing.get_args(commands.ClientCommand)).flatmap(
        lambda cls: aimed(cls, run, input="", data="", output="")
    )
    names = (
        st.sampled_from(("StartWorkflow", "RaiseEvent", "command", "name", "input", "data", "reply_to", "")) | MILD_TEXT
    )
    odd = st.dictionaries(names, any_json() | names, max_size=4).map(lambda value: json.dumps(value).encode())
    good = client.map(as_json)
    return good | good.flatmap(mutated) | odd | any_payload()


SCHEMA_IDS = {
    1: current_schema(commands.StartWorkflow),
    2: current_schema(commands.RaiseEvent),
    3: {"type": "array", "items": "null"},
    4: {"type": "record", "name": "perdure.command.RaiseEvent", "fields": [{"name": "name", "type": "bytes"}]},
    5: None,
    6: [[[[]]]],
    7: {"type": "record", "name": "perdure.command.StartWorkflow", "fields": [{"name": "name", "type": ["null", "string"]}] * 2},
}  # fmt: skip
"""What a registry may have; others it does not know."""


def any_framed(run: str) -> st.SearchStrategy[bytes]:
    """In Confluent's framing: under the right schema's id, or another's."""
    sealed = st.one_of(
        aimed(commands.StartWorkflow, run).map(lambda command: framed(1, SCHEMA_IDS[1], dataclasses.asdict(command))),
        aimed(commands.RaiseEvent, run).map(lambda command: framed(2, SCHEMA_IDS[2], dataclasses.asdict(command))),
    )
    other = st.tuples(st.sampled_from((*SCHEMA_IDS, 99, 0xFFFFFFFF)), st.binary(max_size=40)).map(
        lambda drawn: b"\0" + drawn[0].to_bytes(4, "big") + drawn[1]
    )
    return sealed | sealed.flatmap(mutated) | other


def any_command(run: str) -> st.SearchStrategy[typing.Any]:
    return st.sampled_from(typing.get_args(commands.Command)).flatmap(lambda cls: aimed(cls, run))


def any_json() -> st.SearchStrategy[typing.Any]:
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    return st.recursive(
        leaf,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=12,
    )


class Body(bytes):
    """Is told in few words when a test fails."""

    def __repr__(self) -> str:
        return bytes.__repr__(self[:60]) + (f" and {len(self) - 60:,} more" if len(self) > 60 else "")


DEEP = 100_000
NASTY_JSON = (
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b"[" * 150 + b"]" * 150,
    b"9" * 5_000,
    b"-" + b"9" * 5_000,
    b"[1e999999]",
    b"NaN",
    b"[Infinity, -Infinity]",
    b'"\\ud800"',
    b'{"\\ud800": 1}',
    b'{"a": 1, "a": 2}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"{}" * 3,
    b"\0",
    b'"' + b"\\u0000" * 100 + b'"',
    b'{"input": {"input": NaN}}',
    b'{"input": "\\udfff"}',
    b"1" + b"0" * 4_300,
    b"[" + b'"x",' * 50_000 + b"1]",
    b'{"__proto__": {}, "\\u0000": []}',
)


def any_payload() -> st.SearchStrategy[bytes]:
    """A body: noise, JSON of every kind, and what has broken parsers before."""
    import json

    good = any_json().map(lambda value: json.dumps(value).encode())
    return (st.sampled_from(NASTY_JSON) | st.binary(max_size=60) | good | good.flatmap(mutated)).map(Body)


def types_without(*names: str) -> list[type]:
    return [cls for cls in record_types() if cls.__name__ not in names]
