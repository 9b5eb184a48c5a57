"""`perdure dead-letters`: against the engine of this process, and against its file."""

import base64

import pytest

from perdure.cli import letters as command
from perdure.codec.avro import encode
from perdure.core.commands import StartWorkflow
from perdure.core.names import Topics
from perdure.ports.log import Outgoing
from tests.cli.terminal import until

TOPICS = Topics("perdure")


@pytest.fixture
def bury(engine, cli):
    """`bury(key, value)`: the id of the letter that it has become."""

    def buried(key, value=b"no command", headers=()):
        out = Outgoing(TOPICS.instances, 0, key.encode(), value, tuple(headers))
        engine.portal.call(engine.engine.ports.log.append, [out])
        found = until(lambda: cli("dead-letters", "list", "--instance", key, "--json").json["letters"])
        return found[-1]["id"]

    return buried


def test_a_letter_is_listed_and_shown_and_control_characters_of_strangers_are_not_obeyed(cli, bury):
    letter = bury("l1", b"\x1b[31mred", [("h", b"\x07bell")])
    row = next(line for line in cli("dead-letters", "list").out.splitlines() if line.startswith(f"{letter} "))
    assert "perdure.instances/0/" in row
    shown = cli("dead-letters", "show", letter)
    assert "\\x1b[31mred" in shown.out
    assert "\x1b" not in shown.out
    assert "\x07" not in shown.out
    as_json = cli("dead-letters", "show", letter, "--json").json
    assert base64.b64decode(as_json["value"]) == b"\x1b[31mred"


def test_a_record_of_ours_is_shown_by_its_fields(cli, bury):
    letter = bury("l2", encode(StartWorkflow("no-such-workflow", '{"id": 7}')))
    shown = cli("dead-letters", "show", letter).out
    assert "StartWorkflow" in shown
    assert '{"id": 7}' in shown
    assert "no-such-workflow" in cli("dead-letters", "list", "--reason", "NO-SUCH").out


def test_a_file_says_the_same_as_its_engine(cli, bury, database):
    letter = bury("l3")
    for arguments in (("show", letter), ("show", letter, "--json"), ("list", "--instance", "l3", "--json")):
        assert cli("dead-letters", *arguments, "--db", str(database)).out == cli("dead-letters", *arguments).out
    cli("dead-letters", "drop", letter, "--by", "ann")
    assert "by        ann" in cli("dead-letters", "show", letter, "--db", str(database)).out
    assert cli("dead-letters", "list", "--instance", "l3", "--db", str(database), "--json").json["letters"] == []
    assert cli("dead-letters", "show", "0-999999", "--db", str(database)).code == 3
    assert cli("dead-letters", "list", "--db", str(database), "--endpoint", "http://127.0.0.1:1").code == 2


def test_all_that_fit_are_replayed_once_and_those_that_fail_again_are_left_for_the_next_time(cli, bury, monkeypatch):
    monkeypatch.setattr(command, "PORTION", 2)
    for number in range(5):
        bury("l4", b"still no command %d" % number)
    told = cli("dead-letters", "replay", "--all", "--instance", "l4", "--json")
    assert told.code == 0
    assert [each["state"] for each in told.json["letters"]] == ["replayed"] * 5
    assert "5 letters so far, 0 of them refused" in told.err
    again = until(
        lambda: (found := cli("dead-letters", "list", "--instance", "l4", "--json").json["letters"])[4:] and found
    )
    assert {each["replayOf"] for each in again} == {each["id"] for each in told.json["letters"]}
    assert cli("dead-letters", "drop", "--all", "--instance", "l4", "--limit", "3").out.count(" dropped") == 3
    assert cli("dead-letters", "drop", "--all", "--instance", "l4").out.count(" dropped") == 2
    assert "no open dead letter fits" in cli("dead-letters", "drop", "--all", "--instance", "l4").err


def test_what_is_refused_is_told_and_has_its_code(cli, bury):
    first, second = bury("l5", b"a"), bury("l6", b"b")
    assert cli("dead-letters", "drop", first).out == f"{first} dropped\n"
    told = cli("dead-letters", "drop", first, second)
    assert (told.code, told.out) == (5, f"{second} dropped\n")
    assert "dropped already" in told.err
    assert cli("dead-letters", "replay", "0-999999").code == 3
    assert cli("dead-letters", "show", "0-999999").code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay",), ("drop",), ("replay", "x"), ("show", "x"), ("replay", "0-1", "--all"), ("replay", "--reason", "x"),
        ("drop", "0-1", "--instance", "x"), ("list", "--state", "lost"), ("list", "--page", "x"), ("nix",),
    ],
)  # fmt: skip
def test_what_is_wrong_on_the_command_line_is_2(engine, cli, arguments):
    assert cli("dead-letters", *arguments).code == 2


def test_ctrl_c_ends_between_portions_and_tells_how_far_it_came(cli, bury, monkeypatch):
    monkeypatch.setattr(command, "PORTION", 1)
    for number in range(3):
        bury("l7", b"%d" % number)
    tell, told = command._tell, []

    def interrupted(some):
        tell(some)
        told.append(some)
        if len(told) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(command, "_tell", interrupted)
    ended = cli("dead-letters", "drop", "--all", "--instance", "l7")
    assert ended.code == 130
    assert "stopped after 2 letters" in ended.err
    assert len(cli("dead-letters", "list", "--instance", "l7", "--json").json["letters"]) == 1
