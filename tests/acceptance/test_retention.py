"""What has ended goes by its age, in the engine of one process and one file."""

import sqlite3
import time

import pytest

import perdure as wf

app = wf.App()


@app.workflow
def quick(ctx, value):
    ctx.set_custom_status("x" * 1_000)
    return value


@app.workflow
def failing(ctx, _):
    raise ValueError("as it must")


def until(fact, seconds=60):
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def rows(path):
    """(events, ids by status) in the file."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        (topic,) = connection.execute("SELECT topic_id FROM topics WHERE is_history").fetchone()
        (events,) = connection.execute(f"SELECT count(*) FROM records_{topic} WHERE key <> x''").fetchone()
        return events, dict(connection.execute("SELECT status, count(*) FROM instances GROUP BY status"))
    finally:
        connection.close()


def test_what_is_old_goes_from_the_file_and_what_has_no_age_stays(tmp_path):
    path = tmp_path / "engine.db"
    with wf.embedded(app, path) as client:
        ids = [client.schedule_new_workflow(quick, input=number) for number in range(120)]
        kept = client.schedule_new_workflow(failing)
        for each in (*ids, kept):
            client.wait_for_workflow_completion(each, timeout_in_seconds=60)
    assert rows(path)[1] == {"COMPLETED": 120, "FAILED": 1}

    with wf.embedded(app, path, retain="COMPLETED=1s") as client:
        until(lambda: rows(path)[1] == {"PURGED": 120, "FAILED": 1})
        young = client.schedule_new_workflow(quick, input=7, instance_id="young")
        state = client.wait_for_workflow_completion(young, timeout_in_seconds=60)
        assert state.serialized_output == "7"
        assert client.get_workflow_state(kept).runtime_status.name == "FAILED"
        assert client.get_workflow_state(ids[0]) is None
        until(lambda: rows(path)[1] == {"PURGED": 121, "FAILED": 1})
        until(lambda: rows(path)[0] == 2)  # a start and a failure


def test_an_age_that_is_none_is_told_before_anything_begins(tmp_path):
    with pytest.raises(ValueError, match="'DONE' is no status that an instance ends with"):
        wf.embedded(app, tmp_path / "engine.db", retain="DONE=1d")
    assert list(tmp_path.iterdir()) == []
