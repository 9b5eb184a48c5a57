"""The orchestrator: decides commands, partition by partition.

service.py      membership of the group; one owner per assigned partition
owner.py        the loop of one partition: gather, decide, commit
takeover.py     from the last marker and the tail of history to a partition that can be served
intake.py       records to requests: decoding, misrouted and undecodable ones
memory.py       the instances in memory, and those being loaded
batch.py        decided turns to the records of one commit
writebehind.py  the store, after the commit
waiters.py      answers to clients
decider.py      the thread that user code runs on
"""

from perdure.roles.orchestrator.decider import Decider, InlineDecider, ThreadDecider
from perdure.roles.orchestrator.service import Orchestrator
from perdure.roles.orchestrator.settings import OrchestratorPorts, OrchestratorSettings, Stats

__all__ = [
    "Decider",
    "InlineDecider",
    "Orchestrator",
    "OrchestratorPorts",
    "OrchestratorSettings",
    "Stats",
    "ThreadDecider",
]
