"""aiokafka's errors in the port's words."""

from __future__ import annotations

from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    UnknownTopicOrPartitionError,
)

from perdure.ports.errors import CommitFailed, Fenced, LogUnavailable, PortError, RecordTooLarge, TopicMissing

__all__ = ["is_fenced", "reason", "refused_write", "topic_missing", "unreachable"]


# A broker that verifies transactions may meet a fenced writer with either: its transaction was ended under it.
FENCED = (ProducerFenced, InvalidProducerEpoch, InvalidProducerIdMapping, InvalidTxnState)


def is_fenced(error: BaseException) -> bool:
    """Also where aiokafka wraps what ended its sender."""
    return isinstance(error, FENCED) or isinstance(error.__cause__, FENCED)


def reason(error: BaseException) -> str:
    """The name and the text of an error, for a message; aiokafka's texts hold no secrets."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def refused_write(error: BaseException, transactional_id: str = "") -> PortError:
    """Why records were not written, nothing of them being visible."""
    if is_fenced(error):
        return Fenced(f"a newer writer of {transactional_id} took over, or the broker ended this one's transaction")
    if isinstance(error, MessageSizeTooLargeError):
        return RecordTooLarge(
            "the broker takes no record of this size: `perdure bootstrap --check` compares the limits"
        )
    if isinstance(error, UnknownTopicOrPartitionError):
        return TopicMissing("a topic of this write does not exist any more: `perdure bootstrap` creates it")
    return CommitFailed(f"Kafka did not take the records ({reason(error)})")


def topic_missing(topic: str) -> TopicMissing:
    return TopicMissing(f"topic {topic} does not exist: `perdure bootstrap` creates it")


def unreachable(servers: tuple[str, ...], error: BaseException | None) -> LogUnavailable:
    why = reason(error) if isinstance(error, KafkaError) else "no answer in time"
    return LogUnavailable(
        f"Kafka at {', '.join(servers)} cannot be used ({why}): check the address (PERDURE_LOG, or "
        "what the client was given) and that the brokers run"
    )
