"""What a verdict is passed on: what clients were told, what the log and the store hold, what activities did."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.faults.stored import Stored

ENDS = {"WorkflowCompleted", "WorkflowFailed", "WorkflowTerminated"}


class Start(NamedTuple):
    workflow: str
    given: Any


@dataclass
class Told:
    """What the load asked for, and what it was answered."""

    asked: dict[str, Start] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    raised: dict[str, tuple[str, Any]] = field(default_factory=dict)  # accepted events: command id to (instance, data)
    results: dict[str, tuple[str, Any]] = field(default_factory=dict)  # instance to (status, output)
    refused: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


@dataclass
class Evidence:
    told: Told
    history: list  # of Fact, markers among them; in the order of each partition
    stored: Stored
    ledger: list[dict[str, Any]]
    dead_letters: int = 0

    def histories(self):
        """(instance, run, generation) to its events, in the order of the log; generations as they first appear."""
        found = defaultdict(list)
        for fact in self.history:
            if fact.instance:
                found[fact.place].append(fact)
        return dict(found)


def ledger_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def attempt_of(line):
    """Which attempt a line of the ledger tells of."""
    return tuple(line[name] for name in ("instance", "run", "generation", "task", "attempt"))
