"""Rows of history that outlived their log, without a Cassandra: whatever was cut off, each event is the surviving line's."""

from __future__ import annotations

from itertools import cycle, islice

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from perdure.adapters.cassandra import packing
from perdure.adapters.cassandra.packing import PLAIN, chunks, packed, unpacked
from perdure.ports.store import EPOCH_SHIFT, StoredEvent

SMALL_CHUNK = 4
SMALL_ROW = 12

FATES = st.lists(st.sampled_from(["arrives", "arrives", "arrives", "is late", "is lost"]), min_size=1, max_size=8)


class LinesOfEvents(RuleBasedStateMachine):
    """One instance, its owners, and the tables: rows of history by key, each with its time, and the row of `instances`."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(packing, "CHUNK_EVENTS", SMALL_CHUNK)
        self.patch.setattr(packing, "ROW_BYTES_MAX", SMALL_ROW)
        self.epoch = self.offset = 0
        self.line: list[StoredEvent] = []  # what the log says, over what the store had when the last one was lost
        self.inherited = 0  # events that were in the store when this log began
        self.stored = 0  # events that the owner knows to be there
        self.history: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.row = (-1, 0)  # its position and last_seq
        self.late: list[tuple[int, int, bytes]] = []

    def teardown(self) -> None:
        self.patch.undo()

    @property
    def position(self) -> int:
        return self.epoch << EPOCH_SHIFT | self.offset

    @rule(sizes=st.lists(st.sampled_from([4, 4, SMALL_ROW]), min_size=1, max_size=5))
    def commit(self, sizes: list[int]) -> None:
        self.offset += 1
        for size in sizes:
            value = (b"%d.%d" % (self.epoch, self.offset)).ljust(size)
            self.line.append(StoredEvent(len(self.line) + 1, value))

    @rule(fates=FATES, row_arrives=st.booleans(), is_told=st.booleans())
    def append(self, fates: list[str], row_arrives: bool, is_told: bool) -> None:
        """Events in any order, then the row, then the checkpoint; what fails is tried again with what came since."""
        rows = packed(self.line[self.stored :])
        fates = list(islice(cycle(fates), len(rows)))
        for (first, _, _, blob), fate in zip(rows, fates, strict=True):
            if fate == "arrives":
                self.write(self.position, first, blob)
            elif fate == "is late":
                self.late.append((self.position, first, blob))
        if all(fate == "arrives" for fate in fates) and row_arrives:
            self.row = max(self.row, (self.position, len(self.line)))
            if is_told:
                self.stored = len(self.line)

    def write(self, position: int, first: int, blob: bytes) -> None:
        key = first // SMALL_CHUNK, first
        self.history[key] = max(self.history.get(key, (-1, b"")), (position, blob))

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def what_was_late_arrives(self, data: st.DataObject) -> None:
        self.write(*self.late.pop(data.draw(st.integers(0, len(self.late) - 1))))

    @rule(earlier=st.integers(0, 9))
    def take_over(self, earlier: int) -> None:
        """The log's last marker may be of a time at which less was stored."""
        self.stored = max(self.inherited, self.stored - earlier)

    @precondition(lambda self: self.offset)
    @rule()
    def lose_the_log(self) -> None:
        self.epoch, self.offset = self.epoch + 1, 0
        del self.line[self.row[1] :]
        self.inherited = self.stored = len(self.line)

    @invariant()
    def what_is_read_is_the_surviving_line(self) -> None:
        last_seq = self.row[1]
        read = [
            (first, PLAIN, blob, position)
            for chunk in chunks(last_seq)
            for (of, first), (position, blob) in sorted(self.history.items())
            if of == chunk
        ]
        assert unpacked(read, last_seq) == self.line[:last_seq]


TestLinesOfEvents = LinesOfEvents.TestCase
TestLinesOfEvents.settings = settings(max_examples=200, stateful_step_count=40, deadline=None, database=None)


def test_an_event_is_what_was_written_last_though_a_stale_row_begins_later() -> None:
    new = packed([StoredEvent(seq, b"new%d" % seq) for seq in (11, 12, 13)])
    stale = packed([StoredEvent(12, b"stale12"), StoredEvent(13, b"stale13")])
    rows = [(first, codec, blob, at) for at, some in ((9, new), (5, stale)) for first, _, codec, blob in some]
    for order in (rows, rows[::-1]):
        assert [event.value for event in unpacked(order, 13)] == [b"new11", b"new12", b"new13"]
