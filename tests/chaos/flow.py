"""One direction of a link: what happens to bytes on their way.

Law: a stream has no gaps. TCP delivers each byte after the one before it, or nothing more; so a connection that has lost
bytes here delivers nothing from then on, and is closed when the link is mended (as by a router that has forgotten it).
Rejected: to go on after the gap, which would show clients what no network ever shows them.
"""

from __future__ import annotations

import asyncio

CHUNK_BYTES = 16_384
CHUNKS_UNDER_WAY = 64  # in a slow flow; more wait in the sender's socket, as they would on a long line


class Flow:
    """`delay_s`: each byte arrives so much later. `bytes_per_s`: of each connection; 0 is as fast as can be.
    `swallowing`: nothing arrives, not even that a side has closed.
    """

    def __init__(self):
        self.delay_s = 0.0
        self.bytes_per_s = 0
        self._passing = asyncio.Event()
        self._passing.set()

    @property
    def swallowing(self):
        return not self._passing.is_set()

    def set(self, *, delay_s=0.0, bytes_per_s=0, swallowing=False):
        self.delay_s, self.bytes_per_s = delay_s, bytes_per_s
        (self._passing.clear if swallowing else self._passing.set)()

    async def carry(self, reader, writer, lost):
        """From one side to the other, until the first has closed. `lost()` is told of bytes that will never arrive."""
        under_way = asyncio.Queue(CHUNKS_UNDER_WAY)
        taking = asyncio.ensure_future(self._take(reader, under_way))
        try:
            await self._give(under_way, writer, lost)
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)

    async def _take(self, reader, under_way):
        now = asyncio.get_running_loop().time
        try:
            while data := await reader.read(CHUNK_BYTES):
                await under_way.put((now() + self.delay_s, data))
        except OSError:
            pass  # reset: over, as by a close
        await under_way.put((now() + self.delay_s, b""))

    async def _give(self, under_way, writer, lost):
        now = asyncio.get_running_loop().time
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - now()))
            if not data:
                await self._passing.wait()
                return
            if self.swallowing:
                lost()
                continue
            writer.write(data)
            await writer.drain()
            if self.bytes_per_s:
                await asyncio.sleep(len(data) / self.bytes_per_s)
