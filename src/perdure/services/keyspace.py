"""How many copies the keyspace has, compared with what was asked for. Nothing here is changed: an operator alters it."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["replication_faults"]


def replication_faults(keyspace: str, found: Mapping[str, str], data_centre: str | None, copies: int) -> list[str]:
    """`found`: the row `replication` of system_schema.keyspaces. Each fault as a sentence that says what to do."""
    strategy = found.get("class", "").rpartition(".")[2]
    by_place = {place: int(count.partition("/")[0]) for place, count in found.items() if place != "class"}
    alter = f"ALTER KEYSPACE {keyspace} WITH replication, then `nodetool repair --full {keyspace}`"
    if strategy == "SimpleStrategy":
        have = by_place.get("replication_factor", 0)
        if have < copies:
            return [f"keyspace {keyspace} has {have} copies, needs {copies}: {alter}"]
        if data_centre:
            return [f"keyspace {keyspace} knows no data centres (SimpleStrategy), needs them in {data_centre}: {alter}"]
        return []
    if data_centre and data_centre not in by_place:
        others = ", ".join(sorted(by_place)) or "none"
        return [
            f"keyspace {keyspace} has its copies in {others}, not in {data_centre}: set PERDURE_CASSANDRA_DATACENTER, or {alter}"
        ]
    places = {data_centre: by_place[data_centre]} if data_centre else by_place
    return [
        f"keyspace {keyspace} has {have} copies in {place}, needs {copies}: {alter}"
        for place, have in sorted(places.items())
        if have < copies
    ]
