"""What can be seen of an instance, through the client: its state, and its history with its children's."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import perdure as wf
from examples.demo.parts import Part
from perdure.core.events import (
    ActivityCompleted,
    ActivityScheduled,
    ChildScheduled,
    WorkflowCompleted,
    WorkflowFailed,
    WorkflowTerminated,
)

__all__ = ["Look", "look"]


@dataclass(frozen=True)
class Look:
    """`histories` holds the events of the latest generation, by instance id: the instance's own first."""

    part: Part
    state: wf.WorkflowState
    generation: int
    histories: dict[str, list[Any]]

    @property
    def status(self) -> str:
        return self.state.runtime_status.name

    @property
    def has_ended(self) -> bool:
        """By its state and by its history: the two are read one after the other."""
        last = self.histories[self.part.id][-1:]
        is_written = any(isinstance(event, WorkflowCompleted | WorkflowFailed | WorkflowTerminated) for event in last)
        return is_written and self.state.runtime_status.is_terminal

    @property
    def output(self) -> Any:
        return json.loads(self.state.serialized_output or "null")

    @property
    def custom_status(self) -> str:
        return json.loads(self.state.serialized_custom_status or '""')

    @property
    def events(self) -> int:
        return sum(len(history) for history in self.histories.values())

    @property
    def scheduled(self) -> list[Any]:
        return self._all(ActivityScheduled)

    @property
    def completed(self) -> list[Any]:
        return self._all(ActivityCompleted)

    @property
    def seconds(self) -> float:
        return (self.state.last_updated_at - self.state.created_at).total_seconds()

    def _all(self, kind: type) -> list[Any]:
        return [event for history in self.histories.values() for event in history if isinstance(event, kind)]


async def look(client: wf.aio.DaprWorkflowClient, parts: Sequence[Part]) -> dict[str, Look]:
    """All of them at the same time, by instance id."""
    looks = await asyncio.gather(*(_look(client, part) for part in parts))
    return {part.id: each for part, each in zip(parts, looks, strict=True)}


async def _look(client: wf.aio.DaprWorkflowClient, part: Part) -> Look:
    known = await client.describe_workflow(part.id)
    return Look(part, known.state, known.generation, await _histories(client, part.id))


async def _histories(client: wf.aio.DaprWorkflowClient, instance_id: str) -> dict[str, list[Any]]:
    own = await client.get_history(instance_id)
    histories = {instance_id: own}
    for event in own:
        if isinstance(event, ChildScheduled):
            try:
                histories |= await _histories(client, event.child_id)
            except wf.InstanceNotFound:  # it is asked for, and not there yet
                pass
    return histories
