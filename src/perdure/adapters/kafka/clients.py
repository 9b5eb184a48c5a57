"""aiokafka's network clients, below all else: two faults of theirs mended, and an end within a bound.

Law: nothing here waits for aiokafka longer than it says. A cancelled call of aiokafka may catch its cancellation and
go on waiting (for a server that keeps connections and does not answer), so a time-out that waits for the cancelled
call is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import CoordinatorNotAvailableError, RequestTimedOutError

__all__ = ["bounded", "close_client", "mend", "settled"]

log = structlog.get_logger(__name__)
CLOSE_SECONDS_MAX = 1.0


async def bounded(work: Coroutine[Any, Any, None], seconds: float) -> bool:
    """Runs it for at most so long and then leaves it, cancelled. Whether it ended by itself. Raises what it raises."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_retrieve)
    if not task.done():
        return False
    task.result()
    return True


async def settled(tasks: set[asyncio.Task[Any]], seconds: float) -> None:
    """Waits for cancelled tasks of aiokafka's, and no longer than it is worth."""
    for task in tasks:
        task.cancel()
        task.add_done_callback(_retrieve)
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """asyncio would complain of an error that nobody asked for."""
    if not task.cancelled():
        task.exception()


def mend(client: AIOKafkaClient) -> None:
    """Two errors that no task of aiokafka expects become ones after which each of them asks again.

    A request that times out after its connection was replaced ends in KeyError, and a look-up of a coordinator while
    a cluster that starts knows no broker yet in AssertionError. Fetchers, heartbeats and coordinators die of them, and
    a consumer then waits for ever.
    """
    send, look_up = client.send, client.coordinator_lookup

    async def answered(node_id: int, request: object, **options: object) -> object:
        try:
            return await send(node_id, request, **options)
        except KeyError as error:
            raise RequestTimedOutError from error

    async def looked_up(kind: object, key: str) -> object:
        if client.get_random_node() is None:
            raise CoordinatorNotAvailableError
        return await look_up(kind, key)

    client.send, client.coordinator_lookup = answered, looked_up


class _Closed(dict[Any, Any]):
    """Connections of a client that was closed: one that is still being made is closed when it is there."""

    def __setitem__(self, key: Any, connection: Any) -> None:
        connection.close()
        super().__setitem__(key, connection)


async def close_client(client: AIOKafkaClient) -> None:
    """Closes a client for good, whatever its tasks do: a request under way must not connect anew."""

    async def refuse(*_: object, **__: object) -> None:
        return None

    connections = list(client._conns.values())
    transports = [connection._writer.transport for connection in connections if connection._writer is not None]
    client._get_conn, client._conns = refuse, _Closed(client._conns)
    ended = False
    try:
        ended = await bounded(_close(client), CLOSE_SECONDS_MAX)
    except Exception as error:  # noqa: BLE001 - of a task of the client that died before
        log.debug("a client ended with an error", error=type(error).__name__)
    finally:
        if not ended:
            for connection in connections:
                connection.close()
            for transport in transports:
                transport.abort()  # closing waits until a server has taken what was sent, and a hanging one takes nothing


async def _close(client: AIOKafkaClient) -> None:
    async with client._get_conn_lock:  # a connection that is being made is among the others afterwards
        pass
    await client.close()
