"""Dataclass to bytes and back: any value of any record type, the golden bytes, and bytes that are no message at all."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.codec.avro import DecodeError, decode, encode, record_types
from perdure.codec.schemas import HEADER_BYTES, MAGIC
from tests.codec import golden
from tests.codec.shapes import any_record, full, least

RECORDS = {cls.__name__: cls for cls in record_types()}
quick = settings(max_examples=300, deadline=None, database=None, print_blob=True)

FROZEN = (100, "86876d33102ef6e051a7748eb8d2f45c847d4ed02032b2f928e51b6680d484da")
"""How many lines of the golden file are frozen, and their sha256: raise both when lines are appended, never lower."""


@quick
@given(any_record())
def test_every_record_comes_back_as_it_went(record):
    message = encode(record)
    again = decode(message)
    assert again == record
    assert type(again) is type(record)
    assert encode(again) == message


@pytest.mark.parametrize("cls", record_types(), ids=lambda cls: cls.__name__)
def test_a_full_and_a_least_record_of_each_type_come_back(cls: type):
    for record in (full(cls), least(cls)):
        assert decode(encode(record)) == record


@pytest.mark.parametrize("line", golden.lines(), ids=lambda line: line["record"])
def test_golden_bytes_are_read_for_ever_and_written_while_their_schema_is_current(line):
    cls = RECORDS[line["record"]]
    message, record = bytes.fromhex(line["hex"]), golden.built(cls, line["fields"])
    assert decode(message) == record
    if message[:HEADER_BYTES] == encode(least(cls))[:HEADER_BYTES]:
        assert encode(record) == message


def test_every_record_type_has_golden_bytes_under_its_current_schema():
    assert golden.missing() == [], "append them: python -m tests.codec.golden"


def test_golden_lines_are_only_appended():
    count, digest = FROZEN
    text = golden.FILE.read_text(encoding="utf-8").splitlines(keepends=True)
    assert len(text) >= count
    assert hashlib.sha256("".join(text[:count]).encode()).hexdigest() == digest


# -- bytes of a stranger -------------------------------------------------------------------------------------


def survives(message: bytes) -> None:
    """Either a DecodeError, or a record that can be handled further."""
    try:
        record = decode(message)
    except DecodeError as error:
        assert str(error)
    else:
        encode(record)


@quick
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_by_name(data: bytes):
    with pytest.raises(DecodeError):
        decode(data)


@quick
@given(st.sampled_from(record_types()), st.binary(max_size=200))
def test_random_bytes_behind_a_valid_header_do_no_harm(cls: type, body: bytes):
    survives(encode(least(cls))[:HEADER_BYTES] + body)


@pytest.mark.parametrize("cls", record_types(), ids=lambda cls: cls.__name__)
def test_a_message_cut_anywhere_is_refused(cls: type):
    message = encode(full(cls))
    for length in range(len(message)):
        with pytest.raises(DecodeError):
            decode(message[:length])


@pytest.mark.parametrize("cls", record_types(), ids=lambda cls: cls.__name__)
def test_a_message_with_any_bit_flipped_does_no_harm(cls: type):
    message = bytearray(encode(full(cls)))
    for place in range(len(message)):
        for bit in (0, 3, 7):
            message[place] ^= 1 << bit
            survives(bytes(message))
            message[place] ^= 1 << bit


def test_bytes_behind_the_end_are_refused():
    with pytest.raises(DecodeError, match="1 bytes after the end"):
        decode(encode(full(record_types()[0])) + b"\0")


@pytest.mark.parametrize("cls", record_types(), ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("length", [1 << 31, (1 << 62) - 1, -1, -(1 << 62)])
def test_a_huge_or_negative_length_is_refused_without_taking_memory(cls: type, length: int):
    """The first field of nearly every record is a text; behind the last one lie the lists."""
    message = encode(least(cls))
    tracemalloc.start()
    try:
        for place in range(HEADER_BYTES, len(message) + 1):
            survives(message[:place] + varint(length) + b"xxxx")
            survives(message[:place] + varint(length) + message[place:])
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def varint(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >> 7:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def test_an_endless_number_is_refused():
    survives(encode(least(RECORDS["BeginGeneration"]))[:HEADER_BYTES] + b"\0" + b"\xff" * 1_000_000)


def test_the_reason_is_told():
    message = encode(full(record_types()[0]))
    for wrong, said in (
        (b"", "too short"),
        (b"\xc3\x01", "too short"),
        (b'{"name": "json"}', "not with c301"),
        (MAGIC + b"\0" * 8, "newer version"),
        (message[:-1], "not a valid record"),
    ):
        with pytest.raises(DecodeError, match=said):
            decode(wrong)


def test_text_that_is_no_utf_8_is_refused():
    message = encode(RECORDS["RaiseEvent"]("name"))
    with pytest.raises(DecodeError, match="not a valid record"):
        decode(message.replace(b"name", b"\xff\xfe\xfd\xfc"))
