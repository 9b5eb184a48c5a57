"""Makes a failing scenario small: fewer faults, fewer operations, shorter plans, as long as it fails by one of the same laws.

Scenarios are plain values, so taking something away needs no knowledge of it. Whatever is left out changes the order of
things that could happen at the same time; so a smaller scenario is tried under a few seeds of that order.
"""

from __future__ import annotations

import copy

from tests.simulation.run import play

PLAYS_MAX = 600
ORDERS = 2  # seeds that a smaller scenario is tried under


class Shrinking:
    def __init__(self, scenario, complaints, tell):
        self.best = scenario
        self.laws = set(complaints)
        self.tell = tell
        self.plays = 0

    def fails(self, scenario):
        """The scenario as it fails, or None."""
        for order in range(ORDERS):
            if self.plays >= PLAYS_MAX:
                return None
            self.plays += 1
            tried = {**scenario, "seed": self.best["seed"] if order == 0 else f"{self.best['seed']}+"}
            if self.laws & play(tried).complaints.keys():
                return tried
        return None

    def without(self, name):
        """Take away from a list of the scenario, in ever smaller pieces."""
        size = max(1, len(self.best[name]) // 2)
        while True:
            place = 0
            while place < len(self.best[name]):
                kept = self.best[name][:place] + self.best[name][place + size :]
                if (found := self.fails({**self.best, name: kept})) is not None:
                    self.best = found
                    self.tell(f"{len(kept)} {name} are enough ({self.plays} plays)")
                else:
                    place += size
            if size == 1:
                return
            size = max(1, size // 2)

    def simpler(self):
        """Fewer processes and partitions, calmer bounds, shorter plans."""
        for change in (_one_client, _ordinary_bounds):
            if (found := self.fails(change(self.best))) is not None:
                self.best = found
        for place in range(len(self.best["ops"])):
            self._shorter_plan(place)

    def _shorter_plan(self, place):
        step = 0
        while "input" in self.best["ops"][place] and step < len(self.best["ops"][place]["input"]["steps"]):
            tried = copy.deepcopy(self.best)
            del tried["ops"][place]["input"]["steps"][step]
            if (found := self.fails(tried)) is not None:
                self.best = found
            else:
                step += 1


def shrunk(scenario, complaints, tell=lambda text: None):
    """A smaller scenario that still breaks one of the laws that are complained of; at worst the same."""
    work = Shrinking(scenario, complaints, tell)
    for _ in range(2):
        work.without("faults")
        for name in ("published", "errands", "ops"):
            if name in work.best:
                work.without(name)
        work.simpler()
    return work.best


def _one_client(scenario):
    ops = [{**op, "client": 0} for op in scenario["ops"]]
    faults = [fault for fault in scenario["faults"] if fault.get("role") != "client"]
    return {**scenario, "clients": 1, "ops": ops, "faults": faults}


def _ordinary_bounds(scenario):
    return {**scenario, "bounds": {role: {} for role in scenario["bounds"]}}
