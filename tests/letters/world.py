"""A namespace's topics on a log, letters in them, and ways to settle them as several processes would."""

from perdure.assembly import topic_specs
from perdure.codec.avro import encode
from perdure.core.commands import RaiseEvent
from perdure.core.names import Topics
from perdure.letters import DeadLetters
from perdure.ports.log import Outgoing, Record
from perdure.roles.dead_letters import dead_letter

TOPICS = Topics("test")
PARTITIONS = 3
COMMAND = encode(RaiseEvent("e", "1"))


class Clock:
    def __init__(self):
        self.us = 1_700_000_000_000_000

    def now_us(self):
        self.us += 1_000_000
        return self.us


class World:
    def __init__(self, cluster):
        self.cluster = cluster
        self.clock = Clock()
        self.letters = self.another()

    @property
    def log(self):
        return self.cluster.log

    def another(self):
        """As another process: it knows nothing of the first."""
        return DeadLetters(self.cluster.client(), TOPICS, self.clock)

    async def open(self):
        await self.log.create_topics(topic_specs(TOPICS, PARTITIONS))

    async def bury(
        self, *, key=b"i1", value=COMMAND, headers=(), topic=TOPICS.instances, partition=0, offset=0, why="no"
    ):
        """The id of a new letter, as roles write them."""
        record = Record(topic, partition, offset, key, value, tuple(headers))
        return await self.write(dead_letter(TOPICS.dead_letters, PARTITIONS, record, why))

    async def write(self, out):
        await self.log.append([out])
        records = await self.all_of(TOPICS.dead_letters, out.partition)
        return f"{out.partition}-{records[-1].offset}"

    async def all_of(self, topic, partition=None):
        found = []
        for number in range(await self.log.partitions(topic)) if partition is None else [partition]:
            at = 0
            while records := await self.log.fetch(topic, number, at, 100):
                found += records
                at = records[-1].offset + 1
        return found

    async def sent(self, topic=TOPICS.instances):
        return [(each.partition, each.key, each.value, dict(each.headers)) for each in await self.all_of(topic)]

    async def marks(self):
        return await self.all_of(TOPICS.dead_letter_marks)

    async def replay(self, *ids, request="r", by="", letters=None):
        return await (letters or self.letters).settle(ids, "replay", request=request, requested_by=by)

    async def drop(self, *ids, request="d", by=""):
        return await self.letters.settle(ids, "drop", request=request, requested_by=by)


def stranger(partition, *, key=b"", value=b"", headers=()):
    """Written to the dead letters' topic by somebody else."""
    return Outgoing(TOPICS.dead_letters, partition, key, value, tuple(headers))
