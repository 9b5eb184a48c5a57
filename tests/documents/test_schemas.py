"""schemas/README.md lists every record as the files have it."""

import io
import json
import re

import fastavro
import pytest

from perdure.codec.avro import decode
from perdure.codec.json_commands import command_from_json
from perdure.codec.schemas import load_schemas
from perdure.core.commands import Command
from perdure.core.headers import FORWARDED
from perdure.core.names import Topics, partition_of
from perdure.core.refusals import REJECTIONS
from perdure.roles.orchestrator.intake import CLIENT_COMMANDS
from tests.codec import golden
from tests.documents import contract
from tests.documents.markdown import ROOT, code_in, rows, text_of

ROWS = list(rows(text_of("schemas/README.md")))
TABLE = [row for row in ROWS if "record" in row]
FAMILIES = [row for row in ROWS if "family" in row]


def test_every_record_is_in_the_table_with_its_family_its_fingerprint_and_its_words():
    told = {code_in(row["record"]): (row["section"], code_in(row["fingerprint"]), row["what it says"]) for row in TABLE}
    assert told == {
        schema.name: (schema.family, schema.header[2:].hex(), first_sentence(schema.source))
        for schema in load_schemas()
        if schema.current
    }


def first_sentence(source):
    return source.get("doc", "").partition("\n")[0] or "–"


def test_every_family_is_told_with_the_number_of_its_records():
    told = {code_in(row["family"]): int(row["records"]) for row in FAMILIES}
    found = {}
    for schema in load_schemas():
        found[schema.family] = found.get(schema.family, 0) + schema.current
    assert told == found
    assert told["command"] == len(Command.__args__)


def test_nothing_but_schemas_lies_in_the_folders():
    strangers = [path for path in (ROOT / "schemas").glob("*/*") if path.suffix != ".avsc"]
    assert strangers == []


# -- the contract --------------------------------------------------------------------------------------------


def test_the_parts_that_are_written_from_the_schemas_are_as_they_would_be_written_now():
    page = text_of("schemas/README.md")
    assert page == contract.written(page), "run python -m tests.documents.contract"


def examples():
    """(record, JSON, bytes) as the page tells them."""
    page = text_of("schemas/README.md")
    return re.findall(
        r"^### (\w+)\n(?:(?!^###).)*?^```text\n(\{.*?\})\n([0-9a-f]+)\n```$", page, re.MULTILINE | re.DOTALL
    )


def test_every_record_that_is_promised_has_an_example():
    assert [name for name, _, _ in examples()] == [
        cls.__name__ for cls in (*contract.CLIENT_COMMANDS, *contract.EVENTS)
    ]
    assert {cls.__name__ for cls in contract.CLIENT_COMMANDS} == {cls.__name__ for cls in CLIENT_COMMANDS}


@pytest.mark.parametrize(("name", "told", "hexed"), examples(), ids=lambda each: each if each.isalpha() else "")
def test_an_example_is_read_with_nothing_but_the_file(name, told, hexed):
    """With a plain Avro library: its fingerprint, its bytes, and the values that the page tells beside them."""
    family = "command" if "command" in json.loads(told) else "event"
    schema = json.loads(text_of(f"schemas/{family}/{name}.avsc"))
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    message = bytes.fromhex(hexed)
    assert message[:2] == b"\xc3\x01"
    assert message[2:10].hex() == fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
    fields = fastavro.schemaless_reader(io.BytesIO(message[10:]), json.loads(canonical), None)
    expected = json.loads(told)
    if family == "command":
        assert expected.pop("command") == name
        expected = {field: json.dumps(value, separators=(",", ":")) if field in contract.PAYLOADS else value
                    for field, value in expected.items()}  # fmt: skip
        expected = {field["name"]: field.get("default") for field in schema["fields"]} | expected
    assert fields == expected


def test_golden_bytes_have_every_fingerprint_that_the_contract_tells():
    known = {line["hex"][:20] for line in golden.lines()}
    assert {hexed[:20] for _, _, hexed in examples()} <= known


def test_the_partitions_that_the_contract_tells_are_those_of_the_engine():
    told = [row for row in ROWS if "of 4 partitions" in row]
    assert len(told) > 3
    for row in told:
        key = code_in(row["id"])
        assert key.encode().hex() == code_in(row["bytes"])
        assert [int(row["of 4 partitions"]), int(row["of 16"])] == [partition_of(key, 4), partition_of(key, 16)]


def test_every_rejection_that_the_contract_tells_is_one_and_none_that_a_client_command_meets_is_left_out():
    told = {name for row in ROWS if "why" in row for name in re.findall(r"`(\w+)`", row["reason"])}
    # These answer our own services and clients: no client command without a reply address or a parent meets them.
    ours = {"StaleGeneration", "TaskNotOpen", "StaleAttempt", "NotTheParent", "TooManyWaiters", "NotStalled"}
    assert told == set(REJECTIONS) - ours - {"Internal"}


def test_the_contract_names_the_topics_and_headers_as_the_code_does():
    page = text_of("schemas/README.md")
    topics = Topics("<ns>")
    for topic in (topics.instances, topics.history, topics.dead_letters):
        assert f"| `{topic}` |" in page
    for header in (FORWARDED, "perdure-reason", "perdure-origin", "perdure-truncated-bytes"):
        assert f"`{header}`" in page


@pytest.mark.parametrize("name", [cls.__name__ for cls in contract.CLIENT_COMMANDS])
def test_an_example_in_json_and_the_one_in_bytes_are_the_same_command_to_the_engine(name):
    told, hexed = next((told, hexed) for record, told, hexed in examples() if record == name)
    assert command_from_json(told.encode()) == decode(bytes.fromhex(hexed))
