"""docs/testing.md: its example runs, its recorded history replays, its tables name what there is."""

import inspect

import pytest

from perdure import testing
from tests.documents.markdown import blocks, code_in, rows, text_of

TEXT = text_of("docs/testing.md")
EXAMPLE, RECORDING = blocks(TEXT, "python")
ROWS = [row for row in rows(TEXT) if "name" in row]


@pytest.fixture
def example():
    names = {"__name__": "example"}
    exec(compile(EXAMPLE, "docs/testing.md", "exec"), names)
    return names


@pytest.mark.parametrize("name", ["test_nobody_answers_in_three_days", "test_somebody_answers_on_the_last_day"])
def test_the_example_passes(example, name):
    example[name]()


def test_the_example_can_fail():
    names = {"__name__": "example"}
    exec(compile(EXAMPLE.replace("timedelta(days=3))])", "timedelta(days=2))])"), "docs/testing.md", "exec"), names)
    with pytest.raises(AssertionError):
        names["test_nobody_answers_in_three_days"]()


def test_the_recording_replays(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with testing.engine(example["app"], activities={"ask": testing.returns(None)}) as env:
        env.run("approval", instance_id="a")
        exec(compile(RECORDING, "docs/testing.md", "exec"), {**example, "env": env})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_name_is_there_with_its_parameters(row):
    name, _, inside = code_in(row["name"]).removesuffix(")").partition("(")
    owner = testing.Environment if row["section"] == "The environment" else testing
    if owner is testing.Environment and name in ("activities", "findings", "clock"):  # made by its `with`
        assert f"self.{name}" in inspect.getsource(testing.Environment)
        return
    target = getattr(owner, name)
    for parameter in filter(None, (each.strip(" *") for each in inside.split(","))):
        assert parameter in inspect.signature(target).parameters


def test_every_public_name_of_the_kit_is_told_somewhere_in_the_page_or_is_a_type_of_one():
    told = {name for name in testing.__all__ if name in TEXT}
    types = {"Activities", "Call", "Environment", "Fake", "Finding", "History", "HistoryUnreadable", "kit_settings"}
    assert set(testing.__all__) == told | types
