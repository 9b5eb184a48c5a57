"""From a record to an attempt, or to what is to be said instead: dead letter, not registered here, too often deadly."""

from __future__ import annotations

import asyncio
import difflib
from functools import partial

import structlog

from perdure.codec.avro import decode
from perdure.codec.encoder import Encoder
from perdure.core.commands import FailActivity
from perdure.core.effects import ActivityTask
from perdure.core.limits import ACTIVITY_DELIVERIES_MAX, TIME_US_MAX
from perdure.core.names import Topics
from perdure.ports.clock import Clock
from perdure.ports.log import Outgoing, Record
from perdure.roles.activities.attempt import Attempt, Origin, failure
from perdure.roles.activities.dispatcher import Dispatcher
from perdure.roles.activities.outbox import Outbox
from perdure.roles.activities.settings import ActivitySettings, ActivityStats
from perdure.roles.dead_letters import dead_letter, run_partition
from perdure.workflow.app import App

__all__ = ["Intake", "PartitionCounts"]

logger = structlog.get_logger(__name__)

PartitionCounts = tuple[int, int, int]
"""Of the topics activities, instances and dead letters."""


class Intake:
    """Every record ends in a call of `origin.settle`, at once or when what it led to is in the log."""

    def __init__(
        self,
        *,
        app: App,
        topics: Topics,
        counts: PartitionCounts,
        clock: Clock,
        outbox: Outbox,
        dispatcher: Dispatcher,
        settings: ActivitySettings,
        stats: ActivityStats,
        encode: Encoder,
    ) -> None:
        self._app = app
        self._topics = topics
        self._tasks, self._instances, self._dead_letters = counts
        self._clock = clock
        self._outbox = outbox
        self._dispatcher = dispatcher
        self._settings = settings
        self._stats = stats
        self._encode = encode
        self._pauses: set[asyncio.TimerHandle] = set()

    def admit(self, origin: Origin, record: Record, *, deliveries: int = 0) -> Attempt | None:
        """Begin the task of this record. None if there is nothing to run; `deliveries` counts those before."""
        try:
            task = decode(record.value)
            if type(task) is not ActivityTask:
                raise ValueError(f"a {type(task).__name__} is no task for an activity worker")  # noqa: TRY301
            if not 0 <= task.timeout_us <= TIME_US_MAX:
                raise ValueError(f"no activity has a time-out of {task.timeout_us} µs")  # noqa: TRY301
            target = run_partition(task.run, self._instances)
            record.key.decode()
        except ValueError as error:  # DecodeError and UnicodeDecodeError are ValueErrors
            self._bury(origin, record, str(error))
            return None
        if deliveries >= ACTIVITY_DELIVERIES_MAX:
            self._fail(origin, record, target, task, _crashed(task, deliveries))
            return None
        definition = self._app.activities.get(task.name)
        if definition is None:
            self._refuse(origin, record, target, task)
            return None
        attempt = Attempt(
            origin,
            record.offset,
            record.key,
            task,
            definition=definition,
            target=target,
            context=self._dispatcher.context(),
        )
        attempt.asked_at_ms = record.timestamp_ms
        self._dispatcher.submit(attempt)
        return attempt

    def close(self) -> None:
        for handle in self._pauses:
            handle.cancel()

    def _bury(self, origin: Origin, record: Record, reason: str) -> None:
        self._stats.dead_letters += 1
        logger.error(
            "an activity task cannot be read: it goes to the dead letters",
            topic=record.topic, partition=record.partition, offset=record.offset, reason=reason,
        )  # fmt: skip
        letter = dead_letter(self._topics.dead_letters, self._dead_letters, record, reason)
        self._outbox.put([letter], partial(origin.settle, record.offset))

    def _fail(self, origin: Origin, record: Record, target: int, task: ActivityTask, command: FailActivity) -> None:
        self._stats.failed += 1
        tracing = self._dispatcher.tracing
        if tracing is not None:
            from perdure.telemetry.attempts import tell_unrun  # noqa: PLC0415 - as in the dispatcher

            tell_unrun(tracing, task, record.key.decode(), command)
        logger.error(
            "an activity fails without being run",
            instance=record.key.decode(), task_id=command.task_id, reason=command.error_type, message=command.error_message,
        )  # fmt: skip
        result = Outgoing(self._topics.instances, target, record.key, self._encode(command))
        self._outbox.put([result], partial(origin.settle, record.offset))

    def _refuse(self, origin: Origin, record: Record, target: int, task: ActivityTask) -> None:
        """Let other workers try: the task goes round, with growing pauses, until its window has passed."""
        now = self._clock.now_us()
        task.refused_since_us = min(
            task.refused_since_us or now, now
        )  # a time to come would keep it going round for ever
        known_for_s = (now - task.refused_since_us) / 1e6
        if known_for_s >= self._settings.unregistered_window_s:
            self._fail(origin, record, target, task, self._unknown(task))
            return
        self._stats.refused += 1
        partition = (record.partition + 1) % self._tasks
        again = Outgoing(record.topic, partition, record.key, self._encode.again(task), record.headers)
        pause_s = max(self._settings.unregistered_pause_s, known_for_s / 4)
        handle: asyncio.TimerHandle

        def pass_on() -> None:
            self._pauses.discard(handle)
            if origin.live:  # else its new owner goes through this itself
                self._outbox.put([again], partial(origin.settle, record.offset))

        handle = asyncio.get_running_loop().call_later(pause_s, pass_on)
        self._pauses.add(handle)

    def _unknown(self, task: ActivityTask) -> FailActivity:
        close = difflib.get_close_matches(task.name, list(self._app.activities), n=3, cutoff=0.5)
        known = f"; registered are {', '.join(map(repr, close))}" if close else ""
        message = (
            f"no worker knows an activity {task.name!r}{known}. Register it (@app.activity) in the app that the "
            "activity workers run, or correct the name in call_activity"
        )
        return failure(task, "ActivityNotRegistered", message, retryable=False)


def _crashed(task: ActivityTask, deliveries: int) -> FailActivity:
    message = (
        f"activity {task.name!r} was handed to a worker {deliveries} times and none lived to tell its end: it probably "
        "takes its process down (memory, a native crash, os._exit). Run it alone under the same input"
    )
    return failure(task, "WorkerCrashed", message, retryable=False)
