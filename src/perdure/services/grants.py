"""The least rights of each role in Cassandra, table by table, as `perdure bootstrap --print` tells them.

What a role reads and writes there is what its part of the code asks of the stores; the queries say which table each
request is of (`adapters/cassandra/queries.cql`). Of `activity-worker` and `subscriber` the engine asks nothing but which
tables there are: they compare it at their start, as all do who open the stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["grants_of"]


class Uses(NamedTuple):
    """Names of tables, with spaces between them."""

    reads: str
    writes: str = ""


VERSIONS: Final = "schema_versions"
LISTED: Final = "days instances visibility"
OWNED: Final = f"{LISTED} history tombstones stalled checkpoints resting"

USES: Final[Mapping[str, Uses]] = {
    "orchestrator": Uses(f"{VERSIONS} {OWNED}", OWNED),
    "activity-worker": Uses(VERSIONS),
    "timer": Uses(f"{VERSIONS} timers timer_slices", "timers timer_slices"),
    "gateway": Uses(f"{VERSIONS} {LISTED} history checkpoints"),
    "subscriber": Uses(VERSIONS),
    "grow": Uses(f"{VERSIONS} checkpoints resting", "checkpoints"),
    "restore": Uses(f"{VERSIONS} {LISTED}"),
}


def grants_of(keyspace: str) -> list[str]:
    """Whoever creates a keyspace or a table may do everything with it; nobody but `bootstrap` creates."""
    grants = ["GRANT CREATE ON ALL KEYSPACES TO bootstrap"]
    for role, uses in USES.items():
        for right, tables in (("SELECT", uses.reads), ("MODIFY", uses.writes)):
            grants += [f'GRANT {right} ON TABLE {keyspace}.{table} TO "{role}"' for table in tables.split()]
    return grants
