"""What happens: start, kill in the middle, restart, an answer for the approval, an end for the eternal one."""

import asyncio
import time
from collections.abc import Callable

import perdure as wf
from examples import ledger
from examples.demo import checks
from examples.demo.app import app
from examples.demo.engine import DemoFailed, EngineProcess
from examples.demo.looks import Look, look
from examples.demo.parts import APPROVAL, ETERNAL, FAN_OUT, PARTS, SAGA
from examples.demo.screen import Screen

__all__ = ["tell"]

LOOK_EVERY_S = 0.2
ANSWER_S = 10
PATIENCE_S = 30  # for each part of the story; the longest takes about 5 on an idle machine

Looks = dict[str, Look]


async def tell(engine: EngineProcess, screen: Screen) -> Looks:
    """The instances as they ended. Raises DemoFailed."""
    pid = engine.start()
    screen.say(f"[bold]The engine runs[/] (process {pid}); the seven patterns start, and one as async def.")
    async with wf.aio.DaprWorkflowClient(engine.url, app=app) as client:
        watch = _Watch(engine, client, screen)
        for part in PARTS:
            await client.schedule_new_workflow(part.workflow, input=part.input, instance_id=part.id)
        before = await watch(_saga_and_fan_out_are_in_the_middle, "the saga and the fan-out to begin")

        engine.kill()
        killed_at_us = time.time_ns() // 1_000
        screen.say(f"[bold red]SIGKILL[/] for process {pid}: {_in_the_middle(before)}.")
        screen.say(f"[bold]A new engine[/] on the same file (process {engine.start()}): every instance goes on.")

        await client.raise_workflow_event(APPROVAL.id, "answer", data={"approved": True})
        await watch(lambda looks: looks[ETERNAL.id].generation >= 3, "three generations")
        await client.terminate_workflow(ETERNAL.id, output=ETERNAL.output)
        after = await watch(_all_have_ended, "all instances to end")

    checks.check_endings(after)
    checks.check_histories(after)
    checks.check_kill(before, after, killed_at_us)
    checks.check_ledger(after)
    screen.end(after)
    screen.say(_moral(after))
    return after


class _Watch:
    """Looks and shows, until it is so far."""

    def __init__(self, engine: EngineProcess, client: wf.aio.DaprWorkflowClient, screen: Screen) -> None:
        self._engine = engine
        self._client = client
        self._screen = screen

    async def __call__(self, is_so_far: Callable[[Looks], bool], what: str) -> Looks:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            looks = await self._look()
            self._screen.show(looks)
            if is_so_far(looks):
                return looks
            await asyncio.sleep(LOOK_EVERY_S)
        raise DemoFailed(f"waited {PATIENCE_S} s for {what}")

    async def _look(self) -> Looks:
        try:
            return await asyncio.wait_for(look(self._client, PARTS), ANSWER_S)
        except (TimeoutError, ConnectionError) as error:
            self._engine.check()
            raise DemoFailed(f"the engine does not answer: {error or type(error).__name__}") from None


def _saga_and_fan_out_are_in_the_middle(looks: Looks) -> bool:
    saga, fan_out = looks[SAGA.id], looks[FAN_OUT.id]
    return checks.is_in_the_middle(saga) and checks.is_in_the_middle(fan_out) and len(saga.completed) >= 2


def _all_have_ended(looks: Looks) -> bool:
    return all(each.has_ended for each in looks.values())


def _in_the_middle(looks: Looks) -> str:
    saga, fan_out = looks[SAGA.id], looks[FAN_OUT.id]
    return (
        f"the saga is {saga.custom_status}, {len(saga.completed)} activities done, "
        f"and the fan-out has {len(fan_out.completed)} of {len(fan_out.scheduled)}"
    )


def _moral(looks: Looks) -> str:
    activities = sum(len(each.completed) for each in looks.values())
    return (
        f"[green]All as it should be.[/] The {activities} completed activities in these histories (of the last "
        f"generation each) are recorded once. {len(ledger.repeated())} had been at work when the engine was killed and "
        "ran again; the ledger, asked with their idempotency keys, has every effect once."
    )
