"""Topic names, and the partition of an instance: the Java client's, so that any producer finds the owner."""

from __future__ import annotations

import pytest

from perdure.core.names import Topics, murmur2, partition_of

KAFKAS_OWN = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}
"""The values in the tests of Kafka's Java client (Utils.murmur2)."""


@pytest.mark.parametrize("text", KAFKAS_OWN)
def test_the_hash_is_kafkas(text: str):
    assert murmur2(text.encode()) == KAFKAS_OWN[text] % 2**32


def test_a_partition_is_the_hash_without_its_sign_modulo_the_count():
    for text, hashed in KAFKAS_OWN.items():
        for count in (1, 2, 7, 64):
            assert partition_of(text, count) == (hashed & 0x7FFFFFFF) % count


def test_ids_spread_over_all_partitions():
    assert {partition_of(f"order-{number}", 8) for number in range(200)} == set(range(8))


def test_an_id_is_hashed_as_utf_8():
    assert partition_of("é", 1000) == (murmur2("é".encode()) & 0x7FFFFFFF) % 1000


def test_topics_are_named_after_their_namespace():
    topics = Topics("shop")
    assert (topics.instances, topics.history, topics.timers) == ("shop.instances", "shop.history", "shop.timers")
    assert (topics.dead_letters, topics.replies) == ("shop.dead-letters", "shop.replies")
    assert (topics.activities(), topics.activities("gpu")) == ("shop.activities", "shop.activities.gpu")
