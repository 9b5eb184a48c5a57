"""Bugs planted in the engine, by name, to see whether the simulation finds them. In tests only.

    with planted("tail_is_not_read"):
        outcome = play(scenario_of(7))

Each is a change of one place in the engine, or of what its stores and writers do for it, of the kind that somebody could make. `BUGS` maps its name to what plants it:
a function that returns (owner, attribute, replacement) for each place.
"""

from __future__ import annotations

import contextlib

from tests.simulation.planted import ageing, committing, deciding, entering, restoring, storing, working

BUGS = {
    each.__name__: each
    for module in (committing, deciding, storing, working, ageing, entering, restoring)
    for each in module.BUGS
}  # fmt: skip


@contextlib.contextmanager
def planted(name):
    """Raises KeyError for a bug that is not known."""
    changes = BUGS[name]()
    before = [(owner, attribute, _held(owner, attribute)) for owner, attribute, _ in changes]
    for owner, attribute, replacement in changes:
        _put(owner, attribute, replacement)
    try:
        yield
    finally:
        for owner, attribute, value in before:
            _put(owner, attribute, value)


def _held(owner, attribute):
    return owner[attribute] if isinstance(owner, dict) else owner.__dict__[attribute]


def _put(owner, attribute, value):
    if isinstance(owner, dict):
        owner[attribute] = value
    else:
        setattr(owner, attribute, value)
