"""A scenario on one engine in one process, without faults: what the laws are tried on where no world is needed.

The evidence is read from the memory broker, whose every record is noted as it is written.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from datetime import datetime, timedelta

from perdure.assembly import Engine, EngineSettings, memory_ports
from perdure.client.client import AsyncWorkflowClient
from perdure.client.errors import CommandRejected
from perdure.client.log_transport import LogTransport
from perdure.client.values import payload_text
from perdure.core.commands import RaiseEvent, ResumeWorkflow
from perdure.roles.orchestrator import OrchestratorSettings
from perdure.testing.clock import SeededEntropy, VirtualClock
from perdure.testing.loop import VirtualLoop
from tests.faults.records import decode
from tests.simulation.evidence import Answer, Evidence, Fact
from tests.simulation.model import stand
from tests.simulation.workload.operations import generate
from tests.simulation.workload.programs import make_app

START_AT = datetime(2025, 1, 1)
PARTITIONS = 3
ROUNDS_MAX = 40
# Small caches: instances are evicted and loaded again all the time.
SETTINGS = EngineSettings(
    partitions=PARTITIONS, inline=True, orchestrator=OrchestratorSettings(cache_instances_max=6, cache_ended_max=2)
)
TOPICS = {"instances": "commands", "history": "history", "activities": "activities", "timers": "timers",
          "dead-letters": "dead_letters", "replies": "replies"}  # fmt: skip


def evidence_of(seed, *, size=40, seconds=40.0, ops=None):
    """The evidence of one scenario, played to its end."""
    given = ops if ops is not None else generate(random.Random(seed), clients=2, seconds=seconds, size=size)
    return Scenario(seed, given).play()


class Scenario:
    def __init__(self, seed, ops):
        self.evidence = Evidence(ops=ops, partitions=PARTITIONS)
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop, START_AT)
        self.ports = memory_ports(self.clock, SeededEntropy(seed))
        self.raised = 0
        _note(self.ports.log.broker, self.clock, self.evidence)

    def play(self):
        try:
            self.loop.drive(self._play(), horizon=self.loop.time() + 1e6)
        finally:
            self.loop.kill()
            self.loop.close()
        self._look_into_stores()
        for topic in TOPICS.values():
            getattr(self.evidence, topic).sort(key=lambda fact: (fact.partition, fact.offset))
        return self.evidence

    async def _play(self):
        engine = Engine(make_app(self._ledger), self.ports, SETTINGS)
        await engine.start()
        self.evidence.deployments.append({"at_us": self.clock.now_us(), "process": "one", "version": 1})
        self.topics = engine.topics
        clients = 1 + max(op["client"] for op in self.evidence.ops)
        clients = [
            LogTransport(self.ports.log, self.ports.store, engine.topics, self.ports.entropy, self.clock)
            for _ in range(clients)
        ]
        self.clients = [AsyncWorkflowClient(each) for each in clients]
        await asyncio.gather(*(self._operate(index, op) for index, op in enumerate(self.evidence.ops)))
        self.evidence.finished = await self._come_to_rest()
        self.evidence.ended_us = self.clock.now_us()
        for each in self.clients:
            await each.close()
        await engine.stop()

    # -- operations -------------------------------------------------------------------------------------------

    async def _operate(self, index, op):
        await asyncio.sleep(op["at"] - self.loop.time())
        answer = Answer(index, op["verb"], op["instance"], op["command_id"], self.clock.now_us(), 0, "unanswered")
        self.evidence.answers.append(answer)
        try:
            await self._ask(self.clients[op["client"]], op, answer)
            answer.outcome = "accepted"
        except CommandRejected as error:
            answer.outcome = error.reason
        except TimeoutError:
            answer.outcome = "timeout"
        answer.answered_us = self.clock.now_us()

    async def _ask(self, client, op, answer):
        named = {"command_id": op["command_id"] or None}
        instance, verb = op["instance"], op["verb"]
        if verb == "start":
            start_at = self.clock.now() + timedelta(seconds=op["delay_s"]) if op["delay_s"] else None
            answer.new_instance = await client.schedule_new_workflow(
                op["workflow"], input=op["input"], instance_id=instance or None, start_at=start_at, **named
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
            until = op["until"] if verb == "wait" else "now"
            timeout_s = op["timeout_s"] if verb == "wait" else 30
            known = await client.transport.inspect(instance, until=until, timeout_s=timeout_s)
            if known is None:
                raise CommandRejected("nobody knows it", "UnknownInstance")
            answer.snapshot = dataclasses.asdict(known)

    # -- the end ----------------------------------------------------------------------------------------------

    async def _come_to_rest(self):
        """Whoever is paused goes on, whoever waits for an event gets it, until every run has ended."""
        for _ in range(ROUNDS_MAX):
            open_ones = self._open()
            if not open_ones:
                await asyncio.sleep(500)  # timers of the far tier, leases, what is written behind
                if not self._open():
                    return True
            for instance, facts in open_ones.items():
                await self._help(instance, facts)
            await asyncio.sleep(100)
        return False

    def _open(self):
        """The latest generation of each instance that has not ended."""
        latest = {}
        for fact in self.evidence.history:
            if fact.instance:
                latest.setdefault(fact.instance, []).append(fact)
                if fact.name == "WorkflowStarted":
                    latest[fact.instance] = [fact]
        ends = {"WorkflowCompleted", "WorkflowFailed", "WorkflowTerminated", "WorkflowPurged"}
        return {instance: facts for instance, facts in latest.items() if facts[-1].name not in ends}

    async def _help(self, instance, facts):
        suspended = False
        for fact in facts:
            suspended = {"WorkflowSuspended": True, "WorkflowResumed": False}.get(fact.name, suspended)
        if suspended:
            await self._tell("resume", instance, ResumeWorkflow())
            return
        import json

        for name in stand(json.loads(facts[0].fields["input"]), facts).waits:
            await self._tell("raise", instance, RaiseEvent(name, payload_text("at last", "data")))

    async def _tell(self, verb, instance, command):
        self.raised += 1
        command.command_id = f"e-{self.raised:05}"
        answer = Answer(-1, verb, instance, command.command_id, self.clock.now_us(), 0, "unanswered")
        self.evidence.answers.append(answer)
        reply = await self.clients[0].transport.send(instance, command)
        answer.outcome = "accepted" if reply.accepted else reply.reason
        answer.answered_us = self.clock.now_us()

    # -- what is read -----------------------------------------------------------------------------------------

    def _ledger(self, line):
        self.evidence.ledger.append({**line, "at_us": self.clock.now_us(), "process": "one"})

    def _look_into_stores(self):
        for instance, stored in self.ports.store._instances.items():
            self.evidence.rows[instance] = dataclasses.asdict(stored.row)
            if stored.events:
                self.evidence.events[instance, stored.row.run, stored.row.generation] = dict(stored.events)


def _note(broker, clock, evidence):
    """Let the broker tell of every record that it takes."""

    def add(records, *, transaction):
        at_us, noted = clock.now_us(), []
        last = -1
        touched = {}
        for record in records:
            partition = broker._topics[record.topic][record.partition]
            last = partition.add(record, at_us // 1000)
            touched[partition] = None
            noted.append((record, last))
        for partition in touched:
            if transaction:
                partition.end_transaction()
            partition.notify()
        for record, offset in noted:
            name, fields = decode(record.value)
            fact = Fact(record.partition, offset, at_us, record.key.decode(), name, fields, record.value, "one")
            getattr(evidence, TOPICS[record.topic.partition(".")[2]]).append(fact)
        return last

    broker._add = add
