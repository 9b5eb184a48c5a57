"""Wall and CPU time of a piece of work, all threads of the process counted."""

import contextlib
import resource
import time
from dataclasses import dataclass


@dataclass
class Cost:
    wall_s: float = 0.0
    cpu_s: float = 0.0


def cpu_seconds():
    """User and system time of this process, its threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def cost():
    result = Cost()
    wall, cpu = time.perf_counter(), cpu_seconds()
    yield result
    result.wall_s, result.cpu_s = time.perf_counter() - wall, cpu_seconds() - cpu


def quantile(values, share):
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
