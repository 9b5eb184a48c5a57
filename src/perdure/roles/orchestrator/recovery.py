"""Stalled instances, when a partition is taken over: whoever stalled under other code than this is tried again."""

from __future__ import annotations

from perdure.codec.avro import encode
from perdure.core.commands import RecoverWorkflow
from perdure.ports.errors import PortError
from perdure.ports.log import Outgoing
from perdure.roles.orchestrator.settings import OrchestratorPorts
from perdure.workflow.code import Library

__all__ = ["recover_stalled"]

STALLED_LOOKED_AT_MAX = 1_000


async def recover_stalled(ports: OrchestratorPorts, library: Library, partition: int) -> None:
    """By commands to their own partition: recovery is decided like everything else."""
    try:
        rows = await ports.store.stalled(partition, STALLED_LOOKED_AT_MAX)
    except PortError:
        return  # each is tried again by its next command, too
    out = []
    for row in rows:
        code = library(row.name)
        if code is not None and code.fingerprint != row.stalled_fingerprint:
            value = encode(RecoverWorkflow(row.run, code.fingerprint))
            out.append(Outgoing(ports.topics.instances, partition, row.instance_id.encode(), value))
    if out:
        await ports.log.append(out)
