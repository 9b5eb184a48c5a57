"""The log's port, as one process has it: everything goes over the network to the broker."""

from __future__ import annotations

import asyncio

from perdure.adapters.memory.validity import check_records
from perdure.ports.errors import CommitFailed, CommitUnknown, Fenced, LogUnavailable, NotAssigned, PortError
from perdure.ports.log import GroupListener, Log, Membership, Reader, Writer

LAZY_S = 1.0
LEAVING_S = 8.0


class SimulatedLog(Log):
    def __init__(self, host):
        self.host = host
        self.broker = host.world.broker
        self._members = []
        self.readers = []

    async def _ask(self, label, work, **more):
        self.host.check_open()
        return await self.host.call("log", work, label, **more)

    async def create_topics(self, specs):
        await self._ask("create topics", lambda: self.broker.create_topics(specs))

    async def partitions(self, topic):
        return await self._ask(f"partitions of {topic}", lambda: self.broker.partition_count(topic))

    async def bounds(self, topic, partition):
        def work():
            source = self.broker.source(topic, partition)
            return source.start, source.end

        return await self._ask(f"bounds {topic}[{partition}]", work)

    async def fetch(self, topic, partition, offset, max_records):
        most = self.host.world.some(self.host.random, max_records)

        def work():
            source = self.broker.source(topic, partition)
            return source.ready(max(offset, source.start), most)[0]

        return await self._ask(f"fetch {topic}[{partition}] {offset}", work)

    async def delete_before(self, topic, partition, offset):
        label = f"delete {topic}[{partition}] before {offset}"
        self.host.world.trace(self.host.name, label)
        await self._ask(label, lambda: self.broker.let_go(topic, partition, offset))

    async def open_writer(self, transactional_id):
        self.host.world.trace(self.host.name, "opens writer", transactional_id)
        epoch = await self._ask("open a writer", lambda: self.broker.open_epoch(transactional_id))
        return SimulatedWriter(self, transactional_id, epoch)

    async def append(self, records):
        host = self.host
        host.check_open()
        self._check(records)
        if not records:
            return
        host.world.trace(host.name, f"append {_shown(records)}")
        places = {}
        for record in records:
            places.setdefault((record.topic, record.partition), []).append(record)
        # Each partition by itself, as its leader takes it: some may be written, and others not.
        outcomes = await asyncio.gather(*(self._append(*each) for each in places.items()), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _append(self, place, records):
        host = self.host
        await host.call(
            "log", lambda: self.broker.append(records, host.name), f"append to {place}", ordered=("append", place),
            lost=CommitUnknown("no answer from the broker: the records may have been written"),
            refused=CommitUnknown("the broker refused some of the records"),
        )  # fmt: skip

    def _check(self, records):
        """What a client knows before it sends."""
        check_records(records, self.broker.partition_count)

    async def join(self, group, topics, listener):
        host = self.host

        async def work():
            member = await self.broker.groups.join(group, topics, told)
            host.world.joined(host)
            return member

        told = _Told(host, listener)
        try:
            # A client asks again and again by itself: no answer of this one is lost.
            joined = await self._ask(f"join {group}", work, patience_s=60.0, steady=True)
        except BaseException:
            for member in [each for each in self.broker.members(group) if each._listener is told]:
                host.loop.call_soon(member.vanish, context=host.loop.world.context)  # whoever was joining has given up
            raise
        member = SimulatedMembership(self, joined)
        self._members.append(member)
        return member

    async def close(self):
        if not self.host.closed:
            for reader in self.readers:
                reader.hurry()
            for member in self._members:
                try:
                    await member.leave()
                except PortError as error:
                    self.host.world.trace(self.host.name, "cannot leave", str(error))
            self.host.closed = True
            self.host.world.left(self.host)


class _Told(GroupListener):
    """What the group says reaches the process, and is done there."""

    def __init__(self, host, listener):
        self.host = host
        self.left_out_s = 0.0  # it misses the next round of its group, and comes back so much later
        self._listener = listener

    async def on_assigned(self, partitions):
        await self._tell(self._listener.on_assigned, partitions, "is given")

    async def on_revoked(self, partitions):
        await self._tell(self._listener.on_revoked, partitions, "gives up")
        if self.left_out_s:
            seconds, self.left_out_s = self.left_out_s, 0.0
            self.host.loop.call_soon(self.host.world.leave_out, self, seconds)

    async def _tell(self, call, partitions, what):
        host, world = self.host, self.host.world
        await asyncio.sleep(world.journey_s())
        while not host.reaches("log") and not host.lane.dead:
            await asyncio.sleep(0.5)
        if host.lane.dead:
            await world.loop.create_future()  # never: it will not come back to say that it has heard
        world.trace(host.name, what, list(partitions))
        await world.loop.create_task(call(partitions), context=host.lane.context)


class SimulatedMembership(Membership):
    def __init__(self, log, member):
        self._log = log
        self._member = member

    def reader(self, topic, partition):
        return SimulatedReader(self._log, self._member.reader(topic, partition))

    async def leave(self):
        host = self._log.host
        host.world.trace(host.name, "leaves", self._member.group.name)
        await host.call("log", self._member.leave, f"leave {self._member.group.name}", patience_s=LEAVING_S)


class SimulatedReader(Reader):
    """`hangs`: as clients are known to, it reads nothing any more and says nothing of it."""

    def __init__(self, log, reader):
        self._log = log
        self._reader = reader
        self.hangs = self._woken = False
        self._lazy = None  # what stores a position later
        log.readers.append(self)
        log.host.world.readers.append(self)

    @property
    def host(self):
        return self._log.host

    async def read(self, max_records):
        host = self.host
        host.check_open()
        most = host.world.some(host.random, max_records)
        pause = host.process.slowness_s + host.world.slowness_s("log")
        if pause:
            await asyncio.sleep(host.random.random() * pause)
        self._woken = self._woken and self.hangs
        while not self._reader._revoked and (self.hangs or not host.reaches("log")):
            if self._woken:  # nothing comes from the log; who is woken returns all the same
                self._woken = False
                return []
            await asyncio.sleep(0.25)
        return await self._reader.read(most)

    def wake(self):
        self._woken = True
        self._reader.wake()

    @property
    def position(self):
        return self._reader.position

    def seek(self, offset):
        self._reader.seek(offset)

    async def committed(self):
        return await self._log._ask("committed position", self._reader.committed)

    async def commit(self, offset, metadata="", *, lazy=False):
        host = self.host
        host.check_open()
        reader = self._reader
        if self._lazy is not None:
            self._lazy.cancel()
        if lazy:
            reader._check_assigned()
            self._later = offset, metadata
            self._lazy = host.loop.call_later(host.random.random() * LAZY_S, self._send_lazily, offset, metadata)
            return
        await self._log._ask(f"commit position {offset}", lambda: reader.commit(offset, metadata))

    def hurry(self):
        """What was to be stored later is stored now."""
        lazy, self._lazy = self._lazy, None
        if lazy is not None and not lazy.cancelled():
            lazy.cancel()
            self._send_lazily(*self._later)

    def _send_lazily(self, offset, metadata):
        self._lazy = None
        host, loop = self.host, self.host.loop
        if host.reaches("log") and not host.closed:
            loop.create_task(_quietly(self._reader, offset, metadata), context=loop.world.context)


async def _quietly(reader, offset, metadata):
    try:
        await reader.commit(offset, metadata)
    except NotAssigned:
        pass  # it was too late, and nobody waits to hear of it


class SimulatedWriter(Writer):
    """A commit is one request for each partition, and then one that ends the transaction."""

    def __init__(self, log, transactional_id, epoch):
        self._log = log
        self._id = transactional_id
        self._epoch = epoch
        self._dead = False
        self._turn = asyncio.Lock()

    async def commit(self, records, *, consumed=None):
        host = self._log.host
        host.check_open()
        if not records and consumed is None:
            raise ValueError("a commit needs records")
        async with self._turn:
            host.check_open()
            if self._dead:
                raise Fenced(f"this writer of {self._id} failed before, or was closed: open a new one")
            try:
                self._log._check(records)
                return await self._commit(host, records, consumed)
            except BaseException:
                self._dead = True
                raise

    async def _commit(self, host, records, consumed):
        broker, transaction = self._log.broker, self._log.broker.begin(self._id, self._epoch)
        host.world.trace(host.name, f"commits {_shown(records)}")
        places = {}
        for record in records:
            places.setdefault((record.topic, record.partition), []).append(record)
        refused = CommitFailed("the broker refused records of a transaction")
        # Sent side by side, and each comes when it comes: one that was refused leaves the others where they are.
        sent = await asyncio.gather(
            *(
                host.call(
                    "log", lambda some=some: broker.produce(transaction, some, host.name), f"produce to {place}",
                    lost=CommitFailed("the broker did not take the records in time"), refused=refused,
                )
                for place, some in places.items()
            ),
            return_exceptions=True,
        )  # fmt: skip
        if consumed is not None:
            lost = CommitFailed("the broker did not take the position in time")
            sent.append(await _outcome(host.call(
                "log", lambda: broker.consume(transaction, consumed), "add a position", lost=lost, refused=refused
            )))  # fmt: skip
        for outcome in sent:
            if isinstance(outcome, BaseException):
                self._abort(host, transaction)
                raise outcome
        unknown = CommitUnknown(f"whether the commit of {self._id} was written is not known")
        await host.call(
            "log", lambda: broker.end_transaction(transaction, "committed"), "end a transaction", lost=unknown,
            refused=CommitFailed("the broker has aborted the transaction"),
        )  # fmt: skip
        if not records:
            return -1
        last = records[-1]
        return sent[list(places).index((last.topic, last.partition))]

    def _abort(self, host, transaction):
        """Nobody waits for it."""
        broker, loop = self._log.broker, host.loop

        async def ask():
            try:
                await host.call("log", lambda: broker.end_transaction(transaction, "aborted"), "abort a transaction")
            except (Fenced, LogUnavailable):
                return

        loop.create_task(ask())

    async def close(self):
        self._dead = True


async def _outcome(call):
    """As gather returns it."""
    (outcome,) = await asyncio.gather(call, return_exceptions=True)
    return outcome


def _shown(records):
    counts = {}
    for record in records:
        place = f"{record.topic.rpartition('.')[2]}[{record.partition}]"
        counts[place] = counts.get(place, 0) + 1
    return " ".join(f"{place}:{count}" for place, count in counts.items())
