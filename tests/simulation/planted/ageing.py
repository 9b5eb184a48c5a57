"""Bugs in what goes by its age."""

from __future__ import annotations

from dataclasses import replace

from perdure.core.commands import PurgeWorkflow
from perdure.core.decide import DECIDE
from perdure.roles.orchestrator import intake, retention
from perdure.roles.orchestrator.housekeeping import Housekeeping
from perdure.roles.orchestrator.retention import Sweeper


def ages_of_instances_are_ignored():
    """Whatever has ended is purged, and has no time to be looked at."""
    ordinary = Sweeper.__init__

    def init(self, *arguments, **more):
        ordinary(self, *arguments, **more)
        for age in self._ages:
            age.seconds = 0.0

    return [(Sweeper, "__init__", init)]


def the_run_of_a_purge_is_not_compared():
    """A purge that is late takes the run that has begun and ended since."""
    ordinary = DECIDE[PurgeWorkflow]

    def purge(instance, command, moment):
        return ordinary(instance, replace(command, run=""), moment)

    return [(DECIDE, PurgeWorkflow, purge)]


def a_purge_for_age_takes_the_children():
    ordinary = retention.purge_of
    return [(retention, "purge_of", lambda row: replace(ordinary(row), recursive=True))]


def what_was_too_young_is_never_looked_at_again():
    """The first pass looks at everything; after it, only what has come since."""
    return [(retention, "WHOLE_PASS_SECONDS_MAX", float("inf")), (retention, "due_every_s", _rarely)]


def _rarely(age_s, most_s=0.0):
    return float("inf") if most_s == float("inf") else 1.0


def refused_purges_for_age_are_dead_letters():
    return [(intake, "is_retention", lambda command: False)]


def history_goes_before_its_age():
    """Followers find a gap."""
    ordinary = Housekeeping._expire

    async def expire(self, topic, end, age_s):
        await ordinary(self, topic, end, 0.0)

    return [(Housekeeping, "_expire", expire)]


def old_history_goes_unstored():
    """By its age alone, wherever the store is."""
    ordinary = Housekeeping.__init__
    return [(Housekeeping, "__init__", lambda self, office, stored_to: ordinary(self, office, lambda: 1 << 40))]


BUGS = (
    ages_of_instances_are_ignored, the_run_of_a_purge_is_not_compared, a_purge_for_age_takes_the_children,
    what_was_too_young_is_never_looked_at_again, refused_purges_for_age_are_dead_letters, history_goes_before_its_age,
    old_history_goes_unstored,
)  # fmt: skip
