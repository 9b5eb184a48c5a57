"""What an owner of a partition works with, over all its tenures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perdure.ports.log import Reader
from perdure.roles.orchestrator.batch import Layout
from perdure.roles.orchestrator.budget import Budget
from perdure.roles.orchestrator.decider import Decider
from perdure.roles.orchestrator.halving import Halving
from perdure.roles.orchestrator.pace import Pace
from perdure.roles.orchestrator.schemas import Schemas
from perdure.roles.orchestrator.settings import OrchestratorPorts, OrchestratorSettings, Stats
from perdure.roles.orchestrator.waiters import Waiters
from perdure.workflow.code import Library

__all__ = ["Office"]


@dataclass(slots=True)
class Office:
    """What outlives a tenure: the partition, the way to it, and whom its owner works with."""

    partition: int
    reader: Reader
    layout: Layout
    ports: OrchestratorPorts
    settings: OrchestratorSettings
    library: Library
    decider: Decider
    stats: Stats
    waiters: Waiters
    halving: Halving
    pace: Pace  # one for all partitions of the process
    schemas: Schemas  # so is this
    budget: Budget  # and this
    on_trouble: Callable[[Exception], None] = lambda _: None  # told why a partition cannot be served for a while
