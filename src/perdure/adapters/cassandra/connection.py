"""A connection that queues what its socket does not take at once.

The driver's own refuses every request while the socket is full (ConnectionBusy), so that another node may be asked; a few
payloads of 1 MB fill it. There is no other node to prefer: the append would fail, be repeated with all its bytes, and fail
again for as long as the payloads are large. And each refusal keeps a stream id of the connection for good. What waits here
is bounded already: by the requests that `CassandraSettings.in_flight` lets begin, and by their time-out.

Rejected: sending a refused request again after a pause. It polls, and loses the stream ids all the same.

Imported only where the driver has its libev reactor (`connecting.reactor`).
"""

from __future__ import annotations

from cassandra.io.libevreactor import LibevConnection

__all__ = ["QueueingConnection"]


class QueueingConnection(LibevConnection):  # type: ignore[misc]
    @property
    def _socket_writable(self) -> bool:
        """The driver sets it by what the socket took last, and reads it only to refuse (cassandra-driver 3.29)."""
        return True

    @_socket_writable.setter
    def _socket_writable(self, value: bool) -> None:
        pass
