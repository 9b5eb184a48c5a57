"""The role that runs activities."""

from perdure.roles.activities.settings import ActivitySettings, ActivityStats
from perdure.roles.activities.slots import InlineSlots, Slots, ThreadSlots
from perdure.roles.activities.worker import ActivityWorker

__all__ = ["ActivitySettings", "ActivityStats", "ActivityWorker", "InlineSlots", "Slots", "ThreadSlots"]
