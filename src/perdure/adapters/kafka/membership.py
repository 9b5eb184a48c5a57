"""One member of a group: what it owns, what its listener is told, and who reads what is fetched.

The listener's calls run one at a time in tasks of their own. A revocation is waited for by the consumer, so the
partition moves only after its owner has let go (or the broker has lost patience). An assignment is not: the consumer
sends no heartbeat until its callback returns, and a takeover may take longer than a session.

A consumer of which a task has died is replaced by a new one: the listener is told that it lost its partitions, and the
group is joined again, for as long as it takes. So is one that hears of no broker while the process's connection does: it asks
those that it knew, and they may all be elsewhere by now. Nobody else would notice, for it has no partition to be slow at. It is
looked after while the group is divided anew, too, which may never end.

A pump hands everything that is fetched to the readers at once. aiokafka fetches nothing more from a server while a
partition of it has records that nobody took (100 ms at a time), so records must never lie there for want of a reader.
For the same reason a partition flows only once it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence

import structlog
from aiokafka import ConsumerRebalanceListener
from aiokafka.errors import InconsistentGroupProtocolError
from aiokafka.structs import TopicPartition

from perdure.adapters.kafka.assignor import NumberAssignor
from perdure.adapters.kafka.connection import Connection
from perdure.adapters.kafka.consumers import GroupConsumer, OutOfRange, topics_of_group
from perdure.adapters.kafka.errors import reason, unreachable
from perdure.adapters.kafka.fetching import fetch_stuck
from perdure.adapters.kafka.positions import Positions
from perdure.adapters.kafka.reader import KafkaReader
from perdure.adapters.kafka.records import Place
from perdure.ports.errors import LogUnavailable, NotAssigned, PortError
from perdure.ports.log import Committed, GroupListener, Membership, Reader, Record

__all__ = ["KafkaMember"]

log = structlog.get_logger(__name__)
FAULT_PAUSE_SECONDS = 0.5
FAULT_PAUSE_SECONDS_MAX = 5.0
PUMP_SECONDS_MAX = 1.0
JOIN_SECONDS_MAX = 120.0  # others may let go slowly, coordinators load: no service waits so long for its start
SILENT_AGES_MAX = 3  # of metadata: that of a broker or two which just hang is over before


class KafkaMember(Membership, ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, connection: Connection, group: str, topics: Sequence[str], listener: GroupListener) -> None:
        settings = connection.settings
        self._connection = connection
        self._topics = tuple(topics)
        self._group = group
        self._listener = listener
        self._assignor = NumberAssignor(topics)
        self._consumer = GroupConsumer(settings, group, self._assignor, self._stuck)
        self._positions = Positions(self._store_positions, settings.lazy_commit_interval_ms / 1000)
        self._session_s = settings.session_timeout_ms / 1000
        self._readers: dict[Place, KafkaReader] = {}
        self._assigned: tuple[int, ...] = ()
        self._calls = asyncio.Lock()
        self._caller: asyncio.Task[object] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_joined = False
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone: asyncio.Future[None] = (
            asyncio.get_running_loop().create_future()
        )  # leaving, and no longer waiting for the listener
        self._leaving: asyncio.Task[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._finding: asyncio.Task[None] | None = None

    async def join(self) -> None:
        """Returns when the first assignment was told. Raises ValueError for a group of other topics, LogUnavailable (after
        JOIN_SECONDS_MAX, if its coordinator gives no partitions).
        """
        self._join_by = asyncio.get_running_loop().time() + self._connection.settings.answer_timeout_s
        try:
            await self._consumer.start(self._topics, self)
            self._pump = asyncio.get_running_loop().create_task(self._run_pump())
            await asyncio.shield(self._first)
        except BaseException:
            self._first.cancel()
            self._listener = _Nobody()
            self._start_leaving()
            raise

    def reader(self, topic: str, partition: int) -> Reader:
        found = self._readers.get((topic, partition))
        if found is None or partition not in self._assigned:
            raise NotAssigned(f"{topic}[{partition}] is not assigned to this member of {self._group}")
        return found

    @property
    def ended(self) -> bool:
        return self._leaving is not None and self._leaving.done()

    async def leave(self) -> None:
        leaving = self._start_leaving()
        if asyncio.current_task() is not self._caller:  # its own listener's call must not wait for itself
            await asyncio.shield(leaving)

    def _start_leaving(self) -> asyncio.Task[None]:
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_task(self._leave())
        return self._leaving

    async def cut_off(self) -> None:
        """Ends without a word to the group or to the listener, whatever state its consumer is in."""
        if self._leaving is not None:
            self._leaving.cancel()
        self._leaving = asyncio.get_running_loop().create_task(self._consumer.cut_off())
        if not self._gone.done():
            self._gone.set_result(None)
        self._drop_readers()
        if self._pump is not None:
            self._pump.cancel()
        await self._leaving

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(self._session_s):
                await self._tell_revoked()
        except TimeoutError:
            log.warning("a group listener does not return: leaving without it", group=self._group)
        self._gone.set_result(None)
        self._drop_readers()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump}, timeout=PUMP_SECONDS_MAX)
        await self._consumer.stop()

    async def _run_pump(self) -> None:
        while True:
            try:
                if self._is_lost(self._consumer) and (self._finding is None or self._finding.done()):
                    self._finding = self._spawn(self._find_brokers(self._consumer))
                if self._consumer.failure:
                    await self._replace_consumer()
                self._check_join()
                fetched = await self._consumer.poll()
            except OutOfRange as error:
                for place in error.places:
                    if place in self._readers:
                        self._readers[place].out_of_range()
                continue
            except Exception as error:  # noqa: BLE001 - whatever aiokafka raises, readers wait for this task
                await self._fault(error)
                continue
            for place, records in fetched.items():
                reader = self._readers.get(place)
                if reader is not None:
                    reader.feed(records)

    def _stuck(self, place: Place, offset: int, error: Exception) -> None:
        """From within the pump's poll, which goes on: the reader takes care of it after what came before."""
        self._consumer.hold(place)  # or aiokafka would fetch the batch again and again
        where = f"{place[0]}[{place[1]}]"
        log.warning(
            "a batch could not be unpacked: its reader tries leniently", at=where, offset=offset, why=reason(error)
        )
        reader = self._readers.get(place)
        if reader is not None:
            reader.stuck(offset)

    def _is_lost(self, consumer: GroupConsumer) -> bool:
        return consumer.silence() > SILENT_AGES_MAX * self._connection.settings.metadata_age_ms / 1000

    async def _find_brokers(self, consumer: GroupConsumer) -> None:
        try:
            await self._connection.bounds(self._topics[0], 0)
        except PortError:
            return  # nobody hears of them
        if self._is_lost(consumer):
            consumer.fail("it knows none of the brokers that there are now")

    def _check_join(self) -> None:
        late = asyncio.get_running_loop().time() - self._join_by
        if late > JOIN_SECONDS_MAX and not self._has_joined and not self._first.done():
            raise LogUnavailable(f"{self._group} could not be joined: its coordinator has given no partitions in time")

    async def _replace_consumer(self) -> None:
        broken, pause = self._consumer, FAULT_PAUSE_SECONDS
        if not self._first.done() and asyncio.get_running_loop().time() > self._join_by:
            raise LogUnavailable(f"{self._group} could not be joined: {broken.failure}")
        log.error("a consumer is replaced: its client is dead", group=self._group, reason=broken.failure)
        await broken.cut_off()
        await self.on_partitions_revoked(())
        while True:
            self._check_join()
            try:
                self._consumer = GroupConsumer(self._connection.settings, self._group, self._assignor, self._stuck)
                await self._consumer.start(self._topics, self)
                return
            except Exception as error:  # noqa: BLE001 - files for TLS that are being renewed, too: nobody else tries again
                log.warning("a group cannot be joined again yet", group=self._group, error=reason(error), retry_s=pause)
                await self._consumer.cut_off()
            await asyncio.sleep(pause)
            pause = min(pause * 2, FAULT_PAUSE_SECONDS_MAX)

    async def _fault(self, error: Exception) -> None:
        """A joining member gives up by name; one that has worked goes on trying, as brokers come back."""
        if not self._first.done():
            self._first.set_exception(await self._refusal(error))
            self._first.exception()
        else:
            log.warning("reading as a member of a group failed", group=self._group, error=reason(error))
        await asyncio.sleep(FAULT_PAUSE_SECONDS)

    async def _refusal(self, error: Exception) -> Exception:
        if isinstance(error, InconsistentGroupProtocolError):
            topics = await topics_of_group(self._connection.settings, self._group)
            return ValueError(f"members of {self._group} read {', '.join(topics) or 'other topics'}: all read the same")
        if isinstance(error, LogUnavailable):
            return error
        return unreachable(self._connection.settings.servers, error)

    # What aiokafka's coordinator calls.

    async def on_partitions_revoked(self, _revoked: Sequence[TopicPartition]) -> None:
        telling = self._spawn(self._tell_revoked())
        await asyncio.wait({telling, self._gone}, return_when=asyncio.FIRST_COMPLETED)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        if self._leaving is not None:
            return
        places = sorted((at.topic, at.partition) for at in assigned)
        for place in places:
            self._consumer.hold(place)
            self._consumer.move(place, 0)  # before any await: the consumer must not choose a position by itself
        consumer = self._consumer
        try:
            points = await consumer.starting_points(places)
        except Exception as error:  # noqa: BLE001 - aiokafka would log it and go on with partitions that nobody reads
            consumer.fail(f"where its partitions begin is not known ({reason(error)})")
            return
        if consumer is not self._consumer:
            return  # replaced meanwhile
        for place in places:
            self._consumer.move(place, points[place])
            self._readers[place] = KafkaReader(self, place, points[place])
        self._assigned = tuple(sorted({partition for _, partition in places}))
        self._has_joined = True
        self._spawn(self._tell_assigned(self._assigned))

    async def _tell_revoked(self) -> None:
        async with self._calls:
            if self._assigned:
                await self._tell("on_revoked", self._listener.on_revoked(self._assigned))
                await self._flush_positions()
                self._assigned = ()
                self._drop_readers()

    async def _tell_assigned(self, partitions: tuple[int, ...]) -> None:
        async with self._calls:
            if self._leaving is None:
                await self._tell("on_assigned", self._listener.on_assigned(partitions))
            if not self._first.done():
                self._first.set_result(None)

    async def _tell(self, name: str, call: Awaitable[None]) -> None:
        self._caller = asyncio.current_task()
        try:
            await call
        except Exception:
            # The group goes on whatever one member's listener does; its error belongs in the log.
            log.exception("group listener failed", group=self._group, call=name)
        finally:
            self._caller = None

    async def _store_positions(self, positions: dict[Place, Committed]) -> None:
        await self._consumer.commit(positions)

    async def _flush_positions(self) -> None:
        try:
            await self._positions.flush()
        except PortError as error:
            log.info("last positions were not stored", group=self._group, error=str(error))

    def _drop_readers(self) -> None:
        for reader in self._readers.values():
            reader.revoke()
        self._readers.clear()
        self._positions.drop()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # What readers ask for.

    def flow(self, place: Place) -> None:
        self._consumer.flow(place)

    def hold(self, place: Place) -> None:
        self._consumer.hold(place)

    def move(self, place: Place, offset: int) -> None:
        self._consumer.move(place, offset)

    def fetched_to(self, place: Place) -> int | None:
        return self._consumer.fetched_to(place)

    async def fetch_stuck(self, place: Place, offset: int) -> tuple[list[Record], int]:
        try:
            return await fetch_stuck(self._connection, place, offset)
        except LogUnavailable as error:
            log.warning("a partition waits for a batch that cannot be read", group=self._group, error=str(error))
            raise

    async def bounds(self, place: Place) -> tuple[int, int]:
        return await self._connection.bounds(*place)

    async def committed(self, place: Place) -> Committed:
        return self._positions.waiting(place) or await self._consumer.committed(place)

    async def commit(self, place: Place, committed: Committed, *, lazy: bool) -> None:
        if lazy:
            self._positions.set_lazily(place, committed)
        else:
            await self._positions.set(place, committed)


class _Nobody(GroupListener):
    """Stands for a listener whose join was given up."""

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        """Not told."""

    async def on_revoked(self, partitions: Sequence[int]) -> None:
        """Not told."""
