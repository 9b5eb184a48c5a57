"""What a run was: what was done and what came of it. Filled by run.py, told by report.py and timeline.py."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from tests.chaos.deck import Step


@dataclass
class Done:
    """A step that was taken. Seconds since the beginning of the run; `recovery_s` is None if it was never served again.

    `silence_s`: the longest time without a commit in a partition, from its beginning until it was served again.
    """

    step: Step
    began_s: float
    healed_s: float = 0.0
    recovery_s: float | None = None
    silence_s: float = 0.0
    last: str = ""  # of what had to be served again


@dataclass
class Round:
    """Of one namespace: it has its own load, and its own verdict; `verdict` is "sound" or what was wrong."""

    calm_s: float = 0.0  # what "served again" takes when nothing was broken
    accepted: int = 0
    ended: int = 0  # ends that clients were told
    instances: int = 0  # in history, children too
    records: int = 0
    retries: int = 0
    verdict: str = "no verdict"
    said: str = ""  # by the services at their last, if it was not sound


@dataclass
class Story:
    seed: int
    done: list[Done] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)  # when workflows ended
    lasted_s: float = 0.0

    @property
    def sound(self):
        return bool(self.rounds) and all(each.verdict == "sound" for each in self.rounds)

    def by_kind(self):
        """kind of trouble to the steps in which it was alone, and those in which it was one of two"""
        found = {}
        for done in self.done:
            for trouble in done.step.troubles:
                alone, paired = found.setdefault(trouble.kind, ([], []))
                (alone if len(done.step.troubles) == 1 else paired).append(done)
        return dict(sorted(found.items()))

    @property
    def total(self):
        """All rounds together."""
        names = ("accepted", "ended", "instances", "records", "retries")
        return {name: sum(getattr(each, name) for each in self.rounds) for name in names}


def span(seconds):
    """Figures as text: one, or least, median and most."""
    known = sorted(each for each in seconds if each is not None)
    never = "never" if len(known) < len(seconds) else ""
    if not known:
        return never or "–"
    shown = (
        f"{known[0]:.1f}" if len(known) == 1 else f"{known[0]:.1f} / {statistics.median(known):.1f} / {known[-1]:.1f}"
    )
    return f"{shown}, {never}" if never else shown
