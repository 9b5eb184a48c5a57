"""Reads that need no owner: listings and histories, from the history store."""

from __future__ import annotations

import asyncio
from typing import Any

from perdure.client.errors import InstanceNotFound
from perdure.codec.avro import decode
from perdure.core.replies import InstanceSnapshot
from perdure.core.rows import InstanceRow
from perdure.ports.store import HistoryStore

__all__ = ["CATCH_UP_SECONDS", "snapshot_of", "stored_history"]

CATCH_UP_SECONDS = 2.0
"""The store is written behind the log: how long a history waits for it to hold what the owner has decided."""

LOOK_AGAIN_SECONDS = 0.05


async def stored_history(store: HistoryStore, instance_id: str, known: InstanceSnapshot | None) -> list[Any]:
    """Events of the latest run and generation. `known`: what the owner said of it; None if the owner was silent."""
    if known is not None:
        await _catch_up(store, known)
    found = (await store.load([instance_id])).get(instance_id)
    if found is not None and found.row.status != "PURGED":
        return [decode(event.value) for event in found.events]
    if known is None:
        raise InstanceNotFound(f"no workflow instance has the ID '{instance_id}'")
    return []  # the owner has it, the store not yet


async def _catch_up(store: HistoryStore, known: InstanceSnapshot) -> None:
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + CATCH_UP_SECONDS
    while loop.time() < give_up_at:
        found = (await store.load([known.instance_id], events=False)).get(known.instance_id)
        if found is not None and _is_at_least(found.row, known):
            return
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _is_at_least(row: InstanceRow, known: InstanceSnapshot) -> bool:
    if row.run != known.run:
        return row.created_at_us > known.created_at_us
    return (row.generation, row.last_seq) >= (known.generation, known.events)


def snapshot_of(row: InstanceRow) -> InstanceSnapshot:
    """A stored row in the shape in which the owner answers."""
    return InstanceSnapshot(
        row.instance_id, row.run, row.generation, row.name, row.status, row.created_at_us, row.updated_at_us,
        row.input, row.output, row.custom_status, row.error_type, row.error_message, row.stack_trace, row.parent_id,
        row.last_seq,
    )  # fmt: skip
