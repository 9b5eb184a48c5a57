"""A TCP proxy on loopback whose links can be cut, swallow what they carry, or be slow. An event loop in a thread.

    with Proxies() as proxies:
        link = proxies.open()       # clients connect to 127.0.0.1:link.port
        link.leads_to(9092)
        link.cut()                  # connections are closed, new ones refused
        link.passes()               # as if nothing had been

Each link keeps its port while nobody listens on it: a bound socket that never listens stands beside the listening one.
Otherwise the kernel might give the port to somebody's outgoing connection, or connect a client to itself.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future

from tests.brokers.places import held_port
from tests.chaos.flow import Flow

CALL_SECONDS = 30.0


class Proxies:
    """A context manager. Links are opened at any time and closed with it."""

    def __init__(self):
        self._links = []
        self._ready = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="proxies", daemon=True)

    def __enter__(self):
        self._thread.start()
        self._ready.result(CALL_SECONDS)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(CALL_SECONDS)

    def open(self):
        link = self._call(self._open())
        self._links.append(link)
        return link

    async def _main(self):
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set_result(None)
        await self._closing.wait()
        for link in self._links:
            await link._close()

    async def _open(self):
        link = Link(self._call)
        await link._listen()
        return link

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)


class Link:
    """From a port of its own to a port on loopback. Everything takes effect before it returns; call it from any thread
    but the proxy's. `toward` is what clients send, `back` what they are answered.
    """

    def __init__(self, call):
        self._call = call
        self._held = held_port()
        self.port = self._held.getsockname()[1]
        self._target = 0
        self._toward, self._back = Flow(), Flow()
        self._connections = set()
        self._server = None

    # -- what may be done to it -------------------------------------------------------------------------------

    def leads_to(self, port):
        self._target = port

    def passes(self):
        """Mended: what had been lost ends its connection."""
        self._call(self._set())

    def cut(self):
        """Connections are closed, new ones refused."""
        self._call(self._cut())

    def swallows(self, *, toward=True, back=True):
        """Bytes are lost, connections stay, new ones are taken."""
        self._call(self._set({"swallowing": toward}, {"swallowing": back}))

    def slows(self, *, delay_s=0.0, bytes_per_s=0, toward=True, back=True):
        slow = {"delay_s": delay_s, "bytes_per_s": bytes_per_s}
        self._call(self._set(slow if toward else {}, slow if back else {}))

    @property
    def open_connections(self):
        return len(self._connections)

    # -- on the loop ------------------------------------------------------------------------------------------

    async def _set(self, toward=(), back=()):
        for each in [each for each in self._connections if each.gap]:
            each.abort()  # first: nothing is delivered behind a gap
        self._toward.set(**dict(toward))
        self._back.set(**dict(back))
        await self._listen()

    async def _cut(self):
        if self._server is not None:
            self._server.close()
            self._server = None
        for each in list(self._connections):
            each.abort()

    async def _listen(self):
        if self._server is None:
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", self.port))
            self._server = await asyncio.start_server(self._connected, sock=listening)

    async def _close(self):
        await self._cut()
        while self._connections:
            await asyncio.sleep(0)
        self._held.close()

    async def _connected(self, reader, writer):
        connection = _Connection(reader, writer)
        self._connections.add(connection)
        try:
            await connection.carry(self._target, self._toward, self._back)
        finally:
            connection.abort()
            self._connections.discard(connection)


class _Connection:
    """A client's, and the one that is its continuation. `gap`: bytes were lost."""

    def __init__(self, reader, writer):
        self.gap = False
        self._reader, self._writer = reader, writer
        self._other = None
        self._ended = asyncio.Event()

    def abort(self):
        self._ended.set()
        for writer in (self._writer, self._other):
            if writer is not None:
                writer.transport.abort()

    async def carry(self, port, toward, back):
        """Until one side has closed, or it was aborted. A target where nobody listens closes it at once."""
        try:
            reader, self._other = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        if self._ended.is_set():
            return
        for writer in (self._writer, self._other):
            writer.transport.set_write_buffer_limits(
                0
            )  # what was carried is the kernel's, which a close takes nothing of
        ways = [
            asyncio.ensure_future(toward.carry(self._reader, self._other, self._lost)),
            asyncio.ensure_future(back.carry(reader, self._writer, self._lost)),
        ]
        ended = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait({*ways, ended}, return_when=asyncio.FIRST_COMPLETED)
        for each in (*ways, ended):
            each.cancel()
        await asyncio.gather(*ways, ended, return_exceptions=True)

    def _lost(self):
        self.gap = True
