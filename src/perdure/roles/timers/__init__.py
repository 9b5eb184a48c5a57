"""The role that keeps time."""

from perdure.roles.timers.service import TimerService
from perdure.roles.timers.settings import TimerSettings, TimerStats

__all__ = ["TimerService", "TimerSettings", "TimerStats"]
