"""The parts of schemas/README.md that are written from the schemas: client commands and events, with examples.

`python -m tests.documents.contract` writes them into the page, between the lines `<!-- begin: … -->` and `<!-- end: … -->`;
test_schemas.py holds the page to what would be written. An example is told twice: as JSON, and as the bytes that the
engine's codec makes of it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from typing import Any

from perdure.codec.avro import encode
from perdure.codec.schemas import load_schemas
from perdure.core import commands, events
from perdure.core.limits import (
    COMMAND_ID_BYTES_MAX,
    NAME_BYTES_MAX,
    NOTE_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    TRACE_CHARS_MAX,
)
from tests.documents.markdown import ROOT

PAGE = ROOT / "schemas/README.md"

CLIENT_COMMANDS = (
    commands.StartWorkflow, commands.RaiseEvent, commands.SuspendWorkflow, commands.ResumeWorkflow,
    commands.TerminateWorkflow, commands.PurgeWorkflow,
)  # fmt: skip
EVENTS = (*typing.get_args(events.Event), events.BatchCommitted)

PAYLOADS = ("input", "data", "output")
"""Fields that hold JSON text: in a command's JSON they are the value itself."""

OURS = (
    "reply_to", "minted", "parent_id", "parent_run", "parent_generation", "parent_task_id", "parent_attempt",
)  # fmt: skip
"""Fields of client commands that only the engine and its own clients fill in."""

BOUNDS = {
    "name": f"1 to {NAME_BYTES_MAX} bytes",
    "input": f"at most {PAYLOAD_BYTES_MAX:,} bytes",
    "data": f"at most {PAYLOAD_BYTES_MAX:,} bytes",
    "output": f"at most {PAYLOAD_BYTES_MAX:,} bytes",
    "command_id": f"at most {COMMAND_ID_BYTES_MAX} bytes",
    "requested_by": f"at most {NOTE_BYTES_MAX} bytes",
    "rerun_of": f"at most {NOTE_BYTES_MAX} bytes",
    "traceparent": f"left out above {TRACE_CHARS_MAX} characters",
    "tracestate": f"left out above {TRACE_CHARS_MAX} characters",
    "start_at_us": "until the end of the year 9999",
    "reuse_id": "`never`, `ended` or empty",
}
"""Of a client command's fields, in UTF-8."""

PLACE = ("run", "generation", "seq", "at_us")
AT_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z

SAMPLES: dict[str, Any] = {
    "run": "0.2.1841",
    "generation": 0,
    "at_us": AT_US,
    "created_at_us": AT_US,
    "name": "order_workflow",
    "command_id": "shop/41",
    "requested_by": "shop",
    "task_id": 1,
    "attempt": 1,
    "cause": 1,
    "input": '{"id":7}',
    "data": '{"by":"ops"}',
    "output": '{"payment":"p-7"}',
    "error_type": "CarrierError",
    "error_message": "no carrier goes to the moon",
    "fire_at_us": AT_US + 60_000_000,
    "retry_at_us": AT_US + 1_000_000,
    "child_id": "order-7:0001",
    "value": '"packing"',
    "reason": "missing code",
    "detail": "no workflow named 'order_workflow' is registered",
    "handled_to": 4,
    "epoch": 0,
    "next_offset": 1842,
    "stored_to": 5120,
    "owner": "orchestrator-1",
}
"""By field; what is not named keeps its default."""

OTHERWISE: dict[type, dict[str, Any]] = {
    commands.RaiseEvent: {"name": "approved", "command_id": "shop/42"},
    commands.SuspendWorkflow: {"command_id": "ops/1"},
    commands.ResumeWorkflow: {"command_id": "ops/2"},
    commands.TerminateWorkflow: {"command_id": "ops/3", "output": '"not wanted"'},
    commands.PurgeWorkflow: {"command_id": "ops/4", "run": "0.2.1841"},
    events.WorkflowTerminated: {"command_id": "ops/3", "output": '"not wanted"'},
    events.WorkflowSuspended: {"command_id": "ops/1"},
    events.WorkflowResumed: {"command_id": "ops/2"},
    events.WorkflowPurged: {"command_id": "ops/4"},
    events.EventRaised: {"name": "approved", "command_id": "shop/42"},
    events.ActivityScheduled: {"name": "charge"},
    events.ActivityRetried: {"attempt": 2},
    events.ChildRetried: {"attempt": 2},
    events.ChildScheduled: {"name": "shipping"},
}
FIRST = (events.WorkflowStarted,)
"""Events that are the first of their generation."""


def sample(cls: type) -> Any:
    """The example of a record."""
    values = {"seq": 1 if cls in FIRST else 5}
    for field in dataclasses.fields(cls):
        if field.name in OTHERWISE.get(cls, {}):
            values[field.name] = OTHERWISE[cls][field.name]
        elif field.name in SAMPLES and not (cls is commands.StartWorkflow and field.name == "run"):
            values[field.name] = SAMPLES[field.name]
    known = {field.name for field in dataclasses.fields(cls)}
    return cls(**{name: value for name, value in values.items() if name in known})


def as_json(command: Any) -> str:
    """A client command as it is sent in JSON: payloads as values, nothing that is left at its default."""
    told: dict[str, Any] = {"command": type(command).__name__}
    for field in dataclasses.fields(command):
        value = getattr(command, field.name)
        if value != field.default and field.name not in OURS:
            told[field.name] = json.loads(value) if field.name in PAYLOADS else value
    return json.dumps(told)


def schema_of(cls: type) -> dict[str, Any]:
    return next(each.source for each in load_schemas() if each.current and each.name == cls.__name__)


def type_of(kind: Any) -> str:
    """In words."""
    if isinstance(kind, list):
        return " or ".join(type_of(each) for each in kind)
    if not isinstance(kind, dict):
        return str(kind)
    if "logicalType" in kind:
        return f"{kind['type']} (µs)"
    if kind["type"] == "array":
        return f"array of {type_of(kind['items'])}"
    if kind["type"] == "record":
        return f"record {kind['name']} ({', '.join(each['name'] for each in kind['fields'])})"
    return type_of(kind["type"])


def default_of(field: dict[str, Any]) -> str:
    return f"`{json.dumps(field['default'])}`" if "default" in field else "–"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(fields: list[dict[str, Any]], bounds: dict[str, str]) -> list[str]:
    lines = ["| field | Avro | default | |", "|---|---|---|---|"]
    for field in fields:
        told = [field.get("doc", ""), bounds.get(field["name"], "")]
        text = "; ".join(each.rstrip(".") for each in told if each)
        lines.append(f"| `{field['name']}` | {type_of(field['type'])} | {default_of(field)} | {_cell(text)} |")
    return lines


def of_command(cls: type) -> list[str]:
    schema, command = schema_of(cls), sample(cls)
    fields = [field for field in schema["fields"] if field["name"] not in OURS]
    ours = [f"`{field['name']}`" for field in schema["fields"] if field["name"] in OURS]
    told = ["", f"Not for you: {', '.join(ours)}."] if ours else []
    doc = schema.get("doc", "").partition("\n")[0]
    return [
        f"### {cls.__name__}",
        "",
        *([doc, ""] if doc else []),
        *_table(fields, BOUNDS),
        *told,
        "",
        "```text",
        as_json(command),
        encode(command).hex(),
        "```",
        "",
    ]


def of_event(cls: type) -> list[str]:
    schema, event = schema_of(cls), sample(cls)
    fields = [field for field in schema["fields"] if field["name"] not in PLACE or cls is events.BatchCommitted]
    doc = schema.get("doc", "").partition("\n")[0]
    return [
        f"### {cls.__name__}",
        "",
        *([doc, ""] if doc else []),
        *([*_table(fields, {}), ""] if fields else []),
        "```text",
        json.dumps(dataclasses.asdict(event), ensure_ascii=False),
        encode(event).hex(),
        "```",
        "",
    ]


def blocks() -> dict[str, str]:
    """What stands between the lines, by name."""
    return {
        "commands": "\n".join(line for cls in CLIENT_COMMANDS for line in of_command(cls)),
        "events": "\n".join(line for cls in EVENTS for line in of_event(cls)),
    }


def written(text: str) -> str:
    """The page with its blocks as they should be. Raises ValueError if a block has no place."""
    for name, block in blocks().items():
        place = re.compile(rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->\n)", re.DOTALL)
        text, count = place.subn(lambda found, block=block: f"{found[1]}\n{block}\n{found[2]}", text)
        if count != 1:
            raise ValueError(f"the page has {count} places for {name}")
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
