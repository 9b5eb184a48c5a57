"""Who may raise a namespace's write version, and when; and how processes and clients hear of it."""

import asyncio
import json
import re

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import memory_ports
from perdure.cli.program import program
from perdure.client.connecting_transport import ConnectingTransport
from perdure.client.errors import UpgradeNeeded
from perdure.codec.encoder import Encoder
from perdure.codec.versions import marked, newest, schemas_of
from perdure.core.commands import StartWorkflow
from perdure.core.names import Topics
from perdure.ports.errors import LogUnavailable, TopicMissing
from perdure.ports.log import Outgoing
from perdure.services import upgrade as upgrades
from perdure.services import upgrading, write_version
from perdure.services.groups import Member, is_group_of
from perdure.services.layout import layout_topic, read_layout
from perdure.services.plan import access_of
from perdure.services.upgrade import Found, Upgrade
from perdure.services.write_version import learn_write_version
from tests.services.worlds import TOPICS, World

OLD = Member("perdure.timer", "perdure-timer-pod-1-7", "10.0.0.7", 1)
NEW = Member("perdure.timer", marked("perdure-timer-pod-2-8"), "10.0.0.8", newest())


class Groups:
    """Who is there, look after look; the last answer stays."""

    def __init__(self, *looks):
        self.looks = list(looks)

    async def members(self, topics):
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


@pytest.fixture
async def world():
    made = World(log="kafka://unused:9092", store="cassandra://unused:9042/perdure")
    yield made
    await made.close()


@pytest.fixture
async def held(world):
    """Bootstrapped by the release that wrote version 1."""
    await world.bootstrap()
    return world.ports.log


async def recorded(log):
    return (await read_layout(log, TOPICS)).writes


# -- who is asked --------------------------------------------------------------------------------------------


def test_every_group_that_reads_the_namespace_is_asked_and_no_other():
    topics = Topics("shop")
    asked = [
        "orchestrator",
        "timer",
        "activity-worker",
        "activity-worker.gpu",
        "client.3f",
        "subscriber",
        "subscription.x",
    ]
    assert all(is_group_of(topics, f"shop.{each}") for each in asked)
    others = ["shop", "shop.accounting", "shopping.timer", "other.timer", "shop.timers", "myshop.client.1"]
    assert not any(is_group_of(topics, each) for each in others)


def test_the_rights_are_told():
    rights = {
        (each.kind, each.name, each.prefixed, each.operations)
        for each in access_of(TOPICS)
        if each.principal == "upgrade"
    }
    assert rights == {
        ("topic", "perdure.layout", False, "Read,Write"),
        ("group", "perdure.", True, "Describe"),
    }


# -- what is recorded ----------------------------------------------------------------------------------------


async def test_nothing_is_recorded_while_one_member_is_behind(held):
    found = await Upgrade(held, TOPICS, Groups([NEW, OLD])).run()
    assert (found.is_done, found.behind) == (False, [OLD])
    assert await recorded(held) == 1


async def test_once_all_read_it_the_new_version_is_recorded_and_twice_is_harmless(held):
    for _ in range(2):
        found = await Upgrade(held, TOPICS, Groups([NEW])).run()
        assert found.is_done
    assert await recorded(held) == newest()
    assert (await held.bounds(layout_topic(TOPICS), 0))[1] == 2  # bootstrap's, and one


async def test_two_at_once_are_harmless(held):
    both = await asyncio.gather(*(Upgrade(held, TOPICS, Groups([NEW])).run() for _ in range(2)))
    assert all(each.is_done for each in both)
    assert await recorded(held) == newest()


async def test_it_waits_for_who_is_behind(held, monkeypatch):
    monkeypatch.setattr(upgrades, "LOOK_AGAIN_SECONDS", 0.01)
    found = await Upgrade(held, TOPICS, Groups([OLD], [OLD, NEW], [NEW])).run(wait_seconds=30)
    assert found.is_done


async def test_who_joined_meanwhile_is_named(held):
    found = await Upgrade(held, TOPICS, Groups([NEW], [NEW, OLD])).run()
    assert (found.is_done, found.behind) == (True, [OLD])


async def test_a_check_records_nothing(held):
    await Upgrade(held, TOPICS, Groups([NEW])).look()
    assert await recorded(held) == 1


async def test_a_namespace_that_was_not_bootstrapped_is_not_upgraded(world):
    with pytest.raises(TopicMissing):
        await Upgrade(world.ports.log, TOPICS, Groups([NEW])).run()


# -- the command ---------------------------------------------------------------------------------------------


def told(monkeypatch, found, *options):
    monkeypatch.setenv("PERDURE_LOG", "kafka://unused:9092")
    monkeypatch.setattr(upgrading, "upgraded", lambda settings, **_: found)
    return CliRunner().invoke(program, ["upgrade", *options])


@pytest.mark.parametrize(
    ("found", "options", "code", "said"),
    [
        (Found(2, 2, [NEW]), (), 0, "is at write version 2 of 2, as this release writes"),
        (Found(1, 2, [NEW]), ("--check",), 0, "is at write version 1 of 2, and may be raised"),
        (
            Found(1, 2, [NEW, OLD]),
            (),
            5,
            r"stays at write version 1: perdure-timer-pod-1-7 at 10\.0\.0\.7 .* reads only 1",
        ),
        (Found(1, 2, [OLD]), ("--wait", "3"), 6, "after 3 s"),
        (Found(2, 2, [OLD]), (), 5, "end it at once"),
        (Found(1, 2, [OLD] * 99), (), 5, "and 89 more"),
    ],
)
def test_what_was_found_is_told_and_the_exit_code_says_which(monkeypatch, found, options, code, said):
    ran = told(monkeypatch, found, *options)
    assert ran.exit_code == code
    assert re.search(said, ran.output)
    assert found.members[0].client in ran.output


def test_it_tells_a_program_in_json(monkeypatch):
    ran = told(monkeypatch, Found(2, 2, [NEW]), "--json")
    assert json.loads(ran.stdout)["members"][0]["reads"] == newest()


# -- how it is heard of --------------------------------------------------------------------------------------


def held_ports(world, kept):
    async def opened(settings, role, owner):
        ports = memory_ports(SystemClock(), SystemEntropy(), beside=world.ports)
        ports.encode = Encoder(1)
        kept.append(ports)
        return ports

    return opened


async def until(fact):
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0.01)


async def test_a_running_service_is_raised_and_one_that_starts_later_begins_there(held, world, monkeypatch):
    monkeypatch.setattr(write_version, "LOOK_SECONDS", 0.02)
    kept = []
    await world.up("orchestrator", open_ports=held_ports(world, kept))
    assert kept[0].encode.version == 1
    await Upgrade(held, TOPICS, Groups([NEW])).run()
    await until(lambda: kept[0].encode.version == newest())
    await world.up("timer", open_ports=held_ports(world, kept))
    assert kept[1].encode.version == newest()


async def test_a_service_goes_on_while_the_log_does_not_tell(held, world, monkeypatch):
    monkeypatch.setattr(write_version, "LOOK_SECONDS", 0.02)
    kept, asked = [], []
    process = await world.up("timer", open_ports=held_ports(world, kept))

    async def away(log, topics):
        asked.append(topics)
        raise LogUnavailable("Kafka is away")

    with monkeypatch.context() as patched, capture_logs():
        patched.setattr(write_version, "read_layout", away)
        await until(lambda: len(asked) > 3)
    assert not process.ending.done()
    await Upgrade(held, TOPICS, Groups([NEW])).run()
    await until(lambda: kept[0].encode.version == newest())


async def test_a_service_ends_by_name_where_a_later_release_has_upgraded(held, world, monkeypatch):
    monkeypatch.setattr(write_version, "LOOK_SECONDS", 0.02)
    process = await world.up("timer", open_ports=held_ports(world, []))
    said = {"partitions": 2, "form": 2, "writes": newest() + 1, "release": "9.9.9"}
    await held.append([Outgoing(layout_topic(TOPICS), 0, b"perdure", json.dumps(said).encode())])
    await asyncio.wait({process.ending}, timeout=30)
    with pytest.raises(Exception, match=r"run release 9\.9\.9"):
        process.ending.result()
    with pytest.raises(Exception, match=r"run release 9\.9\.9"):
        await world.up("timer", open_ports=held_ports(world, []))


async def test_a_client_over_the_log_writes_what_the_namespace_reads_and_hears_of_its_upgrade(held, world):
    async def connect():
        return memory_ports(SystemClock(), SystemEntropy(), beside=world.ports).log

    await world.up("orchestrator")
    transport = ConnectingTransport(connect, TOPICS, SystemEntropy(), SystemClock(), learn_write_version)
    try:
        await transport.send("a", StartWorkflow("doubled", "1"))
        with pytest.raises(UpgradeNeeded, match=r"reuse_id of StartWorkflow .* `perdure upgrade`"):
            await transport.send("b", StartWorkflow("doubled", "1", reuse_id="ended"))
        await Upgrade(held, TOPICS, Groups([NEW])).run()
        await transport.send("b", StartWorkflow("doubled", "1", reuse_id="ended"))
    finally:
        await transport.close()
    starts = [
        record.value[2:10].hex()
        for number in range(2)
        for record in await held.fetch(TOPICS.instances, number, 0, 100)
        if record.key in (b"a", b"b") and b"doubled" in record.value
    ]
    assert sorted(starts) == sorted(schemas_of(version)["StartWorkflow"].fingerprint for version in (1, 2))
