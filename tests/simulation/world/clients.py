"""Clients: each a process that does its operations, repeats what was not answered, and begins again after a crash."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from functools import partial

from perdure.client.client import AsyncWorkflowClient
from perdure.client.errors import CommandRejected
from perdure.client.log_transport import LogTransport
from perdure.core.errors import PerdureError
from perdure.services.write_version import learn_write_version
from tests.simulation.evidence import Answer
from tests.simulation.world.services import TOPICS, open_ports

AGAIN_S = 0.5


def client_main(world, number):
    """`main` of the client of this number."""

    async def main(process):
        process.hosts = []
        while True:
            desk = Desk(world, process)
            await desk.open()
            world.trace(process.name, "is ready")
            errands = asyncio.gather(*(desk.run(index) for index in world.ops_of(number)))
            await asyncio.wait({errands, desk.broken}, return_when=asyncio.FIRST_COMPLETED)
            if not desk.broken.done():
                await desk.broken  # for the epilogue
            errands.cancel()
            await asyncio.gather(errands, return_exceptions=True)
            await desk.close()

    return main


class Desk:
    """One connection of a client. `broken` is done when no answers come over it any more."""

    def __init__(self, world, process):
        self.world = world
        self.process = process
        self.broken = asyncio.get_running_loop().create_future()

    async def open(self):
        while True:
            ports = self.ports = open_ports(self.process)
            learn = partial(learn_write_version, ports.log, TOPICS, ports.encode) if self.world.learns else None
            transport = LogTransport(
                ports.log, ports.store, TOPICS, ports.entropy, ports.clock, encode=ports.encode, learn=learn
            )
            transport.on_end = self._ended
            self.client = AsyncWorkflowClient(transport)
            try:
                await transport.open()
            except PerdureError as error:
                self.world.trace(self.process.name, "cannot open its inbox", str(error))
                await ports.close()
                await asyncio.sleep(AGAIN_S)
            else:
                self.process.desk = self
                return

    def _ended(self, error):
        if not self.broken.done():
            self.broken.set_result(error)

    async def close(self):
        await self.client.close()
        await self.ports.close()

    async def run(self, index):
        """One operation, until it is answered; what an earlier life of this client was answered stays so."""
        world, op = self.world, self.world.ops[index]
        answer = world.answers.get(index)
        if answer is not None and answer.answered_us:
            return
        await asyncio.sleep(max(0.0, op["at"] - asyncio.get_running_loop().time()))
        if answer is None:
            answer = world.answers[index] = Answer(
                index, op["verb"], op["instance"], op["command_id"], world.now_us(), 0, "unanswered"
            )
            world.trace(self.process.name, f"asks {op['verb']} '{op['instance']}' {op['command_id']}")
        elif _cannot_be_repeated(op):
            self._give_up(answer)
            return
        await self.until_answered(op, answer)

    async def until_answered(self, op, answer):
        """The first answer. A bounded wait may end without one."""
        while True:
            try:
                await self._ask(op, answer)
                answer.outcome = "accepted"
            except CommandRejected as error:
                answer.outcome = error.reason
            except TimeoutError:
                if op["verb"] != "wait":
                    continue
                answer.outcome = "timeout"
            except PerdureError as error:
                if _cannot_be_repeated(op):
                    self._give_up(answer)
                    return
                self.world.trace(self.process.name, f"asks again for {op['command_id']}", str(error))
                await asyncio.sleep(AGAIN_S)
                if op["verb"] in ("wait", "state"):
                    answer.sent_us = self.world.now_us()
                continue
            answer.answered_us = self.world.now_us()
            self.world.trace(self.process.name, f"is answered {op['verb']} '{op['instance']}'", answer.outcome)
            return

    def _give_up(self, answer):
        """Nobody will ever know what became of it: as after a time-out."""
        answer.outcome, answer.answered_us = "timeout", self.world.now_us()

    async def _ask(self, op, answer):
        client, instance, verb = self.client, op["instance"], op["verb"]
        named = {"command_id": op["command_id"] or None}
        if verb == "start":
            answer.new_instance = await client.schedule_new_workflow(
                op["workflow"], input=op["input"], instance_id=instance or None, start_at=self._start_at(op), **named
            )
        elif verb == "raise":
            await client.raise_workflow_event(instance, op["event"], data=op["data"], **named)
        elif verb == "pause":
            await client.pause_workflow(instance, **named)
        elif verb == "resume":
            await client.resume_workflow(instance, **named)
        elif verb == "terminate":
            await client.terminate_workflow(instance, output=op["output"], recursive=op["recursive"], **named)
        elif verb == "purge":
            await client.purge_workflow(instance, op["recursive"], **named)
        elif verb == "rerun":
            answer.new_instance = await client.rerun_workflow(instance, new_instance_id=op["new_instance"], **named)
        else:
            until, timeout_s = (op["until"], op["timeout_s"]) if verb == "wait" else ("now", 30)
            known = await client.transport.inspect(instance, until=until, timeout_s=timeout_s)
            if known is None:
                raise CommandRejected("nobody knows it", "UnknownInstance")
            answer.snapshot = dataclasses.asdict(known)

    def _start_at(self, op):
        """The same time for every repeat: it is what was asked for."""
        if not op["delay_s"]:
            return None
        at_us = self.world.start_us + int((op["at"] + op["delay_s"]) * 1e6)
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at_us)


def _cannot_be_repeated(op):
    """A start without an id of any kind would be another start."""
    return op["verb"] == "start" and not op["instance"] and not op["command_id"]
