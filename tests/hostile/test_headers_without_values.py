"""A header may have no value in Kafka: it is an empty one here, and holds nobody up."""

from aiokafka.structs import ConsumerRecord

from perdure.adapters.kafka.fetching import record_of
from perdure.core.names import Topics
from perdure.roles.orchestrator.intake import Misfit, read
from perdure.roles.subscriptions import mapped
from tests.roles.subscriptions.messages import subscribed

NULL = ("x-retry", None)


def consumed(value, headers):
    return record_of(
        ConsumerRecord("shop.orders", 0, 0, 1_769_860_800_000, 0, b"k", value, None, 1, len(value), headers)
    )


def test_a_record_of_kafkas_has_headers_of_bytes():
    assert all(isinstance(value, bytes) for _, value in consumed(b"{}", [NULL]).headers)


def test_a_message_with_a_header_without_a_value_is_mapped():
    assert mapped(consumed(b'{"id": "7"}', [NULL]), subscribed()) is not None


def test_garbage_with_a_header_without_a_value_is_a_dead_letter():
    record = consumed(b"garbage", [NULL])
    assert isinstance(read(record, Topics("t")), Misfit)
