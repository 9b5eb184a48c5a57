"""An engine under test, by what a user can call."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import perdure as wf
from perdure import testing

DEADLINE_S = 20

SERVICES = pytest.param("services", marks=pytest.mark.brokers)
"""For a fixture's parameters."""


@dataclass
class Failed(Exception):
    """A workflow ended without a result."""

    state: Any


class World:
    """An engine under test: its blocking client's verbs, and a few more."""

    kind = ""
    Failed = Failed
    tick = timedelta(0)  # long enough for what takes no time to be over; short enough to wait for
    client: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def start(self, workflow: Any, input: Any = None, **options: Any) -> str:
        return self.client.schedule_new_workflow(workflow, input=input, **options)

    def end_of(self, instance_id: str) -> Any:
        """The state of an ended instance."""
        state = self.client.wait_for_workflow_completion(instance_id, timeout_in_seconds=self.patience_s)
        assert state is not None, f"{instance_id} is unknown"
        return state

    def result(self, instance_id: str) -> Any:
        state = self.end_of(instance_id)
        if state.runtime_status is not wf.WorkflowStatus.COMPLETED:
            raise Failed(state)
        return json.loads(state.serialized_output) if state.serialized_output else None

    def run(self, workflow: Any, input: Any = None, **options: Any) -> Any:
        return self.result(self.start(workflow, input, **options))

    def status(self, instance_id: str) -> str:
        state = self.client.get_workflow_state(instance_id)
        return "" if state is None else state.runtime_status.name

    def custom_status(self, instance_id: str) -> Any:
        text = self.client.get_workflow_state(instance_id).serialized_custom_status
        return json.loads(text) if text else None

    def stalled(self, instance_id: str) -> dict[str, Any]:
        """Why an instance is stalled, once it is."""
        self.until(lambda: self.status(instance_id) == "STALLED", f"{instance_id} is stalled")
        return self.client.describe_workflow(instance_id).detail["stalled"]

    def events(self, instance_id: str) -> list[str]:
        """The names of its history's events."""
        return [type(event).__name__ for event in self.client.get_history(instance_id)]

    def together(self, *commands: tuple[str, tuple[Any, ...], dict[str, Any]]) -> list[Any]:
        """Commands written to the log in one append, in this order; what each returned or raised."""

        async def send() -> list[Any]:
            calls = [getattr(self.client.inner, verb)(*given, **options) for verb, given, options in commands]
            return await asyncio.gather(*calls, return_exceptions=True)

        return self.client.portal.call(send)

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for a fact."""
        raise NotImplementedError

    def skip(self, duration: timedelta) -> None:
        """Let time pass."""
        raise NotImplementedError

    def restart(self, app: wf.App | None = None) -> None:
        """The engine ends (in the kit: dies) and comes back, with other code if told so."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class KitWorld(World):
    kind = "kit"
    tick = timedelta(days=1)
    patience_s = 0

    def __init__(self, app: wf.App, settings: Any = None) -> None:
        self.client = testing.engine(app, settings=settings, guard="off")
        self.client.__enter__()

    def until(self, holds: Callable[[], bool], what: str) -> None:
        for _ in range(100):
            if holds():
                return
            self.client.skip(timedelta(seconds=1))
        raise AssertionError(f"not within 100 virtual seconds: {what}")

    def skip(self, duration: timedelta) -> None:
        self.client.skip(duration)

    def restart(self, app: wf.App | None = None) -> None:
        self.client.restart(app)

    def close(self) -> None:
        self.client.close()


class EmbeddedWorld(World):
    kind = "embedded"
    tick = timedelta(seconds=0.5)
    patience_s = DEADLINE_S

    def __init__(self, app: wf.App, path: Path, turn_seconds_max: float = 2.0, watch: Any = None) -> None:
        self._path = path
        self._watch = watch
        self._settings = quick_settings()
        self._settings.turn_seconds_max = turn_seconds_max
        self._begin(app)

    def _begin(self, app: wf.App) -> None:
        self.app = app
        app.add_workflow(time_passes)
        self.engine = wf.EmbeddedEngine(app, self._path, settings=self._settings, watch=self._watch)
        self.engine.start()
        self.client = self.engine.client()

    def until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
            time.sleep(0.01)

    def skip(self, duration: timedelta) -> None:
        """No sleep proves that an engine had its time: a timer of its own does."""
        self.result(self.start(time_passes, duration.total_seconds()))

    def restart(self, app: wf.App | None = None) -> None:
        self.engine.stop()
        self._begin(app or self.app)

    def close(self) -> None:
        self.engine.stop()


def time_passes(ctx, seconds):
    yield ctx.create_timer(timedelta(seconds=seconds))


def quick_settings() -> Any:
    """Embedded, with a history that is there at once."""
    settings = sys.modules[wf.EmbeddedEngine.__module__].embedded_settings()
    settings.orchestrator.write_behind_s = 0.0
    return settings
