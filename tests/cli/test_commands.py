"""Every command against a real engine in this process."""

import json

import pytest

from tests.cli.terminal import until

pytestmark = pytest.mark.usefixtures("engine")


def started(cli, name, *options):
    told = cli("start", name, *options)
    assert told.code == 0, told.err
    return told.out.strip()


def status(cli, instance_id):
    return cli("get", instance_id, "--json").json["runtimeStatus"]


def test_start_prints_the_id_alone(cli):
    told = cli("start", "order", "--input", '{"amount": 7}')
    assert (told.code, told.err) == (0, "")
    assert len(told.out.strip()) == 32


def test_start_in_json_is_the_gateways_answer(cli):
    assert cli("start", "order", "--input", '{"amount": 7}', "--id", "s1", "--json").json == {"instanceID": "s1"}


def test_start_and_wait_shows_the_result(cli):
    told = cli("start", "order", "--input", '{"amount": 7}', "--wait")
    assert told.code == 0
    assert "status    COMPLETED\n" in told.out
    assert 'output    {"charged":7}\n' in told.out


def test_the_input_may_come_from_standard_input(cli):
    told = cli("start", "order", "--input", "-", "--wait", "--json", stdin='{"amount": 8}')
    assert json.loads(told.json["serializedOutput"]) == {"charged": 8}


def test_a_failed_workflow_ends_the_wait_with_1_and_its_failure(cli):
    told = cli("start", "declined", "--input", "{}", "--wait")
    assert told.code == 1
    assert "FAILED" in told.out
    assert "the card was declined" in told.out


def test_a_terminated_workflow_ends_the_wait_with_1(cli):
    started(cli, "approval", "--id", "t1")
    assert cli("terminate", "t1", "--output", '"no time"').out == "t1 terminated\n"
    told = cli("wait", "t1", "--json")
    assert (told.code, told.json["runtimeStatus"], told.json["serializedOutput"]) == (1, "TERMINATED", '"no time"')


def test_a_wait_that_is_too_short_ends_with_6_and_says_what_is_awaited(cli):
    started(cli, "approval", "--id", "w1")
    told = cli("wait", "w1", "--timeout", "600ms")
    assert (told.code, told.out) == (6, "")
    assert "'w1' has not ended within 0.6 s: RUNNING · awaits event decision" in told.complaint


def test_progress_is_a_line_on_standard_error_at_each_change(cli):
    started(cli, "approval", "--id", "w2")
    told = cli("wait", "w2", "--timeout", "1200ms")
    progress = [line for line in told.err.split("\n") if line.startswith("w2 ")]
    assert progress == ['w2 RUNNING · awaits event decision · "waiting for a decision"']


def test_in_json_a_wait_says_nothing_but_the_result(cli):
    started(cli, "approval", "--id", "w3")
    told = cli("wait", "w3", "--timeout", "600ms", "--json")
    assert (told.code, told.out, told.err.count("\n")) == (6, "", 1)


def test_an_event_reaches_the_workflow(cli):
    started(cli, "approval", "--id", "e1")
    assert cli("raise-event", "e1", "Decision", "--data", '{"ok": true}').out == "e1 event Decision raised\n"
    assert json.loads(cli("wait", "e1", "--json").json["serializedOutput"]) == {"ok": True}


def test_pause_and_resume(cli):
    started(cli, "approval", "--id", "p1")
    assert cli("pause", "p1").out == "p1 paused\n"
    assert status(cli, "p1") == "SUSPENDED"
    assert cli("resume", "p1", "--json").json == {"instanceID": "p1"}
    assert status(cli, "p1") == "RUNNING"


def test_terminate_takes_the_children_along_unless_told_not_to(cli):
    for parent, options, child_status in (("r1", (), "TERMINATED"), ("r2", ("--no-recursive",), "RUNNING")):
        started(cli, "parent", "--id", parent)

        def child(parent=parent):
            awaited = (cli("describe", parent, "--json").json["detail"] or {})["awaits"]
            found = awaited[0]["childId"] if awaited else ""
            return found if found and cli("get", found).code == 0 else ""

        child_id = until(child)
        assert cli("terminate", parent, *options).code == 0
        if child_status == "TERMINATED":
            assert cli("wait", child_id, "--timeout", "10s").code == 1
        assert status(cli, child_id) == child_status


def test_purge_forgets(cli):
    started(cli, "order", "--id", "g1", "--input", '{"amount": 1}', "--wait")
    assert cli("purge", "g1").out == "g1 purged\n"
    told = cli("get", "g1")
    assert (told.code, told.out) == (3, "")
    assert "'g1'" in told.complaint


def test_rerun_starts_again_under_a_new_id(cli):
    started(cli, "order", "--id", "o1", "--input", '{"amount": 5}', "--wait")
    assert cli("rerun", "o1", "--id", "o2").out == "o2\n"
    assert json.loads(cli("wait", "o2", "--json").json["serializedOutput"]) == {"charged": 5}
    assert "rerun_of=o1" in cli("history", "o2").out


def test_describe_says_what_is_awaited(cli):
    started(cli, "approval", "--id", "d1")
    told = cli("describe", "d1")
    assert "awaits         event decision, since 20" in told.out
    assert "shop.py:" in told.out


def test_history_shows_each_event_on_a_line(cli):
    started(cli, "order", "--id", "h1", "--input", '{"amount": 1}', "--wait")
    lines = cli("history", "h1").out.split("\n")
    kinds = [line.split()[3] for line in lines if line[:1].isdigit()]
    assert kinds == ["WorkflowStarted", "ActivityScheduled", "ActivityCompleted", "WorkflowCompleted"]
    events = cli("history", "h1", "--json").json["events"]
    assert [each["seq"] for each in events] == [1, 2, 3, 4]


def test_list_filters_and_pages(cli):
    for number in range(3):
        started(cli, "approval", "--id", f"l-{number}")

    def listed(*options):
        return [each["instanceID"] for each in cli("list", "--prefix", "l-", "--json", *options).json["instances"]]

    until(lambda: len(listed()) == 3)
    first = cli("list", "--prefix", "l-", "--limit", "2", "--json").json
    rest = cli("list", "--prefix", "l-", "--limit", "2", "--json", "--page", first["next"]).json
    assert [each["instanceID"] for each in first["instances"] + rest["instances"]] == ["l-2", "l-1", "l-0"]
    assert rest["next"] == ""
    assert listed("--name", "order") == []
    assert len(listed("--name", "order", "--name", "approval", "--status", "running", "--status", "failed")) == 3
    assert len(listed("--since", "1h")) == 3
    assert listed("--until", "1h") == []
    assert listed("--since", "2999-01-01T00:00:00Z") == []


def test_a_list_for_people_is_a_table_and_says_that_there_is_more(cli):
    for number in range(2):
        started(cli, "approval", "--id", f"m-{number}")
    told = until(lambda: (found := cli("list", "--prefix", "m-", "--limit", "1")).err and found)
    assert told.out.split("\n")[0].split() == ["INSTANCE", "WORKFLOW", "STATUS", "CREATED", "UPDATED"]
    assert "--page " in told.complaint


def test_a_delayed_start_is_pending(cli):
    started(cli, "order", "--id", "later", "--at", "1h", "--input", '{"amount": 1}')
    assert status(cli, "later") == "PENDING"
    assert cli("terminate", "later").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("start", "nix"), 3, "'nix'"),
        (("start", "order", "--id", "a b"), 2, "letters, digits, - and _"),
        (("start", "order", "--id", "x" * 65), 2, "65 characters"),
        (("start", "order", "--input", "{"), 2, "line 1, column 2"),
        (("start", "order", "--input", '"' + "x" * 1_100_000 + '"'), 2, "pass a reference"),
        (("start", "order", "--at", "soon"), 2, "--at"),
        (("wait", "nix"), 3, "perdure list"),
        (("describe", "nix"), 3, "'nix'"),
        (("history", "nix"), 3, "'nix'"),
        (("raise-event", "nix", "decision"), 3, "'nix'"),
        (("raise-event", "nix", "decision", "--data", "yes"), 2, """'"yes"'"""),
        (("pause", "nix"), 3, "'nix'"),
        (("purge", "nix"), 3, "'nix'"),
        (("rerun", "nix"), 3, "'nix'"),
        (("list", "--status", "done"), 2, "COMPLETED"),
        (("list", "--page", "nix"), 2, "nix"),
    ],
)
def test_a_mistake_is_one_line_and_its_code(cli, arguments, code, told):
    result = cli(*arguments)
    assert (result.code, result.out) == (code, "")
    assert result.complaint.startswith("perdure: ")
    assert told in result.complaint


def test_an_active_id_conflicts_and_a_finished_instance_takes_no_event(cli):
    started(cli, "approval", "--id", "c1")
    assert cli("start", "approval", "--id", "c1").code == 5
    assert cli("purge", "c1").code == 5
    assert cli("terminate", "c1").code == 0
    assert cli("raise-event", "c1", "decision").code == 5


def test_a_payload_cannot_steer_the_terminal(cli):
    started(cli, "approval", "--id", "x1")
    cli("raise-event", "x1", "decision", "--data", json.dumps("\x1b[31m\u009b2J [red]"))
    told = cli("wait", "x1")
    assert "\x1b" not in told.out
    assert "\u009b" not in told.out
    assert "[red]" in told.out
