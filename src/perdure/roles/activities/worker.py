"""The activity worker: takes tasks of one queue, runs user code, and sends what came of it.

At least once: a task is delivered again when its worker dies before its result is in the log. The orchestrator keeps
the first result of an open attempt and drops the others.

In: `<ns>.activities[.<queue>]`, group `<ns>.activity-worker[.<queue>]`. Out: `<ns>.instances` (results), `<ns>.timers`
(leases), `<ns>.dead-letters`. State: the group's position and its metadata, nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from perdure.codec.avro import DecodeError, decode
from perdure.codec.encoder import Encoder
from perdure.core.commands import CompleteActivity, FailActivity
from perdure.core.headers import CUT, OURS_BEGIN
from perdure.core.names import Topics
from perdure.ports.clock import Clock
from perdure.ports.errors import PortError
from perdure.ports.log import GroupListener, Log, Membership, Outgoing
from perdure.roles.activities.dispatcher import Dispatcher
from perdure.roles.activities.feed import Feed
from perdure.roles.activities.intake import Intake
from perdure.roles.activities.outbox import Outbox
from perdure.roles.activities.settings import ActivitySettings, ActivityStats
from perdure.roles.activities.slots import Slots, ThreadSlots
from perdure.workflow.app import App

__all__ = ["ActivityWorker", "group_of"]

REVOKE_GRACE_S: Final = 0.5  # for what runs to end when a partition is taken; a lease speaks for what takes longer
REVOKE_TIMEOUT_S: Final = 2.0  # for results on their way when a partition is taken; the session time-out is 6 s

logger = structlog.get_logger(__name__)


def group_of(topics: Topics, queue: str) -> str:
    return f"{topics.namespace}.activity-worker" + (f".{queue}" if queue else "")


class ActivityWorker(GroupListener):
    """`on_exhausted` is called, after a drain, when too many threads are held by activities past their time-out;
    `on_failure` when a partition is not worked on any more, with what ended that.

    `start` raises `TopicMissing`. An instance is started once and stopped once.
    """

    def __init__(
        self,
        *,
        app: App,
        log: Log,
        clock: Clock,
        topics: Topics,
        queue: str = "",
        slots: Slots | None = None,
        settings: ActivitySettings | None = None,
        on_exhausted: Callable[[], None] | None = None,
        on_failure: Callable[[BaseException], None] | None = None,
        encode: Encoder | None = None,
    ) -> None:
        self.stats = ActivityStats()
        self._app = app
        self._log = log
        self._clock = clock
        self._topics = topics
        self._queue = queue
        self._topic = topics.activities(queue)
        self._settings = settings or ActivitySettings()
        self._on_exhausted = on_exhausted
        self._on_failure = on_failure
        self._encode = encode or Encoder()
        self._outbox = Outbox(
            log,
            after_send=self._commit_moved,
            shrink=partial(_shrink, self._encode),
            backoff_s=self._settings.backoff_s,
            backoff_max_s=self._settings.backoff_max_s,
        )
        self._dispatcher = Dispatcher(
            slots=slots or ThreadSlots(),
            outbox=self._outbox,
            clock=clock,
            instances=topics.instances,
            timers=topics.timers,
            settings=self._settings,
            stats=self.stats,
            on_exhausted=self._exhausted,
            encode=self._encode,
        )
        self._caution = asyncio.Lock()
        self._feeds: dict[int, Feed] = {}
        self._moved: dict[Feed, None] = {}  # in their order
        self._tidy_due: asyncio.TimerHandle | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._started = self._closed = False

    async def start(self) -> None:
        """Returns when the first partitions are assigned."""
        topics = self._topics
        counts = [await self._log.partitions(name) for name in (self._topic, topics.instances, topics.dead_letters)]
        self._started = True
        self._membership: asyncio.Future[Membership] = asyncio.get_running_loop().create_future()
        self._dispatcher.open()
        self._intake = Intake(
            app=self._app,
            topics=topics,
            counts=(counts[0], counts[1], counts[2]),
            clock=self._clock,
            outbox=self._outbox,
            dispatcher=self._dispatcher,
            settings=self._settings,
            stats=self.stats,
            encode=self._encode,
        )
        self._membership.set_result(await self._log.join(group_of(topics, self._queue), [self._topic], self))

    async def stop(self) -> None:
        """Drain within `drain_timeout_s`."""
        await self.drain(self._settings.drain_timeout_s)

    async def drain(self, timeout_s: float) -> None:
        """Take nothing more, let what runs end, send, commit, leave. What takes longer is delivered again. Twice is harmless."""
        if self._closed or not self._started:
            return
        self._closed = True
        end = asyncio.get_running_loop().time() + timeout_s
        for feed in self._feeds.values():
            await feed.stop()
        if not await self._dispatcher.drain(timeout_s):
            logger.warning("activities still run at the end of the drain: they will be delivered again")
        if not await self._outbox.emptied(max(end - asyncio.get_running_loop().time(), 0.1)):
            logger.warning("results could not be sent before the end of the drain: their tasks will be delivered again")
        try:
            if self._membership.done():  # else the join failed
                await self._membership.result().leave()
        except PortError as error:
            logger.warning("could not leave the group", error=str(error))
        await self.abandon()

    async def abandon(self) -> None:
        """End as a crash would: nothing more is sent, committed or left. For tests, and after a drain."""
        self._closed = True
        if not self._started:
            return
        if not self._membership.done():  # the join failed: nothing waits for it any more
            self._membership.cancel()
        self._intake.close()
        self._dispatcher.close()
        self._outbox.close()
        if self._tidy_due is not None:
            self._tidy_due.cancel()
        if self._tidying is not None:
            self._tidying.cancel()
        for feed in self._feeds.values():
            await feed.stop()
        self._feeds.clear()

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        if self._closed:
            return
        for partition in partitions:
            earlier = self._feeds.pop(partition, None)
            if earlier is not None:  # thrown out without being told, and back again
                await earlier.stop()
            feed = self._feeds[partition] = Feed(
                partition,
                self._topic,
                log=self._log,
                membership=self._membership,
                intake=self._intake,
                dispatcher=self._dispatcher,
                caution=self._caution,
                on_moved=self._position_moved,
                on_failure=self._feed_failed,
                settings=self._settings,
                stats=self.stats,
            )
            feed.start()

    async def on_revoked(self, partitions: Sequence[int]) -> None:
        """What runs goes on and sends its result, and nobody runs it again; what has not begun is another worker's."""
        feeds = [self._feeds.pop(partition) for partition in partitions if partition in self._feeds]
        for feed in feeds:
            await feed.stop()
            self._dispatcher.withdraw(feed)
        await self._dispatcher.hand_over(feeds, REVOKE_GRACE_S)
        await self._outbox.emptied(REVOKE_TIMEOUT_S)
        for feed in feeds:
            await feed.commit(lazy=False)

    @property
    def feeds(self) -> Mapping[int, Feed]:
        """What is assigned now, by partition."""
        return self._feeds

    def _feed_failed(self, error: BaseException) -> None:
        logger.error("an activities partition is not read any more", exc_info=error)
        if self._on_failure is not None:
            self._on_failure(error)

    def _position_moved(self, feed: Feed) -> None:
        self._moved[feed] = None
        if self._tidy_due is None and not self._closed:
            self._tidy_due = asyncio.get_running_loop().call_later(self._settings.tidy_s, self._begin_tidy)

    async def _commit_moved(self) -> None:
        moved, self._moved = self._moved, {}
        for feed in moved:
            await feed.commit()

    def _begin_tidy(self) -> None:
        self._tidying = asyncio.get_running_loop().create_task(self._tidy())

    async def _tidy(self) -> None:
        again = False
        try:
            await self._commit_moved()
            for feed in list(self._feeds.values()):
                again |= await feed.tidy()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would delete them, ever
            logger.warning("consumed tasks are not deleted yet", error=f"{type(error).__name__}: {error}")
            again = True
        self._tidy_due = None
        if again and not self._closed:
            self._tidy_due = asyncio.get_running_loop().call_later(self._settings.tidy_s, self._begin_tidy)

    def _exhausted(self) -> None:
        logger.error(
            "activities past their time-out hold too many threads: this worker drains",
            held=self.stats.overrun,
        )
        self._ending = asyncio.get_running_loop().create_task(self._end_exhausted())

    async def _end_exhausted(self) -> None:
        await self.stop()
        if self._on_exhausted is not None:
            self._on_exhausted()


def _shrink(encode: Encoder, record: Outgoing) -> Outgoing | None:
    """What to send for a record over the log's limit: a failure by name for a result, the bare reason for a letter."""
    try:
        result = decode(record.value)
    except DecodeError:
        result = None
    if isinstance(result, CompleteActivity | FailActivity):
        value = encode(
            FailActivity(
                result.run, result.generation, result.task_id, result.attempt, "PayloadTooLarge",
                "the result does not fit a record of the log: keep it in a store of your own and return a reference to it",
                retryable=False,
            )
        )  # fmt: skip
        return None if value == record.value else Outgoing(record.topic, record.partition, record.key, value)
    reasons = tuple(header for header in record.headers if header[0].startswith(OURS_BEGIN))
    if record.value and reasons:
        return Outgoing(record.topic, record.partition, record.key, b"", (*reasons, (CUT, b"value")))
    return None
