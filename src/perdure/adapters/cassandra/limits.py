"""Whether the store takes what the engine writes: the largest row, and the largest request. Asked at start and by bootstrap.

A node with lower limits refuses one row for ever, in the middle of work, and everything committed after it waits behind
it. Each node has its own settings and tells only those, so each is asked. Who may not read them is told so and goes on:
not every cluster lets its users.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from perdure.adapters.cassandra.batches import ROW_BYTES
from perdure.adapters.cassandra.driver import FAILURES, Driver
from perdure.adapters.cassandra.errors import reason
from perdure.adapters.cassandra.requests import REQUEST_BYTES_MAX, REQUEST_STATEMENTS_MAX
from perdure.core.limits import DERIVED_ID_BYTES_MAX, NAME_BYTES_MAX, RECORD_BYTES_MAX

__all__ = ["check_limits", "compare"]

ROW_BYTES_MAX: Final = RECORD_BYTES_MAX + 64 * 1024
"""Of one row and its request: an event, a timer or an instance as one record, and its key."""

MIXED_BATCH_BYTES_MAX: Final = REQUEST_BYTES_MAX + REQUEST_STATEMENTS_MAX * (
    DERIVED_ID_BYTES_MAX + NAME_BYTES_MAX + ROW_BYTES
)
"""Of a batch of several partitions. One of a single partition is one mutation for Cassandra, whose batch limit passes it."""

UNITS: Final = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
OLD_NAMES: Final = {"_in_kb": "KiB", "_in_mb": "MiB", "_in_bytes": "B"}
"""Endings of names up to Cassandra 4.0, whose values are bare numbers."""


class Rule(NamedTuple):
    """One setting of a node, and the least that it may be."""

    name: str
    least: int
    why: str


MUTATION: Final = Rule("max_mutation_size", ROW_BYTES_MAX, "larger rows are refused")
SEGMENT: Final = Rule("commitlog_segment_size", 2 * ROW_BYTES_MAX, "rows larger than half of it are refused")
OTHERS: Final = (
    Rule("native_transport_max_frame_size", ROW_BYTES_MAX, "larger requests are refused"),
    Rule("native_transport_max_message_size", ROW_BYTES_MAX, "larger requests are refused"),
    Rule("column_value_size_fail_threshold", ROW_BYTES_MAX, "larger values are refused"),
    Rule("batch_size_fail_threshold", MIXED_BATCH_BYTES_MAX, "larger batches are refused"),
)


async def check_limits(driver: Driver) -> tuple[list[str], list[str]]:
    """(what has to be put right, what is worth knowing) of every node that this process is connected to, in sentences."""
    return await asyncio.to_thread(_check, driver)


def compare(node: str, live: Mapping[str, str | None]) -> tuple[list[str], list[str]]:
    """The same of one node's settings by name. One that is not there, or null, limits nothing or does not exist yet."""
    wrong, notes = [], []
    rules = (SEGMENT if _shown(live, MUTATION.name) is None else MUTATION, *OTHERS)
    for rule in rules:
        shown = _shown(live, rule.name)
        if shown is None:
            continue
        found = _bytes_of(shown)
        if found is None:
            notes.append(f"Cassandra node {node}: {rule.name} is {shown!r}, which is no size, so it was not checked")
        elif found < rule.least:
            needs = f"{-(-rule.least // 1024)}KiB"
            wrong.append(f"Cassandra node {node}: {rule.name} is {shown} and has to be {needs} or more: {rule.why}")
    return wrong, notes


def _check(driver: Driver) -> tuple[list[str], list[str]]:
    wrong: list[str] = []
    notes: list[str] = []
    for host in driver.session.get_pool_state():
        node = f"{host.endpoint.address}:{host.endpoint.port}"
        try:
            rows = driver.session.execute("SELECT name, value FROM system_views.settings", host=host)
            live = {name: value for name, value, *_ in rows}
        except FAILURES as error:
            notes.append(
                f"Cassandra node {node}: its settings could not be read and were not checked ({reason(error)})"
            )
            continue
        faults, worth = compare(node, live)
        wrong += faults
        notes += worth
    return wrong, notes


def _shown(live: Mapping[str, str | None], name: str) -> str | None:
    """The value with its unit."""
    for ending, unit in {"": "", **OLD_NAMES}.items():
        value = live.get(name + ending)
        if value not in (None, "", "null"):
            return f"{value}{unit}"
    return None


def _bytes_of(shown: str) -> int | None:
    parts = re.fullmatch(r"(\d+) *(B|KiB|MiB|GiB|)", shown)
    return None if parts is None else int(parts[1]) * UNITS[parts[2]]
