"""Timers as the store holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog

from perdure.codec.avro import decode
from perdure.core.effects import SetTimer
from perdure.ports.store import EPOCH_SHIFT, StoredTimer, TimerKey
from perdure.roles.dead_letters import run_partition
from perdure.roles.timers.near import Identity, Timer, identity_of, parts_of

__all__ = ["read_rows", "removal_of", "row_of"]

logger = structlog.get_logger(__name__)


def row_of(timer: Timer, epoch: int) -> StoredTimer:
    """Of a timer that is still to be written, so that its offset is known."""
    return StoredTimer(timer.fire_at_us, *_place(timer.identity), timer.value, epoch << EPOCH_SHIFT | timer.offset)


def removal_of(identity: Identity, offset: int, epoch: int) -> TimerKey:
    """`offset`: of the record that cancelled or moved it."""
    return (*_place(identity), epoch << EPOCH_SHIFT | offset)


def _place(identity: Identity) -> tuple[str, str]:
    """(instance id, "run/generation/task/attempt/kind")."""
    key, name = parts_of(identity)
    return key.decode(), name


def read_rows(rows: Iterable[StoredTimer], partitions: int) -> Iterator[tuple[Identity, int, int]]:
    """(identity, fire_at_us, target) of each row; one that cannot be read is named in the log and left out."""
    for row in rows:
        try:
            request = decode(row.value)
            if type(request) is not SetTimer:
                raise ValueError(f"a {type(request).__name__} is no timer")  # noqa: TRY301
            target = run_partition(request.run, partitions)
            identity = identity_of(row.instance_id.encode(), request)
        except ValueError as error:
            logger.warning(
                "a stored timer cannot be read", instance=row.instance_id, timer=row.identity, reason=str(error)
            )
            continue
        yield identity, request.fire_at_us, target
