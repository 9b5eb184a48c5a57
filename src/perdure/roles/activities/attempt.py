"""One attempt of one activity in this worker: from the record that asks for it to the command that tells its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Protocol

from perdure.codec.encoder import Encoder
from perdure.core.commands import CompleteActivity, FailActivity
from perdure.core.effects import ActivityTask
from perdure.core.errors import FailureDetails
from perdure.workflow.activity import WorkflowActivityContext, failure_of, is_retryable, run_async, run_plain
from perdure.workflow.app import ActivityDef

if TYPE_CHECKING:
    from perdure.telemetry.attempts import AttemptTrace

__all__ = ["Attempt", "Origin", "failure"]


class Origin(Protocol):
    """Where an attempt's record came from."""

    partition: int
    live: bool  # False once the partition was taken away

    def settle(self, offset: int) -> None:
        """The record needs no further delivery: its result is in the log, or a lease stands in for it."""


class Attempt:
    """Runs user code once. Its outcome is a command; nothing that user code raises leaves it, SystemExit neither."""

    __slots__ = (
        "asked_at_ms", "began_at", "clock", "context", "deadline", "definition", "ended_at", "expired", "finished",
        "instance", "key", "lease_until_us", "offset", "origin", "outcome", "overran", "renew_at", "settled", "started_at",
        "target", "task", "trace", "waiter", "work",
    )  # fmt: skip

    def __init__(
        self,
        origin: Origin,
        offset: int,
        key: bytes,
        task: ActivityTask,
        *,
        definition: ActivityDef,
        target: int,
        context: Context,
    ) -> None:
        self.origin = origin
        self.offset = offset
        self.key = key
        self.instance = key.decode()
        self.task = task
        self.definition = definition
        self.target = target  # partition of the instance, which is also its shard of the timers
        self.context = context
        self.outcome: CompleteActivity | FailActivity | None = None
        self.trace: AttemptTrace | None = None
        self.started_at = -1.0  # of the loop's clock; below 0: not begun
        self.asked_at_ms = 0  # when its task was in the log; 0: not known
        self.clock: Callable[[], float] = _no_clock  # the loop's
        self.began_at = self.ended_at = -1.0  # of user code, by that clock; below 0: not yet
        self.lease_until_us = 0  # where a lease timer stands; 0: none was set
        self.renew_at = 0.0
        self.expired = False  # its result is nobody's any more: past its time-out, or given up at the drain
        self.overran = False  # past its time-out while its work goes on
        self.finished = False
        self.settled = False
        self.deadline: asyncio.TimerHandle | None = None
        self.work: asyncio.Task[None] | None = None
        self.waiter: asyncio.Future[None] | None = None

    @property
    def needs_its_record(self) -> bool:
        """It runs, and nothing else would bring it back if this worker died."""
        return self.started_at >= 0 and not (self.finished or self.expired or self.settled)

    def settle(self) -> None:
        """Once: the origin may forget the record."""
        if not self.settled:
            self.settled = True
            self.origin.settle(self.offset)
            if self.waiter is not None and not self.waiter.done():
                self.waiter.set_result(None)

    def run(self) -> None:
        """A plain activity, on the thread that a slot gives it, in a context of its own."""
        self.began_at = self.clock()
        try:
            self._complete(self.context.run(run_plain, self.definition, self._called(), self.task.input))
        except BaseException as error:  # noqa: BLE001 - SystemExit in an activity is a failure, not our end
            self._fail(error)
        finally:
            self.ended_at = self.clock()

    async def run_async(self) -> None:
        """An `async def` activity, as a task of its own."""
        self.began_at = self.clock()
        try:
            self._complete(await run_async(self.definition, self._called(), self.task.input))
        except GeneratorExit:
            raise
        except asyncio.CancelledError as error:
            work = asyncio.current_task()
            if work is None or not work.cancelling():  # its own doing; else it is cancelled, and has no outcome
                self._fail(error)
        except BaseException as error:  # noqa: BLE001 - as above
            self._fail(error)
        finally:
            self.ended_at = self.clock()

    def command(self, encode: Encoder) -> bytes:
        """The outcome as the value of a record of `instances`."""
        try:
            return encode(self.outcome)
        except Exception as error:  # noqa: BLE001 - text from user code that Avro cannot hold: still a failure by name
            return encode(
                failure(
                    self.task,
                    "PayloadError",
                    f"the result cannot be encoded: {error!r}"[:500],
                    retryable=False,
                )
            )

    def _called(self) -> WorkflowActivityContext:
        task = self.task
        return WorkflowActivityContext(
            self.instance, task.task_id, task.attempt, task.run, task.generation, task.workflow_name
        )

    def _complete(self, output: str) -> None:
        task = self.task
        self.outcome = CompleteActivity(task.run, task.generation, task.task_id, task.attempt, output)

    def _fail(self, error: BaseException) -> None:
        trace = error.__traceback__
        try:
            told = failure_of(error.with_traceback(trace.tb_next if trace is not None else None))
        except BaseException:  # noqa: BLE001 - an exception whose own text raises, whatever it raises
            told = FailureDetails("(its text cannot be made)", type(error).__name__, None)
        self.outcome = failure(
            self.task, told.error_type, told.message, told.stack_trace or "", retryable=is_retryable(error)
        )
        error.__traceback__ = None  # its frames hold user data and this attempt: a cycle less


def _no_clock() -> float:
    return 0.0


def failure(
    task: ActivityTask, error_type: str, message: str, stack_trace: str = "", *, retryable: bool
) -> FailActivity:
    """The command that fails this attempt."""
    return FailActivity(
        task.run, task.generation, task.task_id, task.attempt, error_type, message, stack_trace, retryable
    )
