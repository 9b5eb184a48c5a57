"""Stalled instances, when a partition is taken over: whoever stalled under other code than this is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from perdure.core.commands import RecoverWorkflow
from perdure.core.rows import InstanceRow
from perdure.ports.errors import PortError
from perdure.ports.log import Outgoing
from perdure.roles.orchestrator.settings import OrchestratorPorts
from perdure.workflow.code import Library

__all__ = ["commands_for", "recover", "recover_when_stored"]

logger = structlog.get_logger("perdure.orchestrator")

STALLED_LOOKED_AT_MAX = 1_000
RETRY_SECONDS_MAX = 30.0


async def stalled_under_other_code(ports: OrchestratorPorts, library: Library, partition: int) -> list[Outgoing]:
    """Commands for the partition itself: recovery is decided like everything else. Raises StoreUnavailable."""
    rows = await ports.store.stalled(partition, STALLED_LOOKED_AT_MAX)
    return commands_for(rows, ports, library, partition)


async def recover_when_stored(ports: OrchestratorPorts, library: Library, partition: int, retry_s: float) -> None:
    """Look for them until the store answers and the log takes the commands; beside everything else."""
    pause = retry_s
    while True:
        try:
            await recover(ports, await stalled_under_other_code(ports, library, partition))
        except PortError as error:
            logger.info("stalled instances are looked for again", partition=partition, error=str(error), retry_s=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_SECONDS_MAX)
        else:
            return


def commands_for(
    rows: Sequence[InstanceRow], ports: OrchestratorPorts, library: Library, partition: int
) -> list[Outgoing]:
    out = []
    for row in rows:
        code = library(row.name)
        if code is not None and code.fingerprint != row.stalled_fingerprint:
            value = ports.encode(RecoverWorkflow(row.run, code.fingerprint))
            out.append(Outgoing(ports.topics.instances, partition, row.instance_id.encode(), value))
    return out


async def recover(ports: OrchestratorPorts, commands: Sequence[Outgoing]) -> None:
    if commands:
        await ports.log.append(commands)
