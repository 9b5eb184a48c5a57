"""Write versions: the index of schemas, what may change, and bytes from each version to every other."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perdure
from perdure.codec.avro import decode, encode, record_types
from perdure.codec.encoder import Encoder, HeldBack
from perdure.codec.schemas import HEADER_BYTES, SchemaError, load_schemas
from perdure.codec.versions import current_schemas, marked, newest, read_by, schemas_of
from perdure.core.commands import PurgeWorkflow, RaiseEvent, StartWorkflow
from tests.codec import golden, index
from tests.codec.shapes import any_record, full, least, nested

quick = settings(max_examples=300, deadline=None, database=None, print_blob=True)
RECORDS = {cls.__name__: cls for cls in record_types()}

FROZEN = {
    1: "53187556d0b65c7f4ea16a9a86089dac4f1469411db72a578dbf3b19163329aa",
    2: "ca0b79d2ff95701d16eae79d69ae8702e06bf9350a2e18c080208b251a927170",
}
"""Of each write version what its schemas say, as sha256. Lines are added, never changed."""

CHANGED = (
    "write version {} is what namespaces are written with, and its schemas do not change. Take the change back; to change a "
    "record, copy its file to <Name>.v<N>.avsc first, then `python -m tests.codec.index --new-version`"
)


def meaning(node: Any) -> Any:
    """A schema without its words, with the defaults that a fingerprint leaves out."""
    if isinstance(node, dict):
        return {key: meaning(value) for key, value in sorted(node.items()) if key != "doc"}
    return [meaning(each) for each in node] if isinstance(node, list) else node


def digest_of(version: int) -> str:
    said = {name: meaning(schema.source) for name, schema in sorted(schemas_of(version).items())}
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


# -- the index -----------------------------------------------------------------------------------------------


def test_the_index_lists_every_schema_and_its_newest_version_is_what_the_files_say():
    assert index.complaints(index.read()) == []
    assert index.grown(index.read()) == index.read(), "python -m tests.codec.index"


@pytest.mark.parametrize("version", sorted(FROZEN))
def test_a_write_version_never_changes(version: int):
    assert digest_of(version) == FROZEN[version], CHANGED.format(version)


def test_every_write_version_is_frozen():
    assert set(FROZEN) == set(range(1, newest() + 1)), "add its digest to FROZEN: what it says is for ever"
    assert set(FROZEN) == {int(each) for each in index.read()["writes"]}


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the schemas, to be changed."""
    folder = shutil.copytree(index.schema_folder(), tmp_path / "schemas")
    monkeypatch.setattr(index, "schema_folder", lambda: folder)
    monkeypatch.setattr(index, "FILE", folder / "index.json")
    return folder


def with_another_field(path):
    source = json.loads(path.read_text(encoding="utf-8"))
    source["fields"].append({"name": "another", "type": "string", "default": ""})
    path.write_text(json.dumps(source), encoding="utf-8")


def test_a_file_that_changes_without_a_new_version_is_told_what_to_do(copied):
    before = index.read()
    with_another_field(copied / "command" / "RaiseEvent.avsc")
    told = "\n".join(index.complaints(before))
    assert "RaiseEvent" in told
    assert "put it back as <Name>.v<N>.avsc" in told
    assert "--new-version" in told
    index.main()  # the command alone makes no new version
    assert index.read()["writes"] == before["writes"]


def test_a_new_version_leaves_the_earlier_ones_as_they_are(copied, monkeypatch):
    before = index.read()
    changed = copied / "command" / "RaiseEvent.avsc"
    shutil.copy(changed, changed.with_name("RaiseEvent.v1.avsc"))
    with_another_field(changed)
    monkeypatch.setattr("sys.argv", ["index", "--new-version"])
    index.main()
    after = index.read()
    assert index.complaints(after) == []
    assert before["schemas"].keys() < after["schemas"].keys()
    assert {each: after["writes"][each] for each in before["writes"]} == before["writes"]
    latest = str(newest() + 1)
    assert {name for name, _ in after["writes"][latest].items() ^ before["writes"][str(newest())].items()} == {
        "RaiseEvent"
    }


def test_a_file_that_is_taken_away_is_missed(copied):
    (copied / "command" / "StartWorkflow.v2.avsc").unlink()
    assert "StartWorkflow.v2.avsc" in "\n".join(index.complaints(index.read()))


def test_every_schema_there_ever_was_has_golden_bytes():
    known = {line["hex"][: 2 * HEADER_BYTES] for line in golden.lines()}
    assert [schema.fingerprint for schema in load_schemas() if schema.header.hex() not in known] == []


# -- from every version to every other -----------------------------------------------------------------------


def versions_of(name: str) -> list[Any]:
    return [schema for schema in load_schemas() if schema.name == name]


PAIRS = [pair for name in RECORDS for pair in itertools.product(versions_of(name), repeat=2)]


def inner(node: Any) -> Any:
    """The record within a field's type, if there is one."""
    if isinstance(node, list):
        return next(filter(None, map(inner, node)), None)
    if isinstance(node, dict):
        return node if node.get("type") == "record" else inner(node.get("items"))
    return None


def seen_by(reader: Any, writer: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """What Avro's rules say that a reader gets of a writer's record."""
    written, found = {field["name"]: field for field in writer["fields"]}, {}
    for field in reader["fields"]:
        name = field["name"]
        if name not in written:
            found[name] = field["default"]
            continue
        value, here, there = fields[name], inner(field["type"]), inner(written[name]["type"])
        if here is not None and value is not None:
            value = (
                [seen_by(here, there, each) for each in value]
                if isinstance(value, list)
                else seen_by(here, there, value)
            )
        found[name] = value
    return found


def cut(schema: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """What a schema has a place for."""
    return seen_by(schema, schema, fields)


@quick
@given(st.data())
def test_what_any_version_writes_every_other_reads(data: Any):
    writer, reader = data.draw(st.sampled_from(PAIRS))
    record = data.draw(any_record(RECORDS[writer.name]))
    fields = cut(writer.source, dataclasses.asdict(record))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, writer.parsed, fields)
    read = fastavro.schemaless_reader(io.BytesIO(out.getvalue()), writer.parsed, reader.parsed)
    assert read == seen_by(reader.source, writer.source, fields)
    if reader.current:
        assert dataclasses.asdict(decode(writer.header + out.getvalue())) == read


def test_a_record_that_has_changed_is_among_the_pairs():
    assert {writer.name for writer, reader in PAIRS if writer is not reader} >= {
        "StartWorkflow",
        "PurgeWorkflow",
        "Reply",
    }


# -- held back -----------------------------------------------------------------------------------------------


def at_defaults(version: int, record: Any) -> Any:
    """The record as that version can say it; None if it has no such record."""
    schema = schemas_of(version).get(type(record).__name__)
    return None if schema is None else _at_defaults(type(record), schema.source, record)


def _at_defaults(cls: type, schema: Any, record: Any) -> Any:
    places, changes = {field["name"]: field for field in schema["fields"]}, {}
    for field in dataclasses.fields(cls):
        value = getattr(record, field.name)
        if field.name not in places:
            made = field.default_factory
            changes[field.name] = field.default if made is dataclasses.MISSING else made()
        elif isinstance(value, list) and (kind := inner(places[field.name]["type"])):
            changes[field.name] = [_at_defaults(type(each), kind, each) for each in value]
        elif dataclasses.is_dataclass(value):
            changes[field.name] = _at_defaults(type(value), inner(places[field.name]["type"]), value)
    return dataclasses.replace(record, **changes)


def without_logical_types(node: Any) -> Any:
    """Points in time as the numbers that they are: any long is one, a datetime is not."""
    if isinstance(node, dict):
        return (
            node["type"] if "logicalType" in node else {key: without_logical_types(each) for key, each in node.items()}
        )
    return [without_logical_types(each) for each in node] if isinstance(node, list) else node


def only_files_of(version: int) -> dict[bytes, tuple[str, Any]]:
    """A reader that has nothing but that version's files: header to record's name and schema."""
    names = {fingerprint: name for name, fingerprint in index.read()["writes"][str(version)].items()}
    found = {}
    for fingerprint, name in names.items():
        path = index.schema_folder() / index.read()["schemas"][fingerprint]
        source = without_logical_types(json.loads(path.read_text(encoding="utf-8")))
        found[b"\xc3\x01" + bytes.fromhex(fingerprint)] = name, fastavro.parse_schema(source)
    return found


READERS = {version: only_files_of(version) for version in FROZEN}


@quick
@given(st.sampled_from(sorted(FROZEN)), any_record())
def test_what_is_written_at_a_version_is_read_with_nothing_but_its_files(version: int, record: Any):
    wanted = at_defaults(version, record)
    if wanted is None:
        return
    message = Encoder(version)(wanted)
    assert decode(message) == wanted
    name, schema = READERS[version][message[:HEADER_BYTES]]
    read = fastavro.schemaless_reader(io.BytesIO(message[HEADER_BYTES:]), schema, None)
    assert name == type(record).__name__
    assert set(read) == {field["name"] for field in schema["fields"]}


@quick
@given(st.sampled_from(sorted(FROZEN)), any_record())
def test_what_a_version_cannot_say_is_refused_and_never_left_out(version: int, record: Any):
    encoder = Encoder(version)
    if record == at_defaults(version, record):
        assert decode(encoder(record)) == record
    else:
        with pytest.raises(HeldBack, match="perdure upgrade"):
            encoder(record)
    assert decode(encoder.again(record)) == record


@pytest.mark.parametrize("line", golden.lines(), ids=lambda line: line["record"])
def test_golden_bytes_are_written_at_every_version_that_has_their_schema(line):
    message, cls = bytes.fromhex(line["hex"]), RECORDS[line["record"]]
    header = message[:HEADER_BYTES]
    record = golden.built(cls, line["fields"])
    for version in FROZEN:
        if cls.__name__ in schemas_of(version) and schemas_of(version)[cls.__name__].header == header:
            assert Encoder(version)(record) == message


@pytest.mark.parametrize(
    ("record", "path"),
    [
        (least(RECORDS["ReissueSteps"]), "ReissueSteps"),
        (StartWorkflow("w", reuse_id="never"), "reuse_id of StartWorkflow"),
        (PurgeWorkflow(run="0.1.2"), "run of PurgeWorkflow"),
    ],
)
def test_what_came_with_version_2_is_refused_by_name_at_version_1(record, path):
    with pytest.raises(HeldBack, match=rf"{path} cannot be written .* version is 1, and this came with 2\."):
        Encoder(1)(record)
    assert decode(Encoder(2)(record)) == record


def test_an_encoder_is_raised_while_it_runs_and_never_lowered():
    encoder = Encoder(1)
    held = encoder(StartWorkflow("w"))
    assert encoder.raise_to(2)
    assert not encoder.raise_to(1)
    assert encoder(StartWorkflow("w"))[:HEADER_BYTES] != held[:HEADER_BYTES]
    assert encoder(RaiseEvent("e")) == Encoder(1)(RaiseEvent("e"))  # which has not changed in between
    with pytest.raises(SchemaError, match="version 99 is not known"):
        encoder.raise_to(99)
    assert encoder.version == 2


def test_encode_alone_is_held_back_by_nobody():
    for cls in record_types():
        assert encode(full(cls))[:HEADER_BYTES] == current_schemas()[cls.__name__].header
        assert encode(least(cls)) == Encoder()(least(cls))


def test_a_nested_record_that_lacks_a_field_is_refused_by_its_path(monkeypatch):
    """No version has one yet: the first of Reply, whose snapshot had neither owner nor lags, stands in for it."""
    from perdure.codec import encoder as module

    (first,) = [schema for schema in versions_of("Reply") if not schema.current]
    version = dict(schemas_of(1)) | {"Reply": first}
    monkeypatch.setattr(module, "schemas_of", lambda number: version if number == 1 else schemas_of(number))
    monkeypatch.setattr(module, "_writers", module._writers.__wrapped__)
    cls = RECORDS["Reply"]
    snapshot = nested(__import__("typing").get_type_hints(cls)["snapshot"])
    plain = dataclasses.replace(least(cls), snapshot=least(snapshot))
    assert decode(Encoder(1)(plain)) == plain
    with pytest.raises(HeldBack, match=r"snapshot\.owner of Reply"):
        Encoder(1)(dataclasses.replace(plain, snapshot=dataclasses.replace(least(snapshot), owner="o")))


def test_only_the_embedded_store_writes_without_an_encoder_of_its_own():
    """Everybody else writes to what others read, too."""
    source = Path(perdure.__file__).parent
    importing = [
        path.relative_to(source).as_posix()
        for path in sorted(source.rglob("*.py"))
        if re.search(r"import .*\bencode\b", path.read_text(encoding="utf-8"))
    ]
    assert importing == ["adapters/sqlite/store.py"]


# -- what a member tells -------------------------------------------------------------------------------------


def test_a_member_tells_what_it_reads_and_one_that_tells_nothing_reads_the_first():
    assert read_by(marked("perdure-orchestrator-pod-7-31")) == newest()
    assert read_by("perdure-timer-pod-7-31") == 1
    assert read_by("perdure-timer-pod-7-31-w17") == 17
    assert read_by("") == 1
