"""A connection that queues what its socket does not take at once.

The driver's own refuses every request while the socket is full (ConnectionBusy), so that another node may be asked; a few
payloads of 1 MB fill it. There is no other node to prefer: the append would fail, be repeated with all its bytes, and fail
again for as long as the payloads are large. And each refusal keeps a stream id of the connection for good.

The law: what waits here is less than QUEUED_BYTES_MAX and one request. What is in flight is less by itself
(`requests.IN_FLIGHT_BYTES_MAX`); but requests that ran out of time stay in the queue of a node that takes nothing, and are
repeated. From there on requests are refused, and leave their stream id behind for the next.

Rejected: sending a refused request again after a pause. It polls, and loses the stream ids all the same.

Imported only where the driver has its libev reactor (`connecting.reactor`).
"""

from __future__ import annotations

from typing import Any

from cassandra.connection import ConnectionBusy
from cassandra.io.libevreactor import LibevConnection

__all__ = ["QUEUED_BYTES_MAX", "QueueingConnection"]

QUEUED_BYTES_MAX = 64 * 1024 * 1024


class QueueingConnection(LibevConnection):  # type: ignore[misc]
    @property
    def _socket_writable(self) -> bool:
        """The driver sets it by what the socket took last, and reads it only to refuse (cassandra-driver 3.30)."""
        return True

    @_socket_writable.setter
    def _socket_writable(self, value: bool) -> None:
        pass

    def send_msg(self, msg: Any, request_id: int, *more: Any, **named: Any) -> int:
        if len(self.deque) * self.out_buffer_size >= QUEUED_BYTES_MAX:  # it is queued in pieces of that size
            with self.lock:
                self.in_flight -= 1
                self.request_ids.append(request_id)
            raise ConnectionBusy(f"{self.endpoint} takes nothing: {QUEUED_BYTES_MAX:,} bytes wait for it")
        return super().send_msg(msg, request_id, *more, **named)  # type: ignore[no-any-return]
