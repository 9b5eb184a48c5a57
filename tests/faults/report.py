"""What was done when, and how long it took to serve again. Printed by each test (`pytest -s`) and by the long form."""

from __future__ import annotations

import sys
import time


class Report:
    """Lines with the seconds since the beginning. `live`: written as they come, too."""

    def __init__(self, title, *, live=False):
        self.lines = []
        self.recoveries = {}
        self._title, self._live, self._began = title, live, time.monotonic()

    def note(self, what):
        line = f"{time.monotonic() - self._began:8.1f} s  {what}"
        self.lines.append(line)
        if self._live:
            print(line, file=sys.stderr, flush=True)

    def recovered(self, what, seconds):
        self.recoveries.setdefault(what, []).append(seconds)
        self.note(f"{what}: {seconds:.1f} s until served again")

    def text(self):
        return "\n".join(["", self._title, *self.lines, self.summary()])

    def summary(self):
        """How long it took until served again, by trouble."""
        return "\n".join(
            f"  {what}: {len(seconds)} times, {min(seconds):.1f} to {max(seconds):.1f} s"
            for what, seconds in self.recoveries.items()
        )
