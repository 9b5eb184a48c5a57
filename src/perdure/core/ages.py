"""How long what has ended is kept: "COMPLETED=30d,TERMINATED=7d,FAILED=90d" read into seconds by status."""

from __future__ import annotations

import re
from typing import Final

from perdure.core.limits import AGE_DAYS_MAX

__all__ = ["ENDED", "read_ages"]

ENDED: Final = ("COMPLETED", "FAILED", "TERMINATED")
"""What an instance ends as, and stays until it is purged."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGE: Final = re.compile(r"([0-9]{1,9})([smhd])")


def read_ages(text: str) -> dict[str, float]:
    """Seconds by status; empty for "": everything is kept for ever. Raises ValueError, saying what to write instead."""
    ages: dict[str, float] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        status, sign, age = (each.strip() for each in part.partition("="))
        if not sign:
            raise ValueError(f"'{part}' is no STATUS=AGE: write such as COMPLETED=30d, more after commas")
        if status not in ENDED:
            raise ValueError(f"'{status}' is no status that an instance ends with: write {', '.join(ENDED)}")
        if status in ages:
            raise ValueError(f"{status} is given twice: give one age to each status")
        ages[status] = _seconds(status, age)
    return ages


def _seconds(status: str, age: str) -> float:
    found = _AGE.fullmatch(age)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < seconds <= AGE_DAYS_MAX * 86_400:
        raise ValueError(
            f"'{age}' is no age for {status}: a whole number and s, m, h or d, from 1s to {AGE_DAYS_MAX}d, such as 30d"
        )
    return float(seconds)
