"""The orchestrator: decides commands, partition by partition.

service.py      membership of the group; one owner per assigned partition
owner.py        one partition, over all its tenures
tenure.py       from a takeover to its end: gather, decide, commit
takeover.py     from the last marker and the tail of history to a partition that can be served
gathering.py    from records to the requests of the next batch
intake.py       records to requests: decoding, misrouted and undecodable ones
memory.py       the instances in memory, and those being loaded
batch.py        decided turns to the records of one commit
writebehind.py  the store, after the commit
budget.py       what the partitions of one process hold in memory together
telling.py      the position that the group stores, for whoever looks at the lag
pace.py         how often one process commits
housekeeping.py what grows old: ended instances, history, dead letters, tombstones
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
