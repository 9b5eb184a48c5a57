"""What an orchestrator is given: `ctx`. Dapr's names and meanings; every call goes to the core's scheduler."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from perdure.core.awaitables import Task
from perdure.core.errors import PayloadError
from perdure.core.events import RetrySpec
from perdure.core.limits import DERIVED_ID_BYTES_MAX, NAME_BYTES_MAX, TIME_US_MAX
from perdure.core.scheduler import Scheduler
from perdure.workflow import payloads
from perdure.workflow.app import App
from perdure.workflow.deterministic import DeterministicMixin
from perdure.workflow.log import ReplaySafeLogger, replay_safe_logger
from perdure.workflow.retry import RetryPolicy

__all__ = ["DaprWorkflowContext", "WorkflowContext"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class WorkflowContext(DeterministicMixin):
    """The first argument of an orchestrator; the only way from there to the world.

    Times are naive UTC, as Dapr's are; an aware datetime is taken for what it says, a naive one for UTC.
    """

    __slots__ = ("_app", "_logger", "_scheduler", "_seed")

    def __init__(self, app: App, scheduler: Scheduler) -> None:
        self._app = app
        self._scheduler = scheduler
        self._seed = f"{scheduler.instance_id}/{scheduler.run}/{scheduler.generation}"
        self._logger: ReplaySafeLogger | None = None

    # -- who and when ---------------------------------------------------------------------------------------

    @property
    def instance_id(self) -> str:
        return self._scheduler.instance_id

    @property
    def parent_instance_id(self) -> str | None:
        """The instance that called this one as a child; None for one that a client started."""
        return self._scheduler.parent_id or None

    @property
    def workflow_name(self) -> str:
        return self._scheduler.workflow_name

    @property
    def generation(self) -> int:
        """0, then +1 at every continue_as_new."""
        return self._scheduler.generation

    @property
    def current_utc_datetime(self) -> datetime:
        """Naive UTC time of the fact being handled: the same in replay, never before an earlier reading."""
        return (_EPOCH + self._scheduler.now_us * _MICROSECOND).replace(tzinfo=None)

    @property
    def is_replaying(self) -> bool:
        """True while code runs again over what history has already. Branching on it breaks replay: it is for
        logs.
        """
        return self._scheduler.replaying

    @property
    def logger(self) -> ReplaySafeLogger:
        """A logger that is silent in replay, so that each line appears once."""
        if self._logger is None:
            scheduler = self._scheduler
            self._logger = replay_safe_logger(
                lambda: scheduler.replaying or scheduler.sealed,
                instance_id=scheduler.instance_id,
                workflow=scheduler.workflow_name,
            )
        return self._logger

    # -- steps ----------------------------------------------------------------------------------------------

    def call_activity(
        self,
        activity: Callable[..., Any] | str,
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        timeout: timedelta | None = None,
        app_id: str | None = None,
    ) -> Task[Any]:
        """Have an activity run by a worker; the task's result is what it returns.

        `timeout` is start-to-close, per attempt: from when a worker claims the task. None: the app's
        default_activity_timeout. A failure (after the retries) is raised as TaskFailedError where the task is
        yielded.
        """
        _refuse_app_id(app_id)
        name = self._app.name_of(activity)
        return self._scheduler.call_activity(
            name,
            _payload(input, f"the input of activity '{name}'"),
            queue="",
            timeout_us=_timeout_us(timeout if timeout is not None else self._app.default_activity_timeout),
            retry=_retry(retry_policy),
            decode=_decoder(_output_type(self._app.activities, name)),
        )

    def call_child_workflow(
        self,
        workflow: Callable[..., Any] | str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        app_id: str | None = None,
    ) -> Task[Any]:
        """Start another workflow as a child; the task's result is its output. Default id: "<parent>:<task id
        in hex>".
        """
        _refuse_app_id(app_id)
        name = self._app.name_of(workflow)
        if instance_id is not None and not isinstance(instance_id, str):
            raise TypeError(f"a child's instance id is a str, not {instance_id!r}")
        if instance_id is not None and not 0 < len(instance_id.encode()) <= DERIVED_ID_BYTES_MAX:
            raise ValueError(f"a child's instance id has 1 to {DERIVED_ID_BYTES_MAX} bytes of UTF-8")
        return self._scheduler.call_child(
            name,
            _payload(input, f"the input of child workflow '{name}'"),
            child_id=instance_id or "",
            retry=_retry(retry_policy),
            decode=_decoder(_output_type(self._app.workflows, name)),
        )

    def create_timer(self, fire_at: datetime | timedelta) -> Task[None]:
        """A durable timer, for a time or a duration from now. One that lies in the past fires at once."""
        return self._scheduler.create_timer(self._time_us(fire_at))

    def wait_for_external_event(
        self, name: str, *, timeout: datetime | timedelta | None = None, data_type: Any = None
    ) -> Task[Any]:
        """Wait for `raise_workflow_event(…, name)`. First in, first out per name; names are case-insensitive.

        Events raised before the wait are kept for it. With a timeout the task fails with TimeoutError, and a
        later event stays buffered. `data_type`: what to rebuild the event's data as.
        """
        if not isinstance(name, str) or not 0 < len(name.encode()) <= NAME_BYTES_MAX:
            raise ValueError(f"an event name is a str of 1 to {NAME_BYTES_MAX} bytes")
        timeout_at = None if timeout is None else self._time_us(timeout)
        return self._scheduler.wait_event(name, timeout_at_us=timeout_at, decode=_decoder(data_type))

    def continue_as_new(self, new_input: Any, *, save_events: bool = False) -> None:
        """End this generation when the orchestrator returns, and begin the next with a fresh history.

        `save_events`: raised events that nothing has waited for go along; otherwise they are dropped.
        """
        self._scheduler.continue_as_new(_payload(new_input, "the input of continue_as_new"), save_events)

    def set_custom_status(self, custom_status: Any) -> None:
        """Something for clients to see: any JSON value."""
        self._scheduler.set_custom_status(_payload(custom_status, "the custom status"))

    def is_patched(self, patch_name: str) -> bool:
        raise NotImplementedError(
            f"is_patched({patch_name!r}): patches are not built yet; register the changed workflow under a new name"
        )

    def _time_us(self, when: datetime | timedelta) -> int:
        if isinstance(when, timedelta):
            at = self._scheduler.now_us + when // _MICROSECOND
            if at > TIME_US_MAX:
                raise ValueError("a timer fires before the year 10000")
            return max(0, at)
        if isinstance(when, datetime):
            aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
            return max(0, (aware - _EPOCH) // _MICROSECOND)
        raise TypeError(f"a time is a datetime or a timedelta, not {type(when).__name__}")


DaprWorkflowContext = WorkflowContext


def _payload(value: Any, what: str) -> str:
    try:
        text = payloads.dumps(value)
    except PayloadError as error:
        raise PayloadError(f"{what}: {error}") from None
    payloads.check_size(text, what)
    return text


JSON_TYPES = (None, Any, object, str, int, float, bool, dict, list)


def _decoder(annotation: Any) -> Callable[[str], Any]:
    """Results are rebuilt where the annotation says more than JSON does; a careless `-> str` breaks nobody's workflow."""
    if annotation in JSON_TYPES:
        return payloads.loads
    return lambda text: payloads.loads(text, annotation)


def _output_type(registry: Any, name: str) -> Any:
    definition = registry.get(name)
    return None if definition is None else definition.output_type


def _retry(policy: RetryPolicy | None) -> RetrySpec | None:
    if policy is not None and not isinstance(policy, RetryPolicy):
        raise TypeError(f"a retry_policy is a RetryPolicy, not {policy!r}")
    return None if policy is None else policy.to_spec()


def _timeout_us(timeout: timedelta | None) -> int:
    if timeout is None:
        return 0
    if not isinstance(timeout, timedelta):
        raise TypeError(f"an activity's timeout is a timedelta, not {timeout!r}")
    if timeout <= timedelta(0):
        raise ValueError("an activity's timeout is longer than zero; None means no time-out")
    if timeout // _MICROSECOND > TIME_US_MAX:
        raise ValueError("an activity's timeout ends before the year 10000; None means no time-out")
    return timeout // _MICROSECOND


def _refuse_app_id(app_id: str | None) -> None:
    if app_id is not None:
        raise NotImplementedError(
            "app_id: calls into another application are not built; let that application's workers serve the same namespace"
        )
