"""Between a process and its servers: calls that take time, come late, get lost, or whose answers do.

A call is two journeys. What was sent arrives even if its sender has died since, or has given up waiting. The server's
part runs in the world's own lane, and at once: a server is atomic where the real one is.
"""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass

from perdure.ports.errors import LogClosed, LogUnavailable, PortError, StoreUnavailable

JOURNEY_S = 0.002  # the longest ordinary one
LATE_S = 12.0  # the longest of those that come late
PATIENCE_S = {"log": 4.0, "store": 2.0}


@dataclass(slots=True)
class Rates:
    """Of a hundred calls, how many …"""

    requests_lost: float = 0.0
    answers_lost: float = 0.0
    late: float = 0.0
    refused: float = 0.0  # by the server, which did nothing


STEADY = Rates()


class Host:
    """One life of a process, as its servers see it."""

    def __init__(self, world, process):
        self.world = world
        self.process = process
        self.lane = process.lane
        self.name = process.name
        self.random = process.random
        self.closed = False
        self._last = {}  # when the latest of those arrives that keep their order
        self.members = []

    @property
    def loop(self):
        return self.world.loop

    def check_open(self):
        if self.closed or self.world.over:
            raise LogClosed(f"the log of {self.name} was closed in this process")

    def reaches(self, server):
        """Whether what is sent now gets there."""
        return not self.world.is_down(server) and server not in self.process.cut_from

    async def call(self, server, work, label, *, lost=None, refused=None, ordered=None, patience_s=None, steady=False):
        """What `work` returns or raises, done by the server. `lost`: raised where no answer comes; `refused`: where the
        server is asked to refuse it, None if it never does. `steady`: chance does not touch it.
        """
        loop, rates = self.loop, STEADY if steady else self.world.rates[server]
        answer = loop.create_future()
        chance = self.random.random() * 100
        slow = self.process.slowness_s + self.world.slowness_s(server)
        journey = self.random.random() * (JOURNEY_S + slow)
        back = self.random.random() * (JOURNEY_S + slow)
        fate = ""
        if not self.reaches(server) or chance < rates.requests_lost:
            fate = "request lost"
        elif (chance := chance - rates.requests_lost) < rates.answers_lost:
            fate = "answer lost"
        elif (chance := chance - rates.answers_lost) < rates.late:
            fate, journey = "late", self.random.random() * LATE_S
        elif chance - rates.late < rates.refused and refused is not None:
            fate = "refused"
        at = loop.time() + journey
        if ordered is not None:
            at = self._last[ordered] = max(at, self._last.get(ordered, 0.0) + 1e-7)
        if fate:
            self.world.trace(self.name, label, fate)
        if fate != "request lost":
            arrive = self._arrive, server, work, label, fate, answer, back, refused
            loop.call_at(at, *arrive, context=loop.world.context)
        waits = PATIENCE_S[server] if patience_s is None else patience_s
        giving_up = loop.call_later(waits, _fail, answer, lost or _silence(server, label))
        try:
            return await answer
        finally:
            giving_up.cancel()

    def _arrive(self, server, work, label, fate, answer, back, refused):
        if self.world.over or self.world.is_down(server):
            return
        if fate == "refused":
            self._reply(answer, None, refused, back)
            return
        try:
            done = work()
        except (PortError, ValueError) as error:
            self.world.trace(self.name, label, f"{type(error).__name__}: {error}")
            if fate != "answer lost":
                self._reply(answer, None, error, back)
            return
        if inspect.isawaitable(done):
            task = asyncio.ensure_future(done)
            task.add_done_callback(lambda _: self._done(task, fate, answer, back))
        elif fate != "answer lost":
            self._reply(answer, done, None, back)

    def _done(self, task, fate, answer, back):
        if task.cancelled() or fate == "answer lost":
            return
        error = task.exception()
        self._reply(answer, None if error else task.result(), error, back)

    def _reply(self, answer, value, error, back):
        loop = self.loop
        loop.call_later(back, _settle, answer, value, error, context=loop.world.context)


def _silence(server, label):
    kind = LogUnavailable if server == "log" else StoreUnavailable
    return kind(f"the {server} did not answer in time ({label})")


def _settle(answer, value, error):
    if not answer.done():
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)


def _fail(answer, error):
    _settle(answer, None, error)
