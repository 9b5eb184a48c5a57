"""How often a client may ask: a bucket of requests for each, which fills again as time passes. Pure."""

from __future__ import annotations

from collections import OrderedDict

from perdure.core.limits import GATEWAY_RATED_CLIENTS_MAX

__all__ = ["Rates"]


class Rates:
    """`per_second` 0: nobody is bounded. `now_s` never runs backwards.

    The buckets of who has not asked for longest are forgotten first, and begin full: whoever has very many addresses
    gets more than one has. The number of requests at once bounds all of them together.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when it was so

    def take(self, client: str, now_s: float) -> float:
        """0 if it may ask now; else the seconds after which it may."""
        if not self._per_second:
            return 0.0
        left, then = self._buckets.pop(client, (self._burst, now_s))
        left = min(self._burst, left + (now_s - then) * self._per_second)
        allowed = left >= 1
        self._buckets[client] = (left - 1 if allowed else left, now_s)
        if len(self._buckets) > GATEWAY_RATED_CLIENTS_MAX:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_second

    @property
    def known(self) -> int:
        """Clients whose buckets are held."""
        return len(self._buckets)
