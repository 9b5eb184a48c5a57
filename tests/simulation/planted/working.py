"""Bugs of activity workers, timers and clients."""

from __future__ import annotations

from perdure.roles.activities.dispatcher import Dispatcher
from perdure.roles.activities.leases import Leases
from perdure.roles.activities.watermark import Watermark
from perdure.roles.timers.book import TimerBook
from perdure.roles.timers.far import FarTimers
from perdure.roles.timers.keeping import Keeping
from perdure.roles.timers.offsets import HeldOffsets


def timers_are_passed_before_they_fire():
    """The shard's position passes a timer as soon as it is read."""
    return [(HeldOffsets, "low", property(lambda self: self.next))]


def tasks_are_passed_before_they_end():
    """The worker's position passes a task as soon as it is taken."""
    return [(Watermark, "low", property(lambda self: self.next))]


def a_claim_is_not_waited_for():
    """A task with a time-out begins before its lease is in the log, and the lease never gets there."""

    def claim(self, attempt, begin, expire):
        import asyncio

        loop = asyncio.get_running_loop()
        attempt.deadline = loop.call_later(attempt.task.timeout_us / 1e6, expire, attempt)
        begin(attempt)

    return [(Leases, "claim", claim)]


def what_runs_is_given_away():
    """A worker whose partition is taken leaves no lease for what runs, and does not send its result."""

    async def hand_over(self, origins, within_s):
        for attempt in list(self._attempts.values()):
            if attempt.origin in origins:
                attempt.settle()
                attempt.outcome, attempt.expired = None, True

    return [(Dispatcher, "hand_over", hand_over)]


def far_timers_are_dropped_early():
    """A slice is dropped when its time begins, and what it holds has yet to fire."""
    return [(FarTimers, "droppable", lambda self, before_us, slice_us: _begun(self.open, before_us, slice_us))]


def _begun(slices, before_us, slice_us):
    return [number for number in slices if number * slice_us <= before_us]


def timers_fire_early():
    """By half a second."""
    ordinary = TimerBook.due
    return [(TimerBook, "due", lambda self, now_us, limit: ordinary(self, now_us + 500_000, limit))]


def far_timers_are_not_recovered():
    """A new owner of a shard does not ask the store what is there."""

    async def recover(self):
        self._book.recover(self._book.window)

    return [(Keeping, "_recover", recover)]


BUGS = (
    timers_are_passed_before_they_fire, tasks_are_passed_before_they_end, a_claim_is_not_waited_for,
    what_runs_is_given_away, far_timers_are_dropped_early, timers_fire_early,
    far_timers_are_not_recovered,
)  # fmt: skip
