"""An engine to test workflows on: everything in memory, in the test's own thread, and time that is skipped.

    with testing.engine(app, activities={"charge": testing.returns("ok")}) as env:
        env.schedule_new_workflow(approval, input={...}, instance_id="a")
        env.skip(timedelta(days=3))
        assert env.result("a") == {"status": "timeout"}

Between two calls the world stands still; after each, everything has happened that needs no time. It is the real engine:
the roles, the log's semantics and the encodings are those of production, only the ports are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

from perdure.assembly import Engine, EngineSettings, Ports, memory_ports
from perdure.client.client import AsyncWorkflowClient, Named
from perdure.client.log_transport import LogTransport
from perdure.client.running import register, unregister
from perdure.client.sync import WorkflowClient
from perdure.client.transport import Transport
from perdure.core.errors import FailureDetails, PerdureError
from perdure.roles.activities import ActivitySettings
from perdure.roles.orchestrator import OrchestratorSettings
from perdure.roles.timers import TimerSettings
from perdure.telemetry.logs import configure_logs
from perdure.testing.activities import Activities, Call
from perdure.testing.clock import SeededEntropy, VirtualClock
from perdure.testing.fakes import Fake
from perdure.testing.histories import History
from perdure.testing.loop import VirtualLoop
from perdure.testing.portal import VirtualPortal, refuse_running_loop
from perdure.testing.waiting import describe_waits
from perdure.workflow import payloads
from perdure.workflow.app import App
from perdure.workflow.context import _decoder
from perdure.workflow.guard import Finding, Guard
from perdure.workflow.guard import _log as report_finding
from perdure.workflow.status import WorkflowState, WorkflowStatus

__all__ = ["START_AT", "Environment", "NotCompleted", "engine", "kit_settings"]

START_AT: Final = datetime(2025, 1, 1)  # noqa: DTZ001 - naive UTC, as everywhere in this API
"""Where the clock of an environment stands at first."""

NEVER_S: Final = 3e9  # 95 years: beyond every horizon, and whole microseconds all the same


class NotCompleted(PerdureError):
    """A workflow that was to return a result did not. `state` is how it stands, `details` the failure (or None)."""

    def __init__(self, message: str, state: WorkflowState) -> None:
        super().__init__(message)
        self.state = state
        self.details: FailureDetails | None = state.failure_details


def kit_settings() -> EngineSettings:
    """The engine's settings in the kit. Timers stay in memory, and nobody looks at a clock now and then."""
    return EngineSettings(
        inline=True,
        orchestrator=OrchestratorSettings(owner="test-kit", write_behind_s=0.0, waiter_silence_s=NEVER_S),
        activities=ActivitySettings(unregistered_window_s=0.0),
        timers=TimerSettings(near_s=NEVER_S, slice_s=int(NEVER_S), recheck_s=NEVER_S),
    )


def engine(
    app: App,
    *,
    start_at: datetime | None = None,
    guard: Literal["warn", "strict", "off"] = "warn",
    activities: Mapping[Any, Fake | Callable[..., Any]] | None = None,
    seed: int = 0,
    settings: EngineSettings | None = None,
) -> Environment:
    """An environment for `app`, to be used with `with`.

    `start_at`: where its clock begins (naive: UTC; default START_AT). `guard`: what becomes of an orchestrator that reads
    a clock, a file and so on: "warn" collects it in `env.findings`, "strict" parks the instance as STALLED, "off" does not
    look. `activities`: fakes by name or function. `seed`: of minted ids.
    """
    return Environment(app, start_at=start_at, guard=guard, activities=activities, seed=seed, settings=settings)


class Environment(WorkflowClient):
    """The verbs of the blocking client, and those of a test.

    `findings`: what the guard found. `clock.step` sets the wall clock without letting time pass.
    """

    portal: VirtualPortal

    def __init__(
        self,
        app: App,
        *,
        start_at: datetime | None = None,
        guard: Literal["warn", "strict", "off"] = "warn",
        activities: Mapping[Any, Fake | Callable[..., Any]] | None = None,
        seed: int = 0,
        settings: EngineSettings | None = None,
    ) -> None:
        super().__init__(cast("AsyncWorkflowClient", None), VirtualPortal())
        self.app = app
        self.findings: list[Finding] = []
        self._guard = Guard(guard, self._found)
        self._settings = settings or kit_settings()
        self._fakes = dict(activities or {})
        self._start_at = START_AT if start_at is None else start_at
        self._seed = seed
        self._loop: VirtualLoop | None = None

    # -- life -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        refuse_running_loop()
        if self._loop is not None:
            raise PerdureError("this environment is in use already: make another one with testing.engine")
        configure_logs()
        self._loop = loop = VirtualLoop()
        self.clock = VirtualClock(loop, self._start_at)
        self.activities = Activities(loop, self.clock)
        self.portal = VirtualPortal(loop, self._why_stuck)
        self._ports = memory_ports(self.clock, SeededEntropy(self._seed))
        try:
            self.activities.install(self.app)
            for activity, fake in self._fakes.items():
                self.activities.replace(activity, fake)
            self._begin()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End at once, and forget everything. Twice is harmless."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        unregister(self)
        self.portal.close()
        self._crash(loop)
        loop.close()

    def restart(self, app: App | None = None) -> None:
        """Kill the engine without closing anything, and start another on what it left in its log and stores.

        `app`: another deployment. Activities that were running are cut off, as in a crash, and delivered again.
        """
        loop = self._running()
        self.portal.check()
        self._crash(loop)
        self._ports = memory_ports(self.clock, self._ports.entropy, beside=self._ports)
        if app is not None:
            self.app = app
        self._begin()

    # -- verbs of a test --------------------------------------------------------------------------------------

    def run(self, workflow: Named, input: Any = None, *, instance_id: str | None = None) -> Any:
        """Start a workflow, wait for its end (time passes as needed) and return its result. Raises NotCompleted."""
        return self.result(self.schedule_new_workflow(workflow, input=input, instance_id=instance_id))

    def result(self, instance_id: str) -> Any:
        """Wait for the end and return the result, rebuilt as the workflow's annotation says.

        Raises NotCompleted if it failed or was terminated, WaitsForever if nothing that is due ends it, LookupError.
        """
        state = self.wait_for_workflow_completion(instance_id)
        if state is None:
            raise LookupError(f"no workflow instance has the ID '{instance_id}'")
        if state.runtime_status is not WorkflowStatus.COMPLETED:
            raise NotCompleted(_story(state), state)
        definition = self.app.workflows.get(state.name)
        return _decoder(definition.output_type if definition else None)(state.serialized_output or "")

    def skip(self, duration: timedelta) -> None:
        """Let time pass; everything due meanwhile has happened afterwards, in its order."""
        if duration < timedelta(0):
            raise ValueError("time does not run backwards: clock.step sets the clock back")
        loop = self._running()
        self.portal.check()
        loop.skip_to(loop.time() + duration.total_seconds())

    @property
    def now(self) -> datetime:
        """What the clock shows: naive UTC, as in an orchestrator."""
        self._running()
        return self.clock.now()

    def history(self, instance_id: str) -> History:
        """The events of the latest run and generation, for a look or for `testing.replay`."""
        return History(self.get_history(instance_id), instance_id)

    def calls(self, activity: Callable[..., Any] | str | None = None) -> list[Call]:
        """The calls of an activity (or of all) so far: inputs, attempts, times."""
        return self.activities.calls(activity)

    def status(self, instance_id: str) -> str:
        """The name of its status; "" if nobody knows it."""
        state = self.get_workflow_state(instance_id, fetch_payloads=False)
        return "" if state is None else state.runtime_status.name

    def custom_status(self, instance_id: str) -> Any:
        """What the workflow last set by set_custom_status; None if nothing."""
        state = self.get_workflow_state(instance_id)
        return None if state is None else payloads.loads(state.serialized_custom_status or "")

    @property
    def transport(self) -> Transport:
        """For clients that look for the engine of this process."""
        return self.inner.transport

    # -- inside -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        watch = None if self._guard.mode == "off" else self._guard.watch
        running = Engine(self.activities.install(self.app), self._ports, self._settings, watch=watch)
        self.portal.call(running.start)
        self.engine = running
        ports = self._ports
        # Nothing gets lost on the way here: a repeat every few seconds would only be one more thing to skip over.
        transport = LogTransport(ports.log, ports.store, running.topics, ports.entropy, ports.clock, resend_s=NEVER_S)
        self.inner = AsyncWorkflowClient(transport, app=self.app)
        register(self)

    def _crash(self, loop: VirtualLoop) -> None:
        loop.drive(_die(self._ports))
        loop.settle()  # the roles see that their log is gone, and let user code go
        loop.kill()

    def _running(self) -> VirtualLoop:
        if self._loop is None:
            raise PerdureError("the test engine is used inside its `with` block")
        return self._loop

    def _found(self, finding: Finding) -> None:
        self.findings.append(finding)
        report_finding(finding)

    def _why_stuck(self) -> str:
        return self._running().drive(describe_waits(self.inner))


def _story(state: WorkflowState) -> str:
    head = f"{state.name} '{state.instance_id}' is {state.runtime_status.name}"
    failure = state.failure_details
    if failure is None:
        return f"{head}: output {state.serialized_output or 'none'}"
    return f"{head}: {failure.error_type}: {failure.message}\n{failure.stack_trace or ''}".rstrip()


async def _die(ports: Ports) -> None:
    """Every call of the log fails from here on, and nobody in this life is told of anything."""
    ports.log.crash()  # type: ignore[attr-defined]
