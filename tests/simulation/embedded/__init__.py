"""Scenarios on the embedded engine, in one process: what the laws are tried on where no world is needed."""

from tests.simulation.embedded.scenario import Scenario, evidence_of

__all__ = ["Scenario", "evidence_of"]
