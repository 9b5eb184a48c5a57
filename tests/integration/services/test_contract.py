"""The public contract on real brokers, kept by programs that know nothing of ours but the schemas.

Who reads topics here reads them as a stranger would; what the engine says of itself is asked of the gateway.
"""

from __future__ import annotations

import collections
import io
import itertools
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys

import fastavro
import httpx
import pytest
from aiokafka.partitioner import murmur2
from confluent_kafka import Producer

from tests.documents.markdown import blocks, text_of
from tests.integration.services.outsiders import (
    EXAMPLES,
    PARTITIONS,
    SCHEMAS,
    Served,
    environ_of_an_outsider,
    example,
    java,
    python,
    shell,
)
from tests.integration.services.test_separate_processes import wait_until

pytestmark = pytest.mark.slow

NUMBERS = itertools.count()
JSON = ("content-type", b"application/json")
ENDS = {"WorkflowCompleted", "WorkflowFailed", "WorkflowTerminated"}


@pytest.fixture(scope="module")
def served(kafka_address, cassandra_address, tmp_path_factory):
    namespace = f"t{os.getpid()}x{os.urandom(3).hex()}contract"
    made = Served(kafka_address, cassandra_address, namespace, tmp_path_factory.mktemp("contract"))
    try:
        yield made.begin()
    finally:
        made.end()


@pytest.fixture(scope="module")
def avro():
    """`avro(name, **fields)`: a command as the first example frames it."""
    module = example("aiokafka_fastavro")

    def made(record, /, **fields):
        return module.command(SCHEMAS, record, **fields)

    made.known = module.load(SCHEMAS)
    return made


@pytest.fixture
def facts(served, avro):
    """`facts()`: (id, kind, fields) of all events so far."""
    seen = []

    def read():
        for record in served.records(served.history)[len(seen) :]:
            schema = avro.known.get(record.value[:10])
            if schema is None:
                continue  # a stranger's, of a test
            fields = fastavro.schemaless_reader(io.BytesIO(record.value[10:]), schema, None)
            seen.append(((record.key or b"").decode(), schema["name"].rpartition(".")[2], fields, record.partition))
        return seen

    return read


def ends(facts):
    return {key: fields.get("output") for key, kind, fields, _ in facts() if kind in ENDS}


def ended(facts, ids, what):
    """Their outputs, once all have ended."""
    wanted = set(ids)
    wait_until(lambda: wanted <= ends(facts).keys(), what)
    return {key: output for key, output in ends(facts).items() if key in wanted}


def approved(order, by):
    return json.dumps({"reservation": f"r-{order}", "by": by}, separators=(",", ":"))


# -- the examples --------------------------------------------------------------------------------------------


def test_an_example_cannot_import_what_it_does_without():
    assert "No module named 'perdure'" in python("-c", "import perdure", fails=True).stderr
    python("-c", "import aiokafka, fastavro, confluent_kafka")
    for path in EXAMPLES.rglob("*.*"):
        assert "import perdure" not in path.read_text(encoding="utf-8")


def test_aiokafka_and_fastavro_start_approve_and_see_the_end(served):
    told = python("aiokafka_fastavro.py", *served.options, "--schemas", SCHEMAS, "order-a1", "order-a2").stdout
    assert sorted(told.splitlines()) == [
        f"{order} WorkflowCompleted {approved(order, 'aiokafka')}" for order in ("order-a1", "order-a2")
    ]


def test_confluent_in_json_runs_orders_and_a_second_run_changes_nothing(served, facts, avro):
    orders = [f"order-c{number}" for number in range(8)]
    for _ in range(2):
        assert "16 commands are in the log" in python("confluent_producer.py", *served.options, *orders).stdout
        found = ended(facts, orders, "the orders of confluent have ended")
        assert found == {order: approved(order, "confluent") for order in orders}
    decided(served, facts, avro)
    starts = [key for key, kind, _, _ in facts() if kind == "WorkflowStarted" and key in orders]
    assert sorted(starts) == orders
    assert [letter for letter in served.letters() if letter[0].key.decode() in orders] == []


def test_java_runs_orders(served, facts, tmp_path):
    orders = [f"order-j{number}" for number in range(3)]
    assert "6 commands are in the log" in java(tmp_path, served.kafka, served.namespace, SCHEMAS, *orders)
    assert ended(facts, orders, "the orders of Java have ended") == {order: approved(order, "java") for order in orders}


def test_the_ten_lines_of_the_page_start_an_order_and_are_run_again_for_nothing(served, facts, avro, tmp_path):
    (code,) = blocks(text_of("docs/kafka.md"), "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    (tmp_path / "start.py").write_text(code)
    for _ in range(2):
        python(tmp_path / "start.py", KAFKA=served.kafka, NAMESPACE=served.namespace)
    decided(served, facts, avro)
    started = [
        fields["command_id"] for key, kind, fields, _ in facts() if (key, kind) == ("order-7", "WorkflowStarted")
    ]
    assert started == ["shop/start/7"]
    assert [letter for letter in served.letters() if letter[0].key == b"order-7"] == []


def test_a_shell_runs_an_order(served, facts, tmp_path):
    shell(tmp_path, served.kafka, served.namespace, "order-s1")
    assert ended(facts, ["order-s1"], "the shell's order has ended") == {"order-s1": approved("order-s1", "shell")}


# -- what is mixed and what is wrong -------------------------------------------------------------------------


def test_two_libraries_and_two_framings_steer_the_same_instances(served, facts, avro):
    """Avro by one starts, JSON by the other raises, in turns; one partitioner for both, so their order is the log's."""
    ids = [f"mixed-{number}" for number in range(20)]
    topic = f"{served.namespace}.instances"
    confluent = Producer({"bootstrap.servers": served.kafka, "partitioner": "murmur2_random", "linger.ms": 0})
    for number in range(4):
        if number == 0:
            served.produce(
                *((None, each.encode(), avro("StartWorkflow", name="parcels", input="3", command_id="s"), ())
                  for each in ids)
            )  # fmt: skip
        elif number == 2:
            served.produce(
                *((None, each.encode(), avro("RaiseEvent", name="parcel", data='"avro"', command_id="e2"), ())
                  for each in ids)
            )  # fmt: skip
        else:
            for each in ids:
                told = {"command": "RaiseEvent", "name": "parcel", "data": f"json {number}", "command_id": f"e{number}"}
                confluent.produce(topic, json.dumps(told), each, headers=[JSON])
            assert confluent.flush(30) == 0
    expected = '["json 1","avro","json 3"]'
    assert ended(facts, ids, "all parcels have come") == dict.fromkeys(ids, expected)


# -- a follower ----------------------------------------------------------------------------------------------

LIVES = 10


def test_a_follower_that_is_killed_anywhere_ends_with_the_table_that_the_gateway_lists(served, facts, avro):
    chance, database = random.Random(7), served.folder / "instances.db"
    arguments = [*served.options, "--schemas", str(SCHEMAS), "--most", "20", str(database)]
    scenes = Scenes(served, facts, avro)
    positions = []
    for life in range(LIVES):
        scenes.play(life)  # so that there is work for it
        aim = read_so_far(database) + chance.randrange(1, 25)
        command = [sys.executable, "-S", "follow_history.py", *arguments]
        follower = subprocess.Popen(command, cwd=EXAMPLES, env=environ_of_an_outsider())
        try:
            wait_until(lambda aim=aim: read_so_far(database) >= aim, "the follower goes on")
        finally:
            follower.send_signal(signal.SIGKILL)
            assert follower.wait(20) == -signal.SIGKILL
        positions.append(read_so_far(database))
    assert positions == sorted(set(positions))
    decided(served, facts, avro)
    later = b"\xc3\x01 of a later version"
    served.produce((None, b"f-stranger", later, ()), (None, b"f-stranger", b"no event", ()), topic="history")
    python("follow_history.py", *arguments, "--once")
    with sqlite3.connect(database) as db:
        assert db.execute("select instance_id, value from unread").fetchall() == [("f-stranger", later)]
    table = table_of(database)
    listed = {}

    def stored():
        listed.clear()
        listed.update(gateway_list(served))
        return listed.keys() == table.keys() and all(
            listed[key]["events"] == row["events"] for key, row in table.items()
        )

    try:
        wait_until(stored, "the store has all of it")
    finally:
        assert table == listed
    assert {row["status"] for row in table.values()} == {
        "RUNNING", "COMPLETED", "FAILED", "TERMINATED", "SUSPENDED", "PENDING",
    }  # fmt: skip
    assert {row["generation"] for row in table.values()} == {0, 1, 2}


def test_a_follower_says_that_history_is_gone_which_it_has_not_seen(served, tmp_path):
    database = tmp_path / "old.db"
    python("follow_history.py", *served.options, "--schemas", SCHEMAS, "--once", database)
    with sqlite3.connect(database) as db:
        db.execute("update positions set next_offset = 1000000000")
    told = python("follow_history.py", *served.options, "--schemas", SCHEMAS, database, fails=True).stderr
    assert "history that this table has not seen is gone" in told


class Scenes:
    """What happens to instances whose ids begin with f-: in each life of the follower some more."""

    def __init__(self, served, facts, avro):
        self._served, self._facts, self._avro = served, facts, avro

    def play(self, life):
        send, avro = self._send, self._avro
        ids = [f"f-{life}-{number}" for number in range(8)]
        plain, failing, stopped, paused, running, later, purged, again = ids
        for each in (plain, purged, again):
            send(each, avro("StartWorkflow", name="echo", input='"zażółć"'))
        send(failing, avro("StartWorkflow", name="failing"))
        send(running, avro("StartWorkflow", name="rounds", input="2"))
        send(later, avro("StartWorkflow", name="echo", start_at_us=4_000_000_000_000_000))
        for each in (stopped, paused):
            send(each, avro("StartWorkflow", name="parcels", input="9"))
        send(stopped, avro("TerminateWorkflow", output='"enough"'))
        send(paused, avro("SuspendWorkflow"), avro("RaiseEvent", name="parcel", data="1"))
        for _ in range(life % 3):
            send(running, avro("RaiseEvent", name="go"), avro("RaiseEvent", name="nobody waits"))
        ended(self._facts, [plain, failing, purged, again, stopped], f"life {life}")
        send(purged, avro("PurgeWorkflow"))
        send(again, avro("StartWorkflow", name="echo", input="2", reuse_id="ended", command_id="again"))

    def _send(self, key, *commands):
        self._served.produce(*((None, key.encode(), command, ()) for command in commands))


def read_so_far(database):
    if not database.exists():
        return 0
    with sqlite3.connect(database, timeout=20) as db:
        try:
            return db.execute("select sum(next_offset) from positions").fetchone()[0] or 0
        except sqlite3.OperationalError:
            return 0  # it has not made its tables yet


COLUMNS = ("run", "generation", "events", "name", "status", "input", "output", "custom_status")


def table_of(database):
    with sqlite3.connect(database) as db:
        rows = db.execute(f"select instance_id, {', '.join(COLUMNS)} from instances where instance_id like 'f-%'")
        return {key: dict(zip(COLUMNS, values, strict=True)) for key, *values in rows}


def gateway_list(served):
    """The same of the instances that the gateway knows."""
    found, page = {}, ""
    while True:
        asked = {"id_prefix": "f-", "limit": 100, "page": page}
        answer = httpx.get(f"{served.told['gateway']['gateway']}/v1/instances", params=asked, timeout=60).json()
        for each in answer["instances"]:
            keys = ("run", "generation", "events", "workflowName", "runtimeStatus", "serializedInput", "serializedOutput", "serializedCustomStatus")  # fmt: skip
            found[each["instanceID"]] = dict(zip(COLUMNS, (each[key] if each[key] is not None else "" for key in keys), strict=True))  # fmt: skip
        page = answer["next"]
        if not page:
            return found


# -- ten thousand -------------------------------------------------------------------------------------------

STARTS, REPEATED, STRANGE, ASTRAY = 10_000, 500, 100, 100


def test_of_ten_thousand_starts_the_valid_run_once_and_the_rest_lies_in_the_dead_letters(served, facts, avro):
    chance = random.Random(6)
    before = len(served.letters())
    ids = [f"start-{number:05}" for number in range(STARTS)]
    records = [started(chance, avro, number, each) for number, each in enumerate(ids)]
    for place in chance.sample(range(STARTS), ASTRAY):
        partition, *rest = records[place]
        assert partition is None
        records[place] = (-1, *rest)  # astray
    strange = [garbage(chance, avro, number) for number in range(STRANGE)]
    mixed = records + chance.sample(records, REPEATED) + [(chance.randrange(PARTITIONS), *each[:3]) for each in strange]
    chance.shuffle(mixed)
    placed = [(astray(key) if partition == -1 else partition, key, *rest) for partition, key, *rest in mixed]
    offsets = served.produce(*placed)

    found = ended(facts, ids, "all that is valid has ended")
    assert found == {each: str(number) for number, each in enumerate(ids)}
    decided(served, facts, avro)
    counts = collections.Counter((key, kind) for key, kind, _, _ in facts() if key.startswith("start-"))
    assert counts == {(each, kind): 1 for each in ids for kind in ("WorkflowStarted", "WorkflowCompleted")}

    reasons = {(key, value): reason for key, value, _, reason in strange}
    letters = served.letters()[before:]
    assert collections.Counter((each.key or b"", each.value) for each, _ in letters) == collections.Counter(
        list(reasons)
    )
    for letter, told in letters:
        assert reasons[letter.key or b"", letter.value] in told
    written = {(place[1], place[2]): at for place, at in zip(placed, offsets, strict=True)}
    for letter, _ in letters:
        told = {name: value.decode() for name, value in letter.headers}
        place = "{}/{}".format(*written[letter.key or b"", letter.value])
        # What was passed on was decided in its home, and says where it came from.
        assert told.get("perdure-forwarded", place) == place
        assert told["perdure-origin"].startswith(f"{served.namespace}.instances/{letter.partition}/")
        if "perdure-forwarded" not in told:
            assert told["perdure-origin"] == f"{served.namespace}.instances/{place}"


def started(chance, avro, number, instance_id):
    """A start in one of two framings, its command id in it or beside it."""
    beside = chance.random() < 0.5
    command_id = f"start/{number}"
    headers = [("perdure-command-id", command_id.encode())] if beside else []
    fields = {"name": "echo", "command_id": "" if beside else command_id}
    if chance.random() < 0.5:
        return None, instance_id.encode(), avro("StartWorkflow", **fields, input=str(number)), headers
    told = json.dumps({"command": "StartWorkflow", **fields, "input": number}).encode()
    return None, instance_id.encode(), told, [JSON, *headers]


def garbage(chance, avro, number):
    """(key, value, headers, a piece of the reason)"""
    key, good = f"strange-{number:03}".encode(), avro("StartWorkflow", name="echo", input=str(number))
    return (
        (key, chance.randbytes(40).replace(b"\xc3", b"x").lstrip(b"\0"), [], "not with c301"),
        (key, good[:2] + chance.randbytes(8) + good[10:], [], "schema fingerprint"),
        (key, good[:-3], [], "not a valid record"),
        (b"", good, [], "key is empty"),
        (b"\xff" + key, good, [], "UTF-8"),
        (key, b'{"command": "StartWorkflow", "name": "echo"', [JSON], "JSON"),
        (key, b'{"command": "StartWorkflow", "name": "echo", "nmae": %d}' % number, [JSON], "nmae"),
        (key, avro("StartWorkflow", name=f"nobody-{number}"), [], "UnknownWorkflow: "),
        (key, avro("RaiseEvent", name=f"early-{number}"), [], "UnknownInstance: "),
        (f"not an id {number}".encode(), good, [], "InvalidInstanceId: "),
    )[number % 10]


def astray(key):
    """A partition that is not its own, by the rule as the contract tells it."""
    return (home(key) + 1) % PARTITIONS


def home(key):
    """Where another library's murmur2 places it."""
    return (murmur2(key) & 0x7FFFFFFF) % PARTITIONS


def decided(served, facts, avro):
    """Returns once everything that was written so far has been decided, what was passed on too: a later command of each
    partition has been, and then another one.
    """
    for _ in range(2):
        keys = {}
        while len(keys) < PARTITIONS:
            key = f"mark-{next(NUMBERS)}".encode()
            keys.setdefault(home(key), key)
        placed = served.produce(*((None, key, avro("StartWorkflow", name="echo"), ()) for key in keys.values()))
        wait_until(lambda placed=placed: marked(facts, placed), "everything that was written is decided")


def marked(facts, placed):
    last = {partition: fields for _, kind, fields, partition in facts() if kind == "BatchCommitted"}
    return all(
        number in last and last[number]["next_offset"] > offset and not last[number]["undecided"]
        for number, offset in placed
    )


# -- order ---------------------------------------------------------------------------------------------------


def test_in_another_hash_than_ours_the_commands_of_an_instance_keep_their_order(served, facts, avro):
    """librdkafka's default is CRC32: with four partitions most come to a wrong one, and are passed on."""
    ids, events = [f"crc-{number}" for number in range(40)], 12
    told, topic = [], f"{served.namespace}.instances"
    producer = Producer({"bootstrap.servers": served.kafka, "enable.idempotence": True})

    def written(_, message):
        told.append((message.key(), message.partition()))

    for number in range(-1, events):  # the start, and then the events, of one instance after the other
        for each in ids:
            value = (
                avro("StartWorkflow", name="parcels", input=str(events), command_id="s")
                if number < 0
                else avro("RaiseEvent", name="parcel", data=str(number))
            )
            producer.produce(topic, value, each, on_delivery=written)
    assert producer.flush(30) == 0
    wrong = {key for key, partition in told if partition != home(key)}
    assert len(wrong) > len(ids) / 2
    assert ended(facts, ids, "all events have come") == dict.fromkeys(
        ids, json.dumps([*range(events)], separators=(",", ":"))
    )
    metrics = httpx.get(f"{served.told['orchestrator']['probes']}/metrics", timeout=20).text
    forwarded = int(float(re.search(r"^perdure_forwarded_total (\S+)$", metrics, re.MULTILINE)[1]))
    assert forwarded >= len(wrong) * (events + 1)
