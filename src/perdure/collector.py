"""Python's cyclic collector, for a process in which thousands of instances wait (ADR 0009)."""

from __future__ import annotations

import gc

__all__ = ["relax_collector"]

GC_THRESHOLDS_DEFAULT = ((700, 10, 10), (2_000, 10, 10), (2_000, 10, 0))  # of CPython 3.11 to 3.14
GC_THRESHOLDS = (20_000, 20, 20)


def relax_collector() -> None:
    """Let the cyclic collector look less often: thousands of waiting instances are no garbage.

    Measured on sequences of five activities: a fifth of all CPU. An application that set its own thresholds keeps them.
    """
    if gc.get_threshold() in GC_THRESHOLDS_DEFAULT:
        gc.set_threshold(*GC_THRESHOLDS)
