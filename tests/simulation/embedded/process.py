"""The process of an embedded engine, which can die between any two steps of the loop and be started again.

Every task that belongs to a life of it is known by a context variable, which tasks and timers inherit.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from perdure.assembly import Engine, memory_ports

OWNER = ContextVar("owner", default=None)


class Process:
    """`ports` are the first life's; later ones are beside them, on the same broker and stores."""

    def __init__(self, loop, ports, settings):
        self.ports = ports
        self.settings = settings
        self.lives = 0
        self._dead = set()
        self._tasks = []
        self._own = None
        loop.set_task_factory(self._make_task)

    async def start(self, app):
        self.lives += 1
        self._own = memory_ports(self.ports.clock, self.ports.entropy, beside=self.ports)
        self.engine = Engine(app, self._own, self.settings)
        token = OWNER.set(self.lives)
        try:
            await self.engine.start()
        finally:
            OWNER.reset(token)

    def crash(self):
        """Nothing is closed, nothing is said."""
        self._own.log.crash()
        self._dead.add(self.lives)
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            _end(task)

    async def stop(self):
        await self.engine.stop()

    def _make_task(self, loop, work, **more):
        task = asyncio.Task(work, loop=loop, **more)
        owner = OWNER.get()
        if owner in self._dead:
            _end(task)  # of a timer of the dead
        elif owner is not None:
            self._tasks = [each for each in self._tasks if not each.done()]
            self._tasks.append(task)
        return task


def _end(task):
    task.cancel()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
