"""One simulated process, over all its lives: it starts, may crash or stand still at any moment, and is started again.

A crash abandons it. Whatever it had begun is never resumed, no `finally` of it runs, and what it still sends never
leaves. What had left before may arrive. A new life has a new name, as a new process has a new id.
"""

from __future__ import annotations

import asyncio
import random as random_of

from tests.simulation.world.loop import Lane

RESTART_S = 0.5


class Process:
    """`main(process)` is what one life runs; it returns or raises when the process exits."""

    def __init__(self, world, role, number, main):
        self.world = world
        self.role = role
        self.number = number
        self.place = f"{role}-{number}"
        self.main = main
        self.wanted = True  # it is to run: what exits is started again
        self.version = 1  # of the user's code that the next life loads
        self.life = 0
        self.lane = None
        self.paused = False
        self.cut_from = set()  # "log", "store": what it cannot reach
        self.slowness_s = 0.0  # added to what it sends and is sent
        self.skew_us = 0
        self.stopping = None  # called by a graceful stop
        self.task = None
        self.down_s = RESTART_S  # before its next life
        self.started_at = 0.0
        self.again_s = RESTART_S  # how long the last of those pauses was that grow
        self.silent_since = None
        self.service_version = 1  # of the code that this life has loaded
        self.hosts = []  # what it has opened in this life

    @property
    def name(self):
        return f"{self.place}.{self.life}"

    @property
    def running(self):
        return self.lane is not None and not self.lane.dead

    def start(self):
        """A new life."""
        self.life += 1
        self.paused = False
        self.cut_from = set()
        self.slowness_s = 0.0
        self.stopping = None
        self.started_at = self.world.loop.time()
        self.service_version = self.version
        self.hosts = []
        self.lane = Lane(self.name)
        self.random = random_of.Random(f"{self.world.seed} {self.name}")
        self.world.trace(self.name, "starts", f"version {self.version}")
        loop = self.world.loop
        self.task = loop.create_task(self._live(), context=self.lane.context)

    async def _live(self):
        try:
            await self.main(self)
            outcome = "exits"
        except (Exception, asyncio.CancelledError) as error:  # a process that ends by an error ends
            if self.world.over:
                raise
            outcome = f"exits by {type(error).__name__}: {error}"
            self.world.note_exit(self, error)
        self._over(outcome)

    def crash(self, why="crashes"):
        if self.running:
            self.world.keep_remains(self.lane)
            self._over(why)

    def after(self, callbacks, work):
        """At the end of its nth callback from now: between any two awaits."""
        if self.running:
            self.lane.countdowns.append([callbacks, work])

    def disarm(self):
        """What `after` waits for does not happen."""
        if self.running:
            self.lane.countdowns = []

    def _over(self, how):
        lane, self.lane = self.lane, None
        self.world.loop.bury(lane)
        self.world.trace(lane.name, how)
        self.world.gone(self, lane)

    def stop(self):
        """SIGTERM."""
        if self.running and self.stopping is not None:
            self.world.trace(self.name, "is told to stop")
            self.stopping()
            return True
        return False

    def pause(self):
        """SIGSTOP."""
        if self.running and not self.paused:
            self.paused = True
            self.world.loop.halt(self.lane)
            self.world.trace(self.name, "stands still")
            self.world.reachability_changed(self)

    def go_on(self):
        if self.running and self.paused:
            self.paused = False
            self.world.loop.go_on(self.lane)
            self.world.trace(self.name, "goes on")
            self.world.reachability_changed(self)

    def cut(self, from_what):
        if self.running:
            self.cut_from |= {from_what}
            self.world.trace(self.name, f"cannot reach the {from_what}")
            self.world.reachability_changed(self)

    def mend(self):
        if self.running and (self.cut_from or self.slowness_s):
            self.cut_from, self.slowness_s = set(), 0.0
            self.world.trace(self.name, "reaches everything again")
            self.world.reachability_changed(self)

    @property
    def heartbeats(self):
        """The broker hears of it."""
        return self.running and not self.paused and "log" not in self.cut_from
