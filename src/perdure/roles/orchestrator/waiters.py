"""Clients that wait for an instance: soft, bounded, asked again by the client every few seconds."""

from __future__ import annotations

from dataclasses import dataclass

from perdure.core.commands import InspectInstance
from perdure.core.instance import Instance
from perdure.core.limits import REQUEST_RESEND_SECONDS, WAITERS_PER_INSTANCE_MAX, WAITERS_PER_PARTITION_MAX

__all__ = ["Waiters", "is_reached"]


def is_reached(instance: Instance, until: str) -> bool:
    if until == "completed":
        return bool(instance.ended)
    return until != "started" or instance.begun or bool(instance.ended)


@dataclass(slots=True)
class _Waiter:
    request: InspectInstance
    asked_at: float


class Waiters:
    """By instance id, then by command id."""

    def __init__(self, silence_s: float = 3 * REQUEST_RESEND_SECONDS) -> None:
        self._silence_s = silence_s
        self._by_id: dict[str, dict[str, _Waiter]] = {}
        self._count = 0

    def add(self, instance_id: str, request: InspectInstance, now: float) -> bool:
        """False: there are too many already."""
        waiting = self._by_id.get(instance_id, {})
        if request.command_id not in waiting:
            if len(waiting) >= WAITERS_PER_INSTANCE_MAX:
                self._drop_silent(waiting, now)
            if len(waiting) >= WAITERS_PER_INSTANCE_MAX or self._count >= WAITERS_PER_PARTITION_MAX:
                return False  # those of other instances that have gone are swept every minute
            self._count += 1
            self._by_id[instance_id] = waiting
        waiting[request.command_id] = _Waiter(request, now)
        return True

    def take(self, instance: Instance) -> list[InspectInstance]:
        """Those whose wait is over."""
        waiting = self._by_id.get(instance.instance_id)
        if waiting is None:
            return []
        over = [waiter.request for waiter in waiting.values() if is_reached(instance, waiter.request.until)]
        for request in over:
            del waiting[request.command_id]
        self._count -= len(over)
        if not waiting:
            del self._by_id[instance.instance_id]
        return over

    def sweep(self, now: float) -> None:
        """Forget clients that have not asked again: they are gone."""
        for instance_id in list(self._by_id):
            waiting = self._by_id[instance_id]
            self._drop_silent(waiting, now)
            if not waiting:
                del self._by_id[instance_id]

    def __len__(self) -> int:
        return self._count

    def _drop_silent(self, waiting: dict[str, _Waiter], now: float) -> None:
        for command_id in [key for key, each in waiting.items() if now - each.asked_at > self._silence_s]:
            del waiting[command_id]
            self._count -= 1
