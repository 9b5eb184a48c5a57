"""What is made of batches that aiokafka cannot unpack, without a broker: the bytes of an answer are given."""

from __future__ import annotations

import pytest
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from perdure.adapters.kafka.unpacking import Results, unpack
from perdure.ports.errors import LogUnavailable
from tests.integration.kafka.batches import batch_of

PLACE = ("t", 3)
ODD = [(b"\xff\xfe", b"\xff")]
ABORT, COMMIT = b"\0\0\0\0", b"\0\0\0\1"


def test_names_of_headers_are_read_leniently_and_nothing_else_is_changed() -> None:
    records = [
        (b"k\xff", b"v\xff", [*ODD, (b"null", None)]),
        (None, None, []),
        ("ü".encode(), b"", [("ü".encode(), b"")]),
    ]
    for codec in range(5):
        found, beyond = unpack(PLACE, batch_of(records, 7, codec=codec), [], 7)
        assert [(each.offset, each.key, each.value) for each in found] == [
            (7, b"k\xff", b"v\xff"), (8, None, None), (9, "ü".encode(), b""),
        ]  # fmt: skip
        assert [each.headers for each in found] == [(("\ufffd\ufffd", b"\xff"), ("null", None)), (), (("ü", b""),)]
        assert {type(part) for each in found for part in (each.key, each.value)} == {bytes, type(None)}
        assert type(found[0].headers[0][0]) is str
        assert type(found[0].headers[0][1]) is bytes
        assert beyond == 10


def test_aborted_transactions_and_control_records_are_passed_over_beside_an_odd_record() -> None:
    answer = b"".join([
        batch_of([(b"gone", b"", ODD)], 0, producer=5),
        batch_of([(b"kept", b"", ODD)], 1, producer=6),
        batch_of([(ABORT, b"", [])], 2, producer=5, control=True),
        batch_of([(COMMIT, b"", [])], 3, producer=6, control=True),
        batch_of([(b"next", b"", ODD)], 4, producer=5),
        batch_of([(COMMIT, b"", [])], 5, producer=5, control=True),
    ])  # fmt: skip
    found, beyond = unpack(PLACE, answer, [(5, 0)], 0)
    assert [(each.offset, each.key) for each in found] == [(1, b"kept"), (4, b"next")]
    assert beyond == 6


def test_reading_begins_within_a_batch_and_ends_with_as_many_as_are_wanted() -> None:
    answer = batch_of([(b"%d" % n, b"", ODD) for n in range(4)]) + batch_of([(b"4", b"", ODD)], 4)
    found, beyond = unpack(PLACE, answer, [], 1, 2)
    assert ([each.offset for each in found], beyond) == ([1, 2], 3)
    found, beyond = unpack(PLACE, answer, [], 1)
    assert ([each.offset for each in found], beyond) == ([1, 2, 3, 4], 5)


def damaged() -> bytes:
    raw = bytearray(batch_of([(b"k", b"value", [])], 1))
    raw[-3] ^= 1
    return bytes(raw)


def unknown_codec() -> bytes:
    raw = bytearray(batch_of([(b"k", b"value", [])], 1))
    raw[22] |= 7
    raw[17:21] = calc_crc32c(bytes(raw[21:])).to_bytes(4, "big")
    return bytes(raw)


@pytest.mark.parametrize("broken", [damaged(), unknown_codec()], ids=["damaged", "unknown codec"])
def test_a_batch_that_nobody_can_read_is_not_passed_over_and_what_comes_before_it_is_read(broken: bytes) -> None:
    found, beyond = unpack(PLACE, batch_of([(b"before", b"", ODD)]) + broken, [], 0)
    assert ([each.key for each in found], beyond) == ([b"before"], 1)
    with pytest.raises(LogUnavailable, match=r"t\[3\] holds a batch at 1 that cannot be unpacked"):
        unpack(PLACE, broken, [], 1)


class _State:
    """An assigned partition, to aiokafka's results."""

    active, paused = True, False

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, _at: TopicPartition) -> _State:
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def test_results_of_a_consumer_end_where_they_cannot_go_on_and_tell_instead_of_raising() -> None:
    told: list[tuple[tuple[str, int], int, type]] = []
    results = Results(lambda place, offset, error: told.append((place, offset, type(error))))
    at, state = TopicPartition(*PLACE), _State(0)
    answer = batch_of([(b"a", b"", []), (b"b", b"", []), (b"c", b"", ODD), (b"d", b"", [])])
    records = PartitionRecords(at, MemoryRecords(answer), [], 0, None, None, True, 1)
    results[at] = FetchResult(at, assignment=state, partition_records=records, backoff=0)
    assert [each.key for each in results[at].getall(10)] == [b"a", b"b"]
    assert (state.position, results[at].has_more()) == (2, False)
    assert [(place, offset) for place, offset, _ in told] == [(PLACE, 2)]
