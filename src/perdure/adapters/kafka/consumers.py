"""The thin calls into aiokafka's consumer, for one membership.

Several of them reach into aiokafka: offsets with their metadata, the position that is known without a request, whether
its tasks still live, a batch that cannot be unpacked, and the end of a consumer that no longer answers have no public
call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from perdure.adapters.kafka.assignor import NumberAssignor, topics_of
from perdure.adapters.kafka.clients import bounded, close_client, mend, settled
from perdure.adapters.kafka.errors import reason, unreachable
from perdure.adapters.kafka.fetching import record_of
from perdure.adapters.kafka.records import Place
from perdure.adapters.kafka.settings import KafkaSettings
from perdure.adapters.kafka.unpacking import Results, Stuck
from perdure.ports.errors import LogUnavailable, NotAssigned
from perdure.ports.log import Committed, Record

__all__ = ["GroupConsumer", "OutOfRange", "topics_of_group"]

log = structlog.get_logger(__name__)
POLL_MS = 5_000
POLL_SECONDS_MAX = 2 * POLL_MS / 1000
POLL_RECORDS_MAX = 1_000
RETRY_BACKOFF_MS = 50  # a producer's 5 would have every consumer ask 200 times a second for a broker that is down
STOP_SECONDS_MAX = 3.0
CUT_SECONDS_MAX = 1.0


class OutOfRange(Exception):
    """The broker does not have these positions."""

    def __init__(self, places: list[Place]) -> None:
        super().__init__(places)
        self.places = places


class GroupConsumer:
    """A member's consumer. Created on the running loop; `start` joins in the background."""

    def __init__(self, settings: KafkaSettings, group: str, assignor: NumberAssignor, stuck: Stuck) -> None:
        self._settings = settings
        self._stuck = stuck
        self.group = group
        self._consumer = AIOKafkaConsumer(
            **(settings.client_options() | {"retry_backoff_ms": RETRY_BACKOFF_MS}),
            group_id=group,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
            partition_assignment_strategy=(assignor,),
            session_timeout_ms=settings.session_timeout_ms,
            rebalance_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            fetch_max_wait_ms=settings.fetch_wait_ms,
        )
        mend(self._consumer._client)
        self._failure = ""
        self._told_at_ms: float = 0  # when brokers last told it where they are, by aiokafka
        self._looked_at = asyncio.get_running_loop().time()
        self._silence_s = 0.0

    async def start(self, topics: Iterable[str], listener: ConsumerRebalanceListener) -> None:
        try:
            await self._consumer.start()
        except KafkaError as error:
            raise unreachable(self._settings.servers, error) from error
        self._consumer._fetcher._records = Results(self._stuck)  # it has none before there is an assignment
        self._consumer.subscribe(list(topics), listener=listener)

    @property
    def failure(self) -> str:
        """Why this consumer will never work again, empty while it may: one of aiokafka's tasks is dead.

        Nothing in aiokafka looks after them. Without its fetcher a consumer gives nothing and says nothing; without
        its heartbeat it is thrown out of its group and does not know it.
        """
        coordinator, fetcher, sync = (
            self._consumer._coordinator,
            self._consumer._fetcher,
            self._consumer._client._sync_task,
        )
        if self._failure or coordinator is None or fetcher is None or self._consumer._closed:
            return self._failure
        for name, task in (
            ("group", coordinator._coordination_task),
            ("fetcher", fetcher._fetch_task),
            ("metadata", sync),
        ):
            if task is not None and task.done():
                return f"its {name} task ended"
        for name, task in (("heartbeat", coordinator._heartbeat_task), ("offsets", coordinator._commit_refresh_task)):
            # These also end in good order, when the group is joined anew.
            if task is not None and task.done() and (task.cancelled() or task.exception() is not None):
                return f"its {name} task failed"
        return ""

    def fail(self, why: str) -> None:
        """Whoever looks after it knows why: it was not told its assignment, or its brokers are gone."""
        self._failure = why

    def silence(self) -> float:
        """For how many seconds no broker has told it where they all are, as far as it was looked at: a process that stood
        still learns of no silence.
        """
        now, told_at_ms = asyncio.get_running_loop().time(), self._consumer._client.cluster._last_successful_refresh_ms
        self._silence_s += min(now - self._looked_at, 2 * POLL_MS / 1000)
        if told_at_ms != self._told_at_ms:
            self._told_at_ms, self._silence_s = told_at_ms, 0.0
        self._looked_at = now
        return self._silence_s

    async def poll(self) -> dict[Place, list[Record]]:
        """What has been fetched, waiting for it; may be empty. Raises OutOfRange, KafkaError.

        Between two assignments aiokafka waits for the next one, whatever time it was given; then this waits no longer. The
        cancellation takes nothing: from where records are taken on aiokafka waits for nothing. For the same reason the
        caller has them in the very step in which they count as read, and must await nothing before its readers have them.
        """
        try:
            async with asyncio.timeout(POLL_SECONDS_MAX) as patience:
                found = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX)
        except TimeoutError:
            if patience.expired():
                return {}
            raise
        except NoOffsetForPartitionError:
            return {}  # assigned a moment ago: every partition is moved to its starting point by the member
        except OffsetOutOfRangeError as error:
            raise OutOfRange([(place.topic, place.partition) for place in error.args[0]]) from error
        return {(at.topic, at.partition): [record_of(record) for record in records] for at, records in found.items()}

    def flow(self, place: Place) -> None:
        self._if_assigned(lambda: self._consumer.resume(TopicPartition(*place)))

    def hold(self, place: Place) -> None:
        self._if_assigned(lambda: self._consumer.pause(TopicPartition(*place)))

    def move(self, place: Place, offset: int) -> None:
        self._if_assigned(lambda: self._consumer.seek(TopicPartition(*place), offset))

    @staticmethod
    def _if_assigned(call: Callable[[], None]) -> None:
        try:
            call()
        except IllegalStateError:
            pass  # revoked a moment ago: the reader is told so

    def fetched_to(self, place: Place) -> int | None:
        subscription = self._consumer._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None or TopicPartition(*place) not in assignment.tps:
            return None
        state = assignment.state_value(TopicPartition(*place))
        return state.position if state.has_valid_position else None

    async def starting_points(self, places: list[Place]) -> dict[Place, int]:
        """The committed offset of each, else its start."""
        if not places:
            return {}
        partitions = [TopicPartition(*place) for place in places]
        committed = await self._committed(partitions)
        without = [partition for partition in partitions if committed[partition].offset < 0]
        starts = await self._consumer.beginning_offsets(without) if without else {}
        return {
            place: starts[at] if at in starts else committed[at].offset
            for place, at in zip(places, partitions, strict=True)
        }

    async def committed(self, place: Place) -> Committed:
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                found = await self._committed([TopicPartition(*place)])
        except (TimeoutError, KafkaError) as error:
            raise unreachable(self._settings.servers, error) from error
        stored = found[TopicPartition(*place)]
        return Committed(stored.offset, stored.metadata or "")

    async def _committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        found = await self._consumer._coordinator.fetch_committed_offsets(partitions)
        return {partition: found.get(partition, OffsetAndMetadata(-1, "")) for partition in partitions}

    async def commit(self, positions: dict[Place, Committed]) -> None:
        """Raises NotAssigned if the group has moved on, PortError."""
        offsets = {
            TopicPartition(*place): OffsetAndMetadata(stored.offset, stored.metadata)
            for place, stored in positions.items()
        }
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            names = ", ".join(f"{topic}[{partition}]" for topic, partition in positions)
            raise NotAssigned(f"{names} was given to another member of {self.group}") from error
        except TimeoutError as error:
            raise LogUnavailable(f"Kafka did not store positions of {self.group} in time") from error
        except KafkaError as error:
            raise LogUnavailable(f"Kafka did not store positions of {self.group} ({reason(error)})") from error

    async def stop(self) -> None:
        """Leaves the group, bounded; a consumer that does not end is cut off, and the group finds out."""
        try:
            if await bounded(self._consumer.stop(), STOP_SECONDS_MAX):
                return
            why = "no answer in time"
        except Exception as error:  # noqa: BLE001 - whatever keeps it from ending, it must not keep the process
            why = reason(error)
        log.warning("a consumer did not end in good order", group=self.group, error=why)
        await self.cut_off()

    async def cut_off(self) -> None:
        """Ends everything at once, without a word to the group."""
        consumer = self._consumer
        consumer._closed = True
        coordinator, fetcher = consumer._coordinator, consumer._fetcher
        tasks: set[asyncio.Task[object]] = set()
        if coordinator is not None:
            own = (coordinator._coordination_task, coordinator._heartbeat_task, coordinator._commit_refresh_task)
            tasks.update(task for task in own if task is not None)
        if fetcher is not None:
            tasks.update((fetcher._fetch_task, *fetcher._pending_tasks))
        await settled(tasks, CUT_SECONDS_MAX)
        await close_client(consumer._client)


async def topics_of_group(settings: KafkaSettings, group: str) -> list[str]:
    """What the members of a group read; empty if nobody can tell."""
    admin = AIOKafkaAdminClient(**settings.client_options())
    try:
        await admin.start()
        [answer] = await admin.describe_consumer_groups([group])
        protocol = answer.groups[0][4]
    except (KafkaError, ValueError, IndexError):
        return []
    finally:
        await admin.close()
    return topics_of(protocol)
