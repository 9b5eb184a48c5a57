"""Letters and their marks grow old together; and whose letter it is, its own headers do not say."""

import asyncio

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.assembly import topic_specs
from perdure.codec.avro import encode
from perdure.core.commands import RaiseEvent, StartWorkflow
from perdure.core.names import Topics
from perdure.letters import DeadLetters
from perdure.ports.log import Record
from perdure.roles.dead_letters import dead_letter
from perdure.roles.orchestrator import OrchestratorSettings
from perdure.roles.orchestrator.housekeeping import Housekeeping
from tests.roles.timers.virtual import VirtualClock, run_virtually

TOPICS = Topics("t")


class SlowLog(MemoryLog):
    """A fetch takes what one over a network takes."""

    async def fetch(self, *arguments):
        await asyncio.sleep(0.02)
        return await super().fetch(*arguments)


class Office:
    def __init__(self, log, clock):
        class Ports:
            pass

        class Stats:
            retention_offsets = 0
            retention_failures = 0

        self.ports = Ports()
        self.ports.log, self.ports.clock, self.ports.topics = log, clock, TOPICS
        self.settings = OrchestratorSettings(dead_letters_s=100.0)
        self.stats = Stats()
        self.partition = 0


def test_a_mark_stays_as_long_as_its_letter_however_long_the_look_takes():
    async def day():
        clock = VirtualClock()
        broker = MemoryBroker(clock)
        log = MemoryLog(broker)
        await log.create_topics(topic_specs(TOPICS, 1))
        letters = DeadLetters(log, TOPICS, clock)
        record = Record(TOPICS.instances, 0, 0, b"i", encode(StartWorkflow("w", command_id="")), ())
        await log.append([dead_letter(TOPICS.dead_letters, 1, record, "UnknownWorkflow: w")])
        buried = asyncio.get_running_loop().time()
        assert (await letters.settle(["0-0"], "replay", request="a"))[0].state == "replayed"
        house = Housekeeping(Office(SlowLog(broker), clock), lambda: 0)
        # the look at the letters falls just before the letter's time is over, that at the marks after the mark's
        await asyncio.sleep(buried + 100.0 - 0.001 - asyncio.get_running_loop().time())
        for _ in range(2):
            await house._expire_letters()
            left = await log.fetch(TOPICS.dead_letters, 0, 0, 10)
            marks = await log.fetch(TOPICS.dead_letter_marks, 0, 0, 10)
            assert len(marks) >= len(left), "the mark is gone and its letter is still there"
            if not left:
                break
        assert not left or marks
        again = await DeadLetters(log, TOPICS, clock).settle(["0-0"], "replay", request="b")
        assert again[0].state != "replayed", "sent again a second time"

    run_virtually(day())


def test_a_header_of_a_strangers_record_does_not_make_a_command_a_subscriptions_letter():
    async def day():
        clock = VirtualClock()
        log = MemoryLog(MemoryBroker(clock))
        await log.create_topics(topic_specs(TOPICS, 1))
        letters = DeadLetters(log, TOPICS, clock)
        record = Record(
            TOPICS.instances, 0, 0, b"i", encode(RaiseEvent("e", "1")), (("perdure-subscription", b"orders"),)
        )
        await log.append([dead_letter(TOPICS.dead_letters, 1, record, "UnknownInstance: i")])
        found = await letters.get("0-0")
        assert found.letter.subscription == ""
        assert (await letters.settle(["0-0"], "replay", request="a"))[0].state == "replayed"

    run_virtually(day())
