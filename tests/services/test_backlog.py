"""What waits where nobody reads: told by who is there, asked of the log seldom, and left out rather than wrong."""

import asyncio

import pytest
import structlog

from perdure.ports.errors import LogUnavailable
from perdure.ports.log import Outgoing, TopicSpec
from perdure.roles.subscriptions.register import add, remove
from perdure.roles.subscriptions.subscription import subscription_of
from perdure.services import backlog
from perdure.services.backlog import Backlog
from tests.conformance.facts import Listener
from tests.services.reading import MemoryGroups
from tests.services.worlds import TOPICS

MAIL = TOPICS.activities("mail")
FIELDS = {"topic": "numbers", "workflow": "doubled", "instance_id": "key"}


class Watched:
    """A namespace, and what is told of it. `later` lets the time pass until it is asked again."""

    def __init__(self, world):
        self.log = world.ports.log
        self.groups = MemoryGroups(self.log)
        self.backlog = Backlog(self.log, TOPICS, self.groups)

    async def told(self):
        self.later()
        return {
            (each.name.removeprefix("perdure_group_"), *each.labels): each.value
            for each in await self.backlog.samples()
        }

    def later(self, seconds=backlog.LOOK_SECONDS):
        self.backlog._looked -= seconds
        self.backlog._listed -= seconds


@pytest.fixture
async def watched(world):
    await world.ports.log.create_topics([TopicSpec(MAIL, 2)])
    return Watched(world)


async def test_the_lag_of_a_queue_is_from_what_is_stored_or_else_from_the_start_whether_or_not_anybody_is_there(
    watched,
):
    await watched.log.append([Outgoing(MAIL, number, b"k", b"v") for number in (0, 0, 0, 1)])
    await watched.log.delete_before(MAIL, 0, 1)
    there = ("lag_records", "perdure.activity-worker.mail")
    assert (await watched.told())[there] == 3
    member = await watched.log.join("perdure.activity-worker.mail", [MAIL], Listener())
    await member.reader(MAIL, 0).commit(2)
    assert (await watched.told())[there] == 2
    await member.leave()
    assert (await watched.told())[there] == 2
    assert (await watched.told())["lag_records", "perdure.activity-worker"] == 0


async def test_what_was_deleted_beyond_a_position_is_no_lag(watched):
    await watched.log.append([Outgoing(MAIL, 0, b"k", b"v")] * 5)
    member = await watched.log.join("perdure.activity-worker.mail", [MAIL], Listener())
    await member.reader(MAIL, 0).commit(1)
    await watched.log.delete_before(MAIL, 0, 4)
    assert (await watched.told())["lag_records", "perdure.activity-worker.mail"] == 1


async def test_members_are_those_that_are_there_now(watched):
    there = ("members", "perdure.activity-worker")
    assert (await watched.told())[there] == 0
    member = await watched.log.join("perdure.activity-worker", [TOPICS.activities()], Listener())
    assert (await watched.told())[there] == 1
    await member.leave()
    assert (await watched.told())[there] == 0


async def test_a_subscription_is_told_of_while_it_is_declared(watched):
    await watched.log.create_topics([TopicSpec("numbers", 1)])
    await add(watched.log, TOPICS, [subscription_of("s", FIELDS)])
    assert (await watched.told())["members", "perdure.subscription.s"] == 0
    await remove(watched.log, TOPICS, "s")
    assert ("members", "perdure.subscription.s") not in await watched.told()


async def test_a_namespace_from_before_subscriptions_has_none(watched):
    del watched.log.broker._topics[TOPICS.subscriptions]
    assert ("members", "perdure.activity-worker") in await watched.told()


async def test_it_asks_once_in_its_time_however_often_it_is_asked(watched):
    first, *others = await asyncio.gather(*(watched.backlog.samples() for _ in range(5)))
    asked = len(watched.groups.asked)
    assert first and others == [first] * 4
    assert sorted(each[0] for each in watched.groups.asked) == [
        "bounds", "members", "members", "stored", "stored", "topics",
    ]  # fmt: skip
    watched.later(backlog.LOOK_SECONDS - 1)
    await watched.backlog.samples()
    assert len(watched.groups.asked) == asked
    await watched.told()
    assert len(watched.groups.asked) == 2 * asked - 1  # which queues there are is asked less often


async def test_a_queue_that_is_added_is_told_of_in_time(watched):
    await watched.told()
    await watched.log.create_topics([TopicSpec(TOPICS.activities("new"), 2)])
    assert ("lag_records", "perdure.activity-worker.new") not in await watched.told()
    watched.later(backlog.QUEUES_SECONDS)
    assert (await watched.told())["lag_records", "perdure.activity-worker.new"] == 0


async def test_what_may_not_be_looked_at_is_left_out_and_said_once(watched):
    watched.groups.forbidden = {"perdure.activity-worker"}
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            found = await watched.told()
            assert {place[1] for place in found} == {"perdure.activity-worker.mail"}
    said = [each for each in logs if each["log_level"] == "warning"]
    assert [(each["what"], "perdure bootstrap --print" in each["reason"]) for each in said] == [
        ("perdure.activity-worker", True)
    ]


async def test_nothing_is_told_while_the_log_does_not_answer_and_not_what_was_true_before(watched, monkeypatch):
    assert await watched.told()
    watched.groups.failure = LogUnavailable("away")
    assert await watched.told() == {}
    watched.groups.failure, watched.groups.silent = None, True
    monkeypatch.setattr(backlog, "ANSWER_SECONDS", 0.01)
    assert await watched.told() == {}
    watched.groups.silent = False
    monkeypatch.undo()
    assert await watched.told()


async def test_a_group_that_nobody_answers_for_takes_nothing_from_the_others(watched, monkeypatch):
    monkeypatch.setattr(backlog, "ANSWER_SECONDS", 0.01)
    whole = await watched.told()
    watched.groups.silent_of = "perdure.activity-worker.mail"
    mail = {place for place in whole if place[1] == "perdure.activity-worker.mail"}
    assert len(mail) == 2
    assert (await watched.told()).keys() == whole.keys() - mail
    watched.groups.silent_of = None
    assert await watched.told() == whole


async def test_a_queue_that_is_deleted_is_forgotten_at_the_next_look_and_members_are_told_meanwhile(watched):
    whole = await watched.told()
    del watched.log.broker._topics[MAIL]
    found = await watched.told()
    assert ("members", "perdure.activity-worker") in found
    assert ("lag_records", "perdure.activity-worker") not in found
    again = await watched.told()
    assert again.keys() == {place for place in whole if place[1] == "perdure.activity-worker"}


async def test_a_log_of_one_process_tells_nothing(world):
    assert await Backlog(world.ports.log, TOPICS, None).samples() == []
