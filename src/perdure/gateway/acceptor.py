"""Accepts connections. Each is counted by its peer's address before anything is read, TLS handshakes included.

asyncio's own server tells nobody of a connection until its handshake is done, and nobody of one that never is.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from perdure.gateway.connections import Connection, Connections

__all__ = ["Acceptor"]

log = structlog.get_logger(__name__)

PAUSE_SECONDS: Final = 0.1
"""After an accept that failed: file descriptors come free as connections end."""

_OUT_OF_FILES: Final = (errno.EMFILE, errno.ENFILE)


class Acceptor:
    """`made` gives the protocol of a connection. `handshake_seconds` bounds TLS from the first byte to the last."""

    def __init__(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        handshake_seconds: float,
        made: Callable[[Connection], asyncio.Protocol],
    ) -> None:
        self.connections = Connections()
        self._listener = listener
        self._tls = tls
        self._handshake_seconds = None if tls is None else handshake_seconds
        self._made = made
        self._accepting: asyncio.Task[None] | None = None
        self._welcoming: set[asyncio.Task[bool]] = set()

    def start(self) -> None:
        self._listener.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def stop(self) -> None:
        """Nobody else comes in. Those who are in stay."""
        tasks: list[asyncio.Task[None] | asyncio.Task[bool]] = [*self._welcoming]
        tasks += [self._accepting] if self._accepting is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(self._listener)
            except OSError as error:
                if error.errno in _OUT_OF_FILES:  # strangers are the ones to go, for whoever waits may have a token
                    self.connections.let_one_go()
                    log.warning("no file descriptor is left for a connection: raise the limit of open files")
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            connection = Connection(self.connections, peer[0])
            task = loop.create_task(self._welcome(accepted, connection))
            connection.let_go = task.cancel
            self.connections.enter(connection)
            self._welcoming.add(task)
            task.add_done_callback(partial(self._welcomed, accepted, connection))
            await asyncio.sleep(0)  # many who come at once hold nobody else up

    async def _welcome(self, accepted: socket.socket, connection: Connection) -> bool:
        """Whether its protocol has it: then that tells when it leaves."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._made(connection), accepted, ssl=self._tls, ssl_handshake_timeout=self._handshake_seconds
            )
        except OSError:  # the handshake failed, or took too long: the peer's affair
            return False
        except asyncio.CancelledError:
            # The handshake may have ended in the turn in which it was let go. asyncio then asks the peer to close, too, and
            # waits for that; its protocol's way ends it now, whatever the peer does.
            connection.let_go()
            raise
        return True

    def _welcomed(self, accepted: socket.socket, connection: Connection, task: asyncio.Task[bool]) -> None:
        self._welcoming.discard(task)
        if task.cancelled() or not task.result():
            connection.leave()
            # A transport that was made has closed it by now. Closed under a living one, its number would stay in the selector,
            # and whoever got that number next would not be heard.
            accepted.close()
