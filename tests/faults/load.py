"""Steady load from outside, in a thread of its own, as clients should behave: each command has an id, what was not
answered is sent again under the same one, and only what was answered counts as accepted.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from perdure.assembly import kafka_cassandra_ports
from tests.faults.doors import Again, HttpDoor, LogDoor, Refused
from tests.faults.evidence import Start, Told
from tests.faults.program import answer_to, given_to

PAUSE_SECONDS = 0.2
IN_FLIGHT_MAX = 300  # clients that wait: above it no new ones come, so that a slow machine gets behind no further
REPEAT_EVERY = 6  # one command of so many is sent again although it was answered; no divisor with the workflows' count


class Load:
    """`begin`, `settle`, any number of times; `close`. `per_second` starts; every other one through each door."""

    def __init__(self, settings, gateway, *, per_second):
        self.told = Told()
        self.retries = 0
        self.waiting = {"http": set(), "log": set()}  # instances whose clients wait for the end
        self._settings, self._gateway = settings, gateway
        self._pause = 1 / per_second
        self._number = 0
        self._producing = False
        self._open = {}
        self._ready = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="load", daemon=True)

    def start(self):
        self._thread.start()
        self._ready.result(60)

    def begin(self):
        self._producing = True

    def settle(self, seconds):
        """Start nothing more; every client has its answers, or is named as unanswered after this time."""
        self._producing = False
        asyncio.run_coroutine_threadsafe(self._settle(seconds), self._loop).result(seconds + 30)

    def close(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(60)

    async def _main(self):
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        try:
            ports = await kafka_cassandra_ports(self._settings, "load", "outside")
        except BaseException as error:
            self._ready.set_exception(error)
            return
        doors = [HttpDoor(self._gateway), LogDoor(ports, self._settings.namespace)]
        self._ready.set_result(None)
        while not self._closing.is_set():
            if self._producing and len(self._open) < IN_FLIGHT_MAX:
                self._launch(doors[self._number // 2 % 2])
            await asyncio.sleep(self._pause)
        for client in list(self._open.values()):
            client.cancel()
        await asyncio.gather(*self._open.values(), return_exceptions=True)
        for door in doors:
            await door.close()
        await ports.close()

    def _launch(self, door):
        number, self._number = self._number, self._number + 1
        client = self._loop.create_task(self._client(door, number))
        self._open[number] = client
        client.add_done_callback(lambda _: self._open.pop(number, None))

    async def _settle(self, seconds):
        clients = list(self._open.values())
        if clients:
            await asyncio.wait(clients, timeout=seconds)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _client(self, door, number):
        """One workflow's: start it, raise what it waits for, learn what became of it."""
        told, start = self.told, Start(*given_to(number))
        instance = door.mint(number, f"load-{self._settings.namespace}")
        told.asked[instance] = start
        doing = f"{instance} ({start.workflow}, {door.name}): start"
        try:
            await self._told(lambda first: door.start(instance, *start, f"start-{number}", first), number)
            told.accepted.add(instance)
            if start.workflow == "approval":
                doing, event = f"{instance}: event", f"answer-{number}"
                data = answer_to(start.given)
                await self._told(lambda _: door.raise_event(instance, "Answer", data, event), number)
                told.raised[event] = instance, data
            doing = f"{instance} ({start.workflow}, {door.name}): end"
            self.waiting[door.name].add(instance)
            told.results[instance] = await self._answered(lambda _: door.wait(instance))
        except Refused as error:
            told.refused.append(f"{doing}: {error}")
        except asyncio.CancelledError:
            told.unanswered.append(doing)
        except Exception as error:
            told.refused.append(f"{doing}: the client failed: {error!r}")
        finally:
            self.waiting[door.name].discard(instance)

    async def _told(self, ask, number):
        await self._answered(ask)
        if number % REPEAT_EVERY == 0:
            await self._answered(lambda _: ask(False))  # the first answer again, and no second effect

    async def _answered(self, ask):
        first = True
        while True:
            try:
                return await ask(first)
            except Again:
                self.retries += 1
                first = False
                await asyncio.sleep(PAUSE_SECONDS)
