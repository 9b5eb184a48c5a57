"""HTTP on one connection: uvicorn's, with an end to its patience.

uvicorn waits for ever for a request's first byte, for the rest of its head and for its body. Here a whole head has to be
there within a time of the connection's begin (after TLS), or of the end of the last request; a whole body within a time
of its head. A long poll waits for us, not for its caller, and is not counted.

Nor does uvicorn ask whether an answer is read. Here one that does not all leave is looked at after each time of a body: its
caller has read some of it since, or is cut off. Not a time for the whole answer: a large one over a slow line is honest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from asyncio.trsock import TransportSocket
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from perdure.core.limits import GATEWAY_READ_BYTES_MIN
from perdure.gateway.connections import CONNECTION, Connection

__all__ = ["GatewayProtocol"]


class GatewayProtocol(H11Protocol):
    def __init__(
        self,
        connection: Connection,
        config: uvicorn.Config,
        server_state: ServerState,
        *,
        head_seconds: float,
        body_seconds: float,
    ) -> None:
        super().__init__(config, server_state, {CONNECTION: connection})
        self._connection = connection
        self._seconds: dict[Any, float] = {h11.IDLE: head_seconds, h11.SEND_BODY: body_seconds}
        self._awaited: tuple[Any, object] | None = (
            None  # what the timer runs for: a state of theirs, and after which request
        )
        self._timer: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._has_ended = False  # its side of the connection
        self._socket: TransportSocket | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._socket = transport.get_extra_info("socket")
        self._connection.let_go = self._cut_off
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._reading is not None:
            self._reading.cancel()
        self._connection.leave()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.transport.is_closing():
            return
        if self.cycle is not before:
            self._connection.become_stranger()
        self._watch()

    def on_response_complete(self) -> None:
        answered = self.cycle
        super().on_response_complete()
        answered.body = bytearray()  # what came of a body that nobody has read would stay as long as the connection
        self._watch_reading()

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        self._watch_reading()

    def eof_received(self) -> None:
        super().eof_received()
        self._has_ended = True
        self._watch_reading()

    def _watch(self) -> None:
        theirs = self.conn.their_state
        if self._awaited == (theirs, self.cycle):
            return
        self._awaited = (theirs, self.cycle)
        self._stop_timer()
        if theirs in self._seconds:
            self._timer = self.loop.call_later(self._seconds[theirs], self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_reading(self) -> None:
        """From now on. More than one answer on their way are looked at together."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        unread = self._unread()
        if unread or self._has_ended:
            self._reading = self.loop.call_later(self._seconds[h11.SEND_BODY], self._look_at_reading, unread)

    def _look_at_reading(self, before: int) -> None:
        self._reading = None
        unread = self._unread()
        if before - unread >= GATEWAY_READ_BYTES_MIN:
            self._watch_reading()
        elif unread or self._has_ended:
            self._cut_off()

    def _unread(self) -> int:
        """Bytes that have not left. TLS hides what is below it: more than it takes there is seen, and its close has an end."""
        is_hidden = self.scheme == "https" and self.transport.is_closing()
        return 0 if is_hidden else self.transport.get_write_buffer_size()

    def _cut_off(self) -> None:
        self.transport.abort()
        if self._socket is not None:
            with contextlib.suppress(
                OSError
            ):  # closed two times over, TLS has forgotten its transport, which then stays
                self._socket.shutdown(socket.SHUT_RDWR)

    def _too_slow(self) -> None:
        """Who is sending a body is told so. What was answered before still leaves."""
        if self.transport.is_closing():
            return
        if self.conn.their_state is not h11.SEND_BODY or self.cycle.response_started:
            self.transport.close()
            return
        text = f"the body was not there after {self._seconds[h11.SEND_BODY]:g} s: send it faster, or less"
        body = json.dumps({"errorCode": "ERR_REQUEST_TOO_SLOW", "message": text}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        events = (
            h11.Response(status_code=408, headers=headers, reason=b"Request Timeout"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._watch_reading()
        self.cycle.disconnected = True  # the application stops waiting, and what it would answer goes nowhere
        self.cycle.message_event.set()
