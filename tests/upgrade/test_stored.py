"""What an earlier release has stored on SQLite is read, replayed and gone on with."""

from __future__ import annotations

import json

import pytest

import perdure as wf
from perdure.codec import encoder
from perdure.codec.schemas import load_schemas
from perdure.codec.versions import current_schemas
from tests.upgrade.life import SECONDS, app, first_life
from tests.upgrade.release import Release


def goes_on(path):
    with wf.embedded(app, path=str(path)) as client:
        assert client.get_workflow_state("one").runtime_status.name == "RUNNING"
        client.raise_workflow_event("kid", "Answer", data=3)
        client.raise_workflow_event("one", "Answer", data="yes")
        state = client.wait_for_workflow_completion("one", timeout_in_seconds=SECONDS)
    assert json.loads(state.serialized_output) == [8, 11, "yes"]


@pytest.fixture
def before(tmp_path):
    return Release.kept("writes-1", tmp_path / "before")


def test_a_database_of_the_release_before_goes_on(before, tmp_path):
    path = tmp_path / "one.db"
    made = before.run("-m", "tests.upgrade.life", str(path))
    assert made.returncode == 0, made.stderr
    goes_on(path)


def test_the_release_before_is_not_this_one(before):
    """Else an upgrade from it would say nothing."""
    assert before.writes == 1
    refused = before.run("-m", "perdure", "upgrade")
    assert refused.returncode == 2
    assert "No such command" in refused.stderr


def oldest_schemas(_version):
    """Every record as it was first, but for replies, which nobody stores."""
    first = {schema.name: schema for schema in reversed(load_schemas()) if not schema.current}
    return {**current_schemas(), **{name: schema for name, schema in first.items() if name != "Reply"}}


def test_a_database_in_the_first_bytes_there_ever_were_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "two.db"
    with monkeypatch.context() as patched:
        patched.setattr(encoder, "schemas_of", oldest_schemas)
        patched.setattr(encoder, "_writers", encoder._writers.__wrapped__)
        first_life(str(path))
    written = path.read_bytes()
    first = oldest_schemas(0)["WorkflowStarted"]
    assert not first.current
    assert first.header in written
    assert current_schemas()["WorkflowStarted"].header not in written
    goes_on(path)
