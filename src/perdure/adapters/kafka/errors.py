"""aiokafka's errors in the port's words."""

from __future__ import annotations

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
)

from perdure.ports.errors import (
    CommitFailed,
    Fenced,
    Forbidden,
    LogUnavailable,
    PortError,
    RecordTooLarge,
    TopicMissing,
)

__all__ = [
    "FORBIDDEN", "forbidden", "is_fenced", "reason", "refused", "refused_write", "topic_missing", "unreachable",
]  # fmt: skip


# A broker that verifies transactions may meet a fenced writer with either: its transaction was ended under it.
FENCED = (ProducerFenced, InvalidProducerEpoch, InvalidProducerIdMapping, InvalidTxnState)


FORBIDDEN = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    ClusterAuthorizationFailedError,
)


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
    if isinstance(error, FORBIDDEN):
        return CommitFailed(forbidden(_named(error) or transactional_id, "Write"))
    return CommitFailed(f"Kafka did not take the records ({reason(error)})")


def forbidden(what: str, operation: str) -> str:
    """A sentence for whoever gives rights."""
    return (
        f"Kafka does not let this user {operation} {what}: give it what `perdure bootstrap --print` lists for its role"
    )


def _named(error: BaseException) -> str:
    """What an error of missing rights is about: aiokafka's texts name the topics, the group or the transactional id."""
    kinds = zip(FORBIDDEN, ("topic", "group", "transactional-id", "cluster"), strict=True)
    kind = next((name for known, name in kinds if isinstance(error, known)), "")
    names = ", ".join(str(each) for each in _flat(error.args))
    return f"{kind} {names}".strip()


def _flat(given: object) -> list[object]:
    if isinstance(given, tuple | list | set | frozenset):
        return [found for each in given for found in _flat(each)]
    return [given]


def topic_missing(topic: str) -> TopicMissing:
    return TopicMissing(f"topic {topic} does not exist: `perdure bootstrap` creates it")


def refused(servers: tuple[str, ...], why: str) -> LogUnavailable:
    """`why` is the rest of a sentence that says what to do."""
    return LogUnavailable(f"Kafka at {', '.join(servers)} {why}")


def unreachable(servers: tuple[str, ...], error: BaseException | None) -> LogUnavailable:
    if isinstance(error, FORBIDDEN):
        return Forbidden(forbidden(_named(error), "use"))
    why = reason(error) if isinstance(error, KafkaError) else "no answer in time"
    return LogUnavailable(
        f"Kafka at {', '.join(servers)} cannot be used ({why}): check the address (PERDURE_LOG, or "
        "what the client was given) and that the brokers run"
    )
