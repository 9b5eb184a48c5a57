"""`perdure subscriptions` on a log in memory: what is added, tried, listed, removed, and how each mistake ends."""

import json

import pytest

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.adapters.system import SystemClock
from perdure.cli.exits import Exit
from perdure.ports.log import TopicSpec
from perdure.services import declaring
from tests.cli.terminal import run_cli

ORDERS = ("orders", "--topic", "shop.orders", "--workflow", "buy", "--instance-id", "value.id")
FILE = """
[subscriptions.a]
topic = "shop.orders"
workflow = "buy"
instance_id = "value.id"

[subscriptions.b]
topic = "shop.orders"
event = "paid"
instance_id = "key"
"""


@pytest.fixture(autouse=True)
def broker(monkeypatch):
    """What PERDURE_LOG leads to; bootstrapped."""
    monkeypatch.setenv("PERDURE_LOG", "kafka://127.0.0.1:9")
    monkeypatch.setattr(declaring, "configure_logs", lambda **_: None)
    monkeypatch.setattr(declaring, "take_library_logs", lambda _: None)
    made = MemoryBroker(SystemClock())
    made.create_topics([TopicSpec("perdure.subscriptions", 1), TopicSpec("shop.orders", 2)])

    async def connected(settings, client_id):
        return MemoryLog(made, client_id)

    monkeypatch.setattr(declaring, "kafka_log", connected)
    return made


def subscriptions(*arguments, stdin=""):
    return run_cli("subscriptions", *arguments, stdin=stdin)


def test_it_is_added_changed_listed_and_removed():
    assert subscriptions("add", *ORDERS).out == "orders added\n"
    assert subscriptions("add", *ORDERS).out == "orders unchanged\n"
    assert subscriptions("add", *ORDERS, "--when", "value.paid", "--json").json == {
        "added": [], "changed": ["orders"], "unchanged": [],
    }  # fmt: skip
    assert subscriptions("list").out.splitlines() == [
        "NAME    TOPIC        MAKES       INSTANCE ID  WHEN        FORMAT  FROM",
        "orders  shop.orders  starts buy  value.id     value.paid  json    command",
    ]
    (listed,) = subscriptions("list", "--json").json["subscriptions"]
    assert listed == {
        "name": "orders", "topic": "shop.orders", "workflow": "buy", "instance_id": "value.id", "input": "value",
        "when": "value.paid", "format": "json", "begin": "now", "from": "command",
    }  # fmt: skip
    assert subscriptions("remove", "orders").out == "orders removed\n"
    assert subscriptions("list", "--json").json == {"subscriptions": [], "faults": {}}
    gone = subscriptions("remove", "orders")
    assert (gone.code, gone.complaint) == (
        Exit.NOT_FOUND,
        "perdure: there is no subscription 'orders'; there are: none",
    )


def test_a_file_is_added_whole_or_one_of_it(tmp_path):
    file = tmp_path / "subscriptions.toml"
    file.write_text(FILE, encoding="utf-8")
    assert subscriptions("add", "b", "--file", str(file)).out == "b added\n"
    assert subscriptions("add", "--file", str(file)).out == "a added\nb unchanged\n"
    assert subscriptions("add", "c", "--file", str(file)).code == Exit.NOT_FOUND
    assert subscriptions("add", "--file", str(tmp_path / "none")).code == Exit.NOT_FOUND
    both = subscriptions("add", "--file", str(file), "--topic", "x")
    assert (both.code, "leave the other options out" in both.complaint) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[subscriptions.a]\ntopic =", "subscriptions.toml: Invalid value"),
        ("[other.a]", "'other' is no table [subscriptions.NAME]"),
        ("subscriptions = 7", "'subscriptions' is no table [subscriptions.NAME]"),
        ("[subscriptions]\na = 7", "'subscriptions.a' is no table"),
        (FILE + "inputt = 'value'", "subscription 'b': 'inputt' is nothing that a subscription has"),
        (FILE + "when = 'value..a'", "subscription 'b': when is no JMESPath"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_told_and_nothing_of_it_is_added(tmp_path, text, told):
    file = tmp_path / "subscriptions.toml"
    file.write_text(text, encoding="utf-8")
    done = subscriptions("add", "--file", str(file))
    assert (done.code, told in done.complaint) == (Exit.USAGE, True), done.err
    assert len(done.err.splitlines()) == 1
    assert subscriptions("list", "--json").json["subscriptions"] == []


def test_a_topic_that_is_not_there_is_told_and_it_is_added_all_the_same():
    done = subscriptions("add", "later", "--topic", "shop.later", "--event", "e", "--instance-id", "key")
    assert (done.code, done.out) == (Exit.OK, "later added\n")
    assert done.complaint == "perdure: topic shop.later does not exist, or may not be read: subscribers wait for it"


def test_a_message_is_tried_and_nothing_is_added(tmp_path):
    message = tmp_path / "message.json"
    message.write_text(json.dumps({"key": "k", "value": {"id": "7", "n": 1}}), encoding="utf-8")
    tried = subscriptions("add", *ORDERS, "--try", f"@{message}")
    assert tried.out == 'would start  buy\ninstance     7\ninput        {"id":"7","n":1}\n'
    raised = subscriptions(
        "add", "e", "--topic", "t", "--event", "paid", "--instance-id", "key", "--try", f"@{message}", "--json"
    )
    assert raised.json == {"raise": "paid", "instanceID": "k", "input": {"id": "7", "n": 1}}
    passed = subscriptions("add", *ORDERS, "--when", "value.n == `2`", "--try", "-", stdin=message.read_text())
    assert passed.out == "this message would be passed over: when does not give true\n"
    assert subscriptions("list", "--json").json["subscriptions"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--topic", "t"), "a subscription has a name"),
        (("orders", "--topic", "t"), "give one of workflow and event"),
        ((*ORDERS, "--schema", "nowhere.avsc"), "--schema nowhere.avsc cannot be read"),
        ((*ORDERS, "--begin", "soon"), "begin 'soon' is not one of now, beginning"),
        ((*ORDERS, "--try", '{"id": 7}'), "'id' is none of them. A value alone is {\"value\": …}"),
        ((*ORDERS, "--try", "7"), "--try takes a message as expressions see it"),
        ((*ORDERS, "--try", "{"), "--try is no JSON"),
        ((*ORDERS, "--try", '{"value": {"id": 7}}'), "would go to the dead letters: instance_id gave 7, not text"),
        (("x", "--topic", "perdure.history", "--event", "e", "--instance-id", "key"), "is the engine's own"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_added(arguments, told):
    done = subscriptions("add", *arguments)
    assert done.code in (Exit.USAGE, Exit.NOT_FOUND)
    assert told in done.complaint, done.err
    assert subscriptions("list", "--json").json["subscriptions"] == []


def test_a_namespace_from_before_is_told_to_be_bootstrapped_again(monkeypatch):
    monkeypatch.setenv("PERDURE_NAMESPACE", "older")
    for arguments in (("add", *ORDERS), ("list",), ("remove", "orders")):
        done = subscriptions(*arguments)
        assert done.code == Exit.UNREACHABLE
        assert "`perdure bootstrap`, run again, makes what is missing" in done.complaint


def test_without_a_log_the_setting_is_named(monkeypatch):
    monkeypatch.delenv("PERDURE_LOG")
    done = subscriptions("list")
    assert (done.code, "PERDURE_LOG is not set" in done.complaint) == (Exit.USAGE, True)
