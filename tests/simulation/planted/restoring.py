"""Bugs in what is asked for anew after the log was lost. Played by `losing.py`."""

from __future__ import annotations

from perdure.core import results
from perdure.core.effects import ActivityTask, SendCommand, SetTimer


def _forgets(forgotten):
    ordinary = results.open_steps

    def open_steps(instance, at_us):
        return [effect for effect in ordinary(instance, at_us) if not forgotten(effect)]

    return [(results, "open_steps", open_steps)]


def activities_are_not_asked_for_anew():
    return _forgets(lambda effect: isinstance(effect, ActivityTask))


def timers_are_not_asked_for_anew():
    return _forgets(lambda effect: isinstance(effect, SetTimer) and effect.kind == "timer")


def pauses_are_not_asked_for_anew():
    """Between two attempts."""
    return _forgets(lambda effect: isinstance(effect, SetTimer) and effect.kind == "retry")


def children_are_not_asked_for_anew():
    return _forgets(
        lambda effect: isinstance(effect, SendCommand) and effect.command.__class__.__name__ == "StartWorkflow"
    )


BUGS = (
    activities_are_not_asked_for_anew, timers_are_not_asked_for_anew, pauses_are_not_asked_for_anew,
    children_are_not_asked_for_anew,
)  # fmt: skip
