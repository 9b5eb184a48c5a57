"""The reference adapter: everything in memory, everything on one event loop, faults on demand."""

from perdure.adapters.memory.broker import MemoryBroker
from perdure.adapters.memory.faults import Fault
from perdure.adapters.memory.log import MemoryLog
from perdure.adapters.memory.store import MemoryHistoryStore
from perdure.adapters.memory.timers import MemoryTimerStore

__all__ = ["Fault", "MemoryBroker", "MemoryHistoryStore", "MemoryLog", "MemoryTimerStore"]
