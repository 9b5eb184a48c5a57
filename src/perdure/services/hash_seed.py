"""The same order of sets and dictionaries' hashes in every process that replays: PYTHONHASHSEED=0.

Python reads the seed before it runs anything, so a process that began with another one begins again, under the same
process id and with the same arguments.
"""

from __future__ import annotations

import os
import sys

__all__ = ["begin_again_with_fixed_seed"]

_MARK = "PERDURE_HASH_SEED_SET"


def begin_again_with_fixed_seed() -> None:
    """Returns only where the seed is 0 already. Call before any user code is imported."""
    if not sys.flags.hash_randomization:
        return
    if os.environ.get(_MARK):
        # An interpreter that ignores the environment (-I, -E) would begin again for ever.
        raise RuntimeError("Python ignores PYTHONHASHSEED here: start it without -I and -E")
    sys.stdout.flush()
    sys.stderr.flush()
    environment = {**os.environ, "PYTHONHASHSEED": "0", _MARK: "1"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 - itself, nothing from outside
