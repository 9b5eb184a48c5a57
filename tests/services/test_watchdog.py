"""A reader that stands still is found and nothing else is, by the loop's clock; and what a process does about it."""

import asyncio

import pytest

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.ports.errors import LogUnavailable
from perdure.ports.log import GroupListener, Outgoing, TopicSpec
from perdure.services.watchdog import RESTARTS_MAX, RESTARTS_SECONDS, Restarts, Watchdog
from perdure.services.watched import WatchedLog
from perdure.testing.clock import VirtualClock
from perdure.testing.loop import OutOfTime, VirtualLoop
from tests.services.hanging import HangingLog

STALL = 30.0
HOUR = 3_600.0


class Role(GroupListener):
    """Reads what it is given, as fast as `pause` lets it."""

    def __init__(self, log):
        self.log = log
        self.read = 0
        self.pause = 0.0
        self.held = ""
        self.reader = None

    async def on_assigned(self, partitions):
        pass

    async def on_revoked(self, partitions):
        pass

    async def run(self):
        membership = await self.log.join("group", ["t"], self)
        self.reader = membership.reader("t", 0)
        while True:
            if self.held:
                await asyncio.sleep(1)
                continue
            self.read += len(await self.reader.read(1))
            await asyncio.sleep(self.pause)


class World:
    def __init__(self):
        from datetime import datetime

        self.loop = VirtualLoop()
        self.hanging = HangingLog(MemoryLog(MemoryBroker(VirtualClock(self.loop, datetime(2026, 1, 1)))))
        self.log = WatchedLog(self.hanging)
        self.role = Role(self.log)
        self.dog = Watchdog(self.log, lambda topic, partition: self.role.held, STALL)
        self.loop.drive(self.log.create_topics([TopicSpec("t", 1)]))
        self.reading = self.loop.create_task(self.role.run())
        self.watching = self.loop.create_task(self.dog.run())
        self.loop.settle()

    def write(self, count=1):
        self.loop.drive(self.log.append([Outgoing("t", 0, b"k", b"v")] * count))

    def pass_time(self, seconds):
        self.loop.skip_to(self.loop.time() + seconds)

    @property
    def found(self):
        return self.watching.result() if self.watching.done() else ""


@pytest.fixture
def world():
    made = World()
    yield made
    made.loop.kill()
    made.loop.close()


def test_a_reader_that_stands_still_is_found_within_half_as_long_again(world):
    world.write()
    world.pass_time(HOUR)
    assert (world.role.read, world.found) == (1, "")
    world.hanging.hang()
    world.write()
    world.pass_time(STALL - 1)
    assert world.found == ""
    world.pass_time(STALL / 2 + 1)
    assert world.found == "t[0] stands at 1, though it goes on to 2"


def test_of_two_that_read_the_same_partition_the_one_that_stands_still_is_found(world):
    """As two subscriptions to a topic do."""

    async def join():
        other = await world.log.join("another", ["t"], world.role)
        return other.reader("t", 0)

    world.write()
    still = world.loop.drive(join())
    world.pass_time(STALL / 2)
    assert (world.role.read, still.position, world.found) == (1, 0, "")
    world.pass_time(2 * STALL)
    assert world.found == "t[0] stands at 0, though it goes on to 1"


def test_a_quiet_partition_and_one_that_is_read_slowly_are_none_of_its_business(world):
    world.pass_time(HOUR)
    world.role.pause = STALL * 0.9
    world.write(100)
    world.pass_time(HOUR)
    assert world.found == ""


def test_offsets_that_no_record_has_are_no_stall(world):
    world.hanging.gap = 1
    world.pass_time(HOUR)
    assert world.found == ""
    world.hanging.hang()
    world.write()
    world.pass_time(2 * STALL)
    assert world.found


def test_a_role_that_is_held_back_on_purpose_is_left_alone_until_it_is_not(world):
    world.write()
    world.pass_time(1)
    world.role.held = "its store is behind"
    world.write()
    world.pass_time(1)
    world.write(5)
    world.pass_time(HOUR)
    assert world.found == ""
    world.role.held = ""
    world.pass_time(1)
    assert world.role.read == 7
    world.reading.cancel()  # its loop has died: nobody asks, and nobody holds it back
    world.write()
    world.pass_time(2 * STALL)
    assert world.found.startswith("t[0] stands at 7")


def test_a_log_that_does_not_answer_is_waited_for_and_told(world):
    world.hanging.hang()
    world.write()
    world.pass_time(STALL - 5)
    world.hanging.away = LogUnavailable("Kafka at 127.0.0.1:9092 cannot be used")
    world.pass_time(HOUR)
    assert world.found == ""
    assert "Kafka at 127.0.0.1:9092" in world.dog.trouble
    world.hanging.away = None
    world.pass_time(STALL)  # the longest pause between two looks
    assert (world.found, world.dog.trouble) == ("", "")
    world.pass_time(2 * STALL)  # its clients had all the time again, and used none
    assert world.found


def test_a_log_whose_answers_never_come_is_one_that_does_not_answer(world):
    world.hanging.away = asyncio.Event().wait
    world.pass_time(10 * STALL)
    assert world.found == ""
    assert "TimeoutError" in world.dog.trouble


def test_a_reader_that_was_revoked_is_watched_no_more(world):
    world.hanging.hang()
    world.write()
    world.pass_time(1)
    listener = next(iter(world.hanging.listeners))
    world.loop.drive(listener.on_revoked([0]))
    world.pass_time(HOUR)
    assert world.found == ""


def test_a_role_may_begin_again_a_few_times_in_ten_minutes():
    restarts = Restarts()
    assert [restarts.allow(at) for at in range(RESTARTS_MAX + 1)] == [True] * RESTARTS_MAX + [False]
    assert restarts.allow(RESTARTS_SECONDS)
    assert not restarts.allow(RESTARTS_SECONDS)
    assert restarts.count == RESTARTS_MAX + 1


def test_the_fake_hangs_as_a_client_does(world):
    world.hanging.hang()
    world.write()
    with pytest.raises(OutOfTime):
        world.loop.drive(world.role.reader.read(1))
    assert world.loop.drive(world.log.bounds("t", 0)) == (0, 1)
