"""The offsets of one partition. The law: an offset is handed out once, ever.

`reserved` stands in the file and is raised a block ahead, in the transaction of a durable record or in one of its
own; `next` counts in memory. After a crash `next` begins at `reserved`: what lay between may have been handed out to
records that were never written (volatile ones), and somebody may have recorded having read them.

A ledger belongs to the write thread while a request that touches its partition is under way, else to the loop.
"""

from __future__ import annotations

from perdure.adapters.sqlite.records import OFFSET_BITS
from perdure.adapters.sqlite.topics import TopicTable

__all__ = ["Ledger"]

BLOCK = 10_000


class Ledger:
    __slots__ = ("base", "next", "partition", "reserved", "table", "volatile_full")

    def __init__(self, table: TopicTable, partition: int, reserved: int) -> None:
        self.table = table
        self.partition = partition
        self.base = partition << OFFSET_BITS
        self.next = reserved
        self.reserved = reserved
        self.volatile_full = False  # set by the loop: memory holds enough volatile records, write them
