"""How often one process commits, over all its partitions.

A commit costs about the same whatever is in it, on the owner's side and on the broker's. Under load, partitions that
commit as fast as they can therefore spend their time on commits of one or two records each. **Law.** Up to the rate
nobody waits, so that a lone workflow takes no longer. Above it, a partition that has just committed waits until the
rate allows another; what arrives meanwhile goes into its next batch, so the more there is to do, the less each costs.
An idle partition commits at once, even then: no wait is longer than the partitions of the process, divided by the rate.

Rejected: a fixed pause before every commit (it makes every workflow slower, at any load); a pause after small batches
(they are small at low load, where they do no harm).
"""

from __future__ import annotations

import asyncio

__all__ = ["Pace"]


class Pace:
    """`per_second` commits at most in the long run, `burst` of them at once; 0: as many as can be."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._step = 1 / per_second if per_second else 0.0
        self._ahead = burst * self._step
        self._next = float("-inf")  # of the loop's clock: when the rate has room for one more

    async def committed(self) -> None:
        """A commit has begun. Returns when its partition may think of another."""
        if not self._step:
            return
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now - self._ahead) + self._step
        if self._next > now:
            await asyncio.sleep(self._next - now)
