"""Timers as the store holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog

from perdure.codec.avro import decode
from perdure.core.effects import SetTimer
from perdure.ports.store import StoredTimer
from perdure.roles.dead_letters import run_partition
from perdure.roles.timers.near import Identity, Timer

__all__ = ["read_rows", "row_key", "row_of"]

logger = structlog.get_logger(__name__)


def row_of(timer: Timer) -> StoredTimer:
    instance_id, name = row_key(timer.identity)
    return StoredTimer(timer.fire_at_us, instance_id, name, timer.value)


def row_key(identity: Identity) -> tuple[str, str]:
    """(instance id, "run/generation/task/attempt/kind")."""
    return identity[0].decode(), "/".join(map(str, identity[1:]))


def read_rows(rows: Iterable[StoredTimer], partitions: int) -> Iterator[tuple[bytes, SetTimer, int, bytes]]:
    """(key, request, target, value) of each row; one that cannot be read is named in the log and left out."""
    for row in rows:
        try:
            request = decode(row.value)
            if type(request) is not SetTimer:
                raise ValueError(f"a {type(request).__name__} is no timer")  # noqa: TRY301
            target = run_partition(request.run, partitions)
        except ValueError as error:
            logger.warning(
                "a stored timer cannot be read", instance=row.instance_id, timer=row.identity, reason=str(error)
            )
            continue
        yield row.instance_id.encode(), request, target, row.value
