"""An event loop for many simulated processes: time is a number, and a seed says who goes next.

**Law.** Each process keeps asyncio's own order, as if it had a loop to itself; between processes that could go on at the
same moment the seed decides, one callback at a time. Time moves only when nobody can go on. So whatever depends on the
order of things in different processes is tried in many orders, and nothing that one process may rely on is broken.

A callback belongs to the process whose context it was made in; tasks, timers and futures hand that on by themselves.
What a process that has died had begun is never resumed and never cancelled: its callbacks are dropped where they stand.
Those of a paused one are kept, and run when it goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections import deque

CALLBACKS_AT_ONE_TIME_MAX = 100_000
"""Somebody spins: time would never move again."""

CALLBACKS_MAX = 400_000
"""Of a whole simulation, ten times what an ordinary one takes: somebody tries again and again."""

EARLIEST_S = 1e-6
"""Two times this close are one."""

OWNER: contextvars.ContextVar = contextvars.ContextVar("simulated process")


class Spinning(Exception):
    """Callbacks without end at one moment."""


class Lane:
    """What one process could do now. `halted`: it cannot for a while; `dead`: it never will."""

    def __init__(self, name):
        self.name = name
        self.halted = False
        self.dead = False
        self.ready = deque()
        self.countdowns = []  # [callbacks until then, what is done then]
        self.context = contextvars.copy_context()
        self.context.run(OWNER.set, self)


class SimulationLoop(asyncio.BaseEventLoop):
    """`time()` counts seconds from 0; `drive` runs a coroutine to its end. `world` is the lane of what never dies."""

    def __init__(self, random):
        super().__init__()
        self.random = random
        self.world = Lane("world")
        self.callbacks = 0
        self.on_complaint = lambda text: None  # what asyncio would have logged
        self._now = 0.0
        self._numbers = itertools.count()
        self._timers = []
        self._runnable = []  # lanes that have something to do, in the order in which they got it
        self._at_once = 0
        self._at_the_end = False
        self._unmade = []  # callbacks of the dead: what holds on to them must not be collected before the end
        self._halted = []
        self._names = itertools.count(1)

    def time(self):
        return self._now

    # -- what asyncio asks of a loop --------------------------------------------------------------------------

    def call_soon(self, callback, *args, context=None):
        handle = asyncio.Handle(callback, args, self, context)
        self._put(self._lane_of(handle), handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def create_task(self, coro, *, name=None, context=None):
        owner = self._owner_in(context) if context is not None else OWNER.get(self.world)
        return super().create_task(coro, name=name or f"{owner.name}#{next(self._names)}", context=context)

    def _timer_handle_cancelled(self, handle):
        """It stays in the heap and is passed over."""

    def _process_events(self, event_list):
        """There are none."""

    def _write_to_self(self):
        """Nobody sleeps."""

    def default_exception_handler(self, context):
        error = context.get("exception")
        self.on_complaint(f"{context.get('message', '')} {type(error).__name__ if error else ''}: {error or ''}")

    # -- lanes ------------------------------------------------------------------------------------------------

    def _lane_of(self, handle):
        return self._owner_in(handle._context)

    def _owner_in(self, context):
        return context.get(OWNER, self.world)

    def _put(self, lane, handle):
        if lane.dead and not self._at_the_end:
            self._unmade.append((lane, handle))
            return
        if not lane.ready and (not lane.halted or self._at_the_end):
            self._runnable.append(lane)
        lane.ready.append(handle)

    def halt(self, lane):
        lane.halted = True
        self._halted.append(lane)
        if lane in self._runnable:
            self._runnable.remove(lane)

    def go_on(self, lane):
        lane.halted = False
        if lane.ready and lane not in self._runnable:
            self._runnable.append(lane)

    def bury(self, lane):
        """It has died."""
        lane.dead = True
        self._unmade += [(lane, handle) for handle in lane.ready]
        lane.ready.clear()
        if lane in self._runnable:
            self._runnable.remove(lane)

    def resurrect(self):
        """For the very end: callbacks of the dead run as others do, so that what is cancelled comes to its end."""
        self._at_the_end = True
        unmade, self._unmade = self._unmade, []
        for lane, handle in unmade:
            self._put(lane, handle)
        for lane in self._halted:
            self.go_on(lane)

    def run_some(self, callbacks=200_000):
        """Until nobody can go on at this moment, or so many callbacks have run."""
        self._at_once = 0
        asyncio._set_running_loop(self)
        try:
            while self._runnable and callbacks:
                callbacks -= 1
                self._step()
        finally:
            asyncio._set_running_loop(None)

    # -- running ----------------------------------------------------------------------------------------------

    def drive(self, work):
        """Run until `work` ends, and return what it does."""
        task = self.create_task(work, context=self.world.context)
        task.add_done_callback(lambda _: self.stop(), context=self.world.context)
        self.run_forever()
        return task.result()

    def _run_once(self):
        while not self._runnable:
            if not self._move_time():
                raise RuntimeError("nothing can happen any more, and the simulation has not ended")
        self._step()

    def _step(self):
        place = int(self.random.random() * len(self._runnable)) if len(self._runnable) > 1 else 0
        lane = self._runnable[place]
        handle = lane.ready.popleft()
        if not lane.ready:
            self._runnable.pop(place)
        if handle._cancelled:
            return
        self.callbacks += 1
        self._at_once += 1
        if self._at_once > CALLBACKS_AT_ONE_TIME_MAX:
            raise Spinning(f"{lane.name} and others never rest: {_named(handle)}")
        if self.callbacks > CALLBACKS_MAX and not self._at_the_end:
            raise Spinning(f"{lane.name} and others do too much: {_named(handle)}")
        handle._run()
        if lane.countdowns:
            self._count_down(lane)

    def _count_down(self, lane):
        for each in lane.countdowns:
            each[0] -= 1
        due = [work for left, work in lane.countdowns if left <= 0]
        lane.countdowns = [each for each in lane.countdowns if each[0] > 0]
        for work in due:
            work()

    def _move_time(self):
        timers = self._timers
        while timers and (timers[0][2]._cancelled or self._lane_of(timers[0][2]).dead):
            heapq.heappop(timers)
        if not timers:
            return False
        self._now = max(self._now, timers[0][0])
        self._at_once = 0
        while timers and timers[0][0] <= self._now + EARLIEST_S:
            handle = heapq.heappop(timers)[2]
            if not handle._cancelled:
                self._put(self._lane_of(handle), handle)
        return True


def _named(handle):
    """Without addresses: a trace is to be the same whenever it is made."""
    return getattr(handle._callback, "__qualname__", type(handle._callback).__name__)
