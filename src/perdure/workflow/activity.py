"""What an activity is given, and how one attempt of it is run: decode the input, call, encode the result.

Nothing here waits, retries or talks to a log: the activity worker decides where and when, this says what.
"""

from __future__ import annotations

import inspect
import traceback
from dataclasses import dataclass
from typing import Any

from perdure.core.clipping import clipped, text_of
from perdure.core.errors import FailureDetails, NonRetryableError, PayloadError, PayloadTooLarge
from perdure.workflow import payloads
from perdure.workflow.app import ActivityDef

__all__ = [
    "ActivityContext", "WorkflowActivityContext",
    "failure_of", "is_retryable", "run_async", "run_plain",
]  # fmt: skip


@dataclass(slots=True, frozen=True)
class WorkflowActivityContext:
    """The first argument of an activity.

    `workflow_id` is the instance id; `task_id` numbers the call within its generation; `attempt` counts from
    1.
    """

    workflow_id: str
    task_id: int
    attempt: int = 1
    run: str = ""
    generation: int = 0
    workflow_name: str = ""

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt and delivery of this call, and for no other call ever.

        Hand it to the services you call: an activity runs at least once; a service that honours such a key
        makes its effect happen once.
        """
        return f"{self.workflow_id}/{self.run}/{self.generation}/{self.task_id}"


ActivityContext = WorkflowActivityContext


def run_plain(definition: ActivityDef, context: WorkflowActivityContext, input_text: str) -> str:
    """Call a plain activity on this thread: JSON text in, JSON text out (`""` for None).

    Raises what the activity raises, PayloadError for an input that does not fit or a result that JSON cannot
    hold, PayloadTooLarge for a result over the limit.
    """
    result = definition.fn(*_arguments(definition, context, input_text))
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            f"activity {definition.name!r} returned a coroutine that nobody awaits: declare it (or the "
            "decorator around it) with `async def`"
        )
    return _encoded(definition, result)


async def run_async(definition: ActivityDef, context: WorkflowActivityContext, input_text: str) -> str:
    """Await an `async def` activity on the running loop; otherwise as `run_plain`."""
    return _encoded(definition, await definition.fn(*_arguments(definition, context, input_text)))


def _arguments(definition: ActivityDef, context: WorkflowActivityContext, input_text: str) -> tuple[Any, ...]:
    if not definition.takes_input:
        return (context,)
    try:
        return (context, payloads.loads(input_text, definition.input_type))
    except PayloadError as error:
        raise PayloadError(f"the input of activity {definition.name!r}: {error}") from None


def _encoded(definition: ActivityDef, result: Any) -> str:
    try:
        text = payloads.dumps(result)
    except PayloadError as error:
        raise PayloadError(f"the result of activity {definition.name!r}: {error}") from None
    payloads.check_size(text, f"the result of activity {definition.name!r}")
    return text


def failure_of(error: BaseException) -> FailureDetails:
    """What goes into history of an exception: class name, text and stack, bounded and encodable."""
    return FailureDetails(clipped(text_of(error)), type(error).__name__, clipped(_stack(error)))


def is_retryable(error: BaseException) -> bool:
    """Whether another attempt may help: not after NonRetryableError, nor when the payload itself is at fault.

    A result that is too large, or that JSON cannot hold, comes after the activity's effect: trying again
    would only repeat the effect.
    """
    return not isinstance(error, NonRetryableError | PayloadError | PayloadTooLarge)


def _stack(error: BaseException) -> str:
    """The traceback from the activity's own first frame on: the engine's frames tell its author nothing."""
    begin = error.__traceback__
    while begin is not None and begin.tb_frame.f_code.co_filename == __file__ and begin.tb_next is not None:
        begin = begin.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, begin))
    except Exception:  # noqa: BLE001 - __str__ or __repr__ of a stranger
        return "".join(traceback.format_tb(begin))
