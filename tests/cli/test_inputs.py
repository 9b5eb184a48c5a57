"""What users write: JSON and times."""

import io
import sys
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from perdure.cli import inputs
from perdure.cli.exits import NotThere, UsageError
from perdure.cli.inputs import json_given, moment, period_s

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _noon(monkeypatch):
    monkeypatch.setattr(inputs, "_now", lambda: NOON)


def test_json_is_passed_on_as_it_was_written():
    assert json_given('{"b": 1, "a": 1.50}', "--input") == '{"b": 1, "a": 1.50}'


def test_no_option_is_no_payload():
    assert json_given(None, "--input") is None


def test_a_file_and_standard_input_are_read(tmp_path, monkeypatch):
    (tmp_path / "in.json").write_text('{"x": "ü"}', encoding="utf-8")
    assert json_given(f"@{tmp_path}/in.json", "--input") == '{"x": "ü"}'
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"[1]")))
    assert json_given("-", "--input") == "[1]"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('{"a": }', "at line 1, column 7"),
        ('{\n"a": 1,\n}', "at line "),  # Python versions differ about which
        ("hello", """a text needs JSON's quotes, '"hello"'"""),
        ("", "it is empty"),
        ("NaN", "NaN"),
        ("1 2", "Extra data at line 1, column 3"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_malformed_json_is_told_with_its_position(given, told):
    with pytest.raises(UsageError) as caught:
        json_given(given, "--input")
    assert told in str(caught.value)
    assert str(caught.value).startswith("--input")


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path):
    with pytest.raises(NotThere, match="No such file"):
        json_given(f"@{tmp_path}/none.json", "--data")
    (tmp_path / "bytes").write_bytes(b'"\xff"')
    with pytest.raises(UsageError, match="not UTF-8: byte 1"):
        json_given(f"@{tmp_path}/bytes", "--data")


@pytest.mark.parametrize(
    ("given", "back", "found"),
    [
        ("2026-02-01T00:00:00Z", False, datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01T00:00:00", False, datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01T01:00:00+01:00", False, datetime(2026, 2, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
        ("10m", False, NOON + timedelta(minutes=10)),
        ("+1.5h", False, NOON + timedelta(minutes=90)),
        ("7d", True, NOON - timedelta(days=7)),
        (None, True, None),
    ],
)
def test_a_time_is_a_date_or_a_period_from_now(given, back, found):
    assert moment(given, "--at", back=back) == found


@pytest.mark.parametrize("given", ["tomorrow", "10 m", "1y", "2026-13-01", ""])
def test_what_is_no_time_is_told_how_to_write_one(given):
    with pytest.raises(UsageError, match="2026-01-31T12:00:00Z"):
        moment(given, "--at")


@pytest.mark.parametrize(("given", "seconds"), [("30", 30), ("30s", 30), ("250ms", 0.25), ("2h", 7200), (None, None)])
def test_a_period_is_seconds_unless_it_has_a_unit(given, seconds):
    assert period_s(given, "--timeout") == seconds


@pytest.mark.parametrize("given", ["soon", "-1", "", "1w"])
def test_what_is_no_period_is_told(given):
    with pytest.raises(UsageError, match="--timeout"):
        period_s(given, "--timeout")
