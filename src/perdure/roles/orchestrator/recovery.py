"""Stalled instances, when a partition is taken over: whoever stalled under other code than this is tried again."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.codec.avro import encode
from perdure.core.commands import RecoverWorkflow
from perdure.core.rows import InstanceRow
from perdure.ports.errors import PortError
from perdure.ports.log import Outgoing
from perdure.roles.orchestrator.settings import OrchestratorPorts
from perdure.workflow.code import Library

__all__ = ["commands_for", "recover", "stalled_under_other_code"]

STALLED_LOOKED_AT_MAX = 1_000


async def stalled_under_other_code(ports: OrchestratorPorts, library: Library, partition: int) -> list[Outgoing]:
    """Commands for the partition itself: recovery is decided like everything else."""
    try:
        rows = await ports.store.stalled(partition, STALLED_LOOKED_AT_MAX)
    except PortError:
        return []  # each is tried again by its next command, too
    return commands_for(rows, ports, library, partition)


def commands_for(
    rows: Sequence[InstanceRow], ports: OrchestratorPorts, library: Library, partition: int
) -> list[Outgoing]:
    out = []
    for row in rows:
        code = library(row.name)
        if code is not None and code.fingerprint != row.stalled_fingerprint:
            value = encode(RecoverWorkflow(row.run, code.fingerprint))
            out.append(Outgoing(ports.topics.instances, partition, row.instance_id.encode(), value))
    return out


async def recover(ports: OrchestratorPorts, commands: Sequence[Outgoing]) -> None:
    if commands:
        await ports.log.append(commands)
