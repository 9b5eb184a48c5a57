"""Making, sending with and ending aiokafka's producers: the thin calls below the writer and the appender."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import aiokafka.producer.sender
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorError,
    RequestTimedOutError,
    for_code,
)
from aiokafka.protocol.transaction import EndTxnRequest

from perdure.adapters.kafka.clients import bounded, close_client, mend
from perdure.adapters.kafka.errors import refused_write, unreachable
from perdure.adapters.kafka.records import Batch, Place
from perdure.adapters.kafka.settings import KafkaSettings
from perdure.ports.errors import Fenced, PortError

__all__ = ["EndWatch", "cut_off_producer", "open_producer", "send", "stop_producer"]

log = structlog.get_logger(__name__)
STOP_SECONDS_MAX = 2.0


async def open_producer(settings: KafkaSettings, transactional_id: str | None = None) -> AIOKafkaProducer:
    """A started producer, idempotent or transactional; opening the latter fences. Raises PortError, Fenced."""
    # A module global of aiokafka: how long a transaction waits that begins while the one before is being finished.
    aiokafka.producer.sender.BACKOFF_OVERRIDE = settings.transaction_backoff_ms / 1000
    producer = AIOKafkaProducer(
        **settings.client_options(),
        acks="all",
        enable_idempotence=True,
        max_batch_size=settings.batch_bytes_max,
        transactional_id=transactional_id,
        transaction_timeout_ms=settings.transaction_timeout_ms,
    )
    mend(producer.client)
    started = False
    try:
        async with asyncio.timeout(settings.answer_timeout_s):
            await producer.start()
        started = True
    except TimeoutError as error:
        raise unreachable(settings.servers, error) from error
    except KafkaError as error:
        raise _refused_opening(settings, error, transactional_id) from error
    finally:
        if not started:
            await stop_producer(producer)
    return producer


def _refused_opening(settings: KafkaSettings, error: KafkaError, transactional_id: str | None) -> PortError:
    refused = refused_write(error, transactional_id or "")
    return refused if isinstance(refused, Fenced) else unreachable(settings.servers, error)


async def send(producer: AIOKafkaProducer, packed: Mapping[Place, Sequence[Batch]]) -> dict[Place, int]:
    """Sends every batch, in order per partition, and waits for every answer.

    Returns the offset after the last record of each partition. Raises the first failure when all have been answered:
    aiokafka would commit what is left of a transaction in which one batch failed.
    """
    answers: list[tuple[Place, Batch, asyncio.Future[object]]] = []
    failure: BaseException | None = None
    try:
        for place, batches in packed.items():
            for batch in batches:
                answer = await producer.send_batch(batch, place[0], partition=place[1])
                answers.append((place, batch, answer))
    except KafkaError as error:
        failure = error
    except BaseException:  # given up: nobody will ask what became of those before
        for _, _, answer in answers:
            answer.add_done_callback(_retrieve)
        raise
    ends: dict[Place, int] = {}
    results = await asyncio.gather(*(answer for _, _, answer in answers), return_exceptions=True)
    for (place, batch, _), result in zip(answers, results, strict=True):
        if isinstance(result, BaseException):
            failure = failure or result
        else:
            ends[place] = result.offset + batch.record_count()  # type: ignore[attr-defined]
    if failure is not None:
        raise failure
    return ends


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Gives its connections back within a bound; what it has not sent is dropped."""
    _fail_open(producer)
    try:
        if not await bounded(producer.stop(), STOP_SECONDS_MAX):
            _cancel_sender(producer)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from ending, it must not keep the process
        # The sender's own failure comes out here again; whoever sent has been told.
        log.debug("a producer ended with an error", error=type(error).__name__)
    await close_client(producer.client)
    _retrieve_transaction(producer)


async def cut_off_producer(producer: AIOKafkaProducer) -> None:
    """Ends it at once; the next writer of its id settles what it has open."""
    producer._closed = True
    _fail_open(producer)
    _cancel_sender(producer)
    await close_client(producer.client)
    _retrieve_transaction(producer)


def _cancel_sender(producer: AIOKafkaProducer) -> None:
    task = producer._sender.sender_task
    if task is not None:
        task.cancel()


def _retrieve(answer: asyncio.Future[object]) -> None:
    if answer.done() and not answer.cancelled():
        answer.exception()


def _fail_open(producer: AIOKafkaProducer) -> None:
    """Who sent is told now. asyncio would complain of futures inside aiokafka that nobody asks any more."""
    accumulator = producer._message_accumulator
    batches = [
        *accumulator._pending_batches,
        *(batch for waiting in accumulator._batches.values() for batch in waiting),
    ]
    accumulator.fail_all(KafkaError("the producer was ended"))
    for batch in batches:
        _retrieve(batch.future)
        _retrieve(batch._drain_waiter)


def _retrieve_transaction(producer: AIOKafkaProducer) -> None:
    transactions = producer._txn_manager
    if transactions is not None and transactions._transaction_waiter is not None:
        _retrieve(transactions._transaction_waiter)


UNDECIDED = (CoordinatorNotAvailableError, NotCoordinatorError, RequestTimedOutError)
"""Answers to the end of a transaction that may have been begun all the same."""


class EndWatch:
    """Whether an answer to "commit this transaction" was lost, or left open what came of it.

    aiokafka asks again, and then "fenced" no longer means "not written": the first one may have been carried out.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.lost = False
        self._send = producer.client.send
        producer.client.send = self._watched

    async def _watched(self, node_id: int, request: object, **options: object) -> object:
        ends = isinstance(request, EndTxnRequest)
        try:
            answer = await self._send(node_id, request, **options)
        except KafkaError:
            self.lost |= ends
            raise
        self.lost |= ends and for_code(answer.error_code) in UNDECIDED
        return answer
