"""After the faults: everything is helped to its end, comes to rest, is looked at, and closes in order."""

from __future__ import annotations

import asyncio
import dataclasses

from perdure.client.values import payload_text
from perdure.core.commands import RaiseEvent, ResumeWorkflow
from perdure.core.errors import PerdureError
from tests.faults.records import decode
from tests.simulation.evidence import Answer, Evidence, Fact
from tests.simulation.framings import opened
from tests.simulation.model import read, stand
from tests.simulation.scenario import SERVICES
from tests.simulation.world.operators import unfinished
from tests.simulation.world.services import TOPICS
from tests.simulation.world.strangers import unread

ROUND_S = 20.0
ROUNDS_MAX = 120
QUIET_S = 60.0  # for what is written behind, tidied and let go
SLICES_S = 720.0  # rows of far timers go with their slice, when its time is over
CACHED_OVER_MAX = 12
TOLD_S = 15.0  # until a group has been told of what was decided, should a try or two be lost; clients ask until the end
OVER = {"WorkflowCompleted", "WorkflowFailed", "WorkflowTerminated", "WorkflowPurged"}
KINDS = {
    "instances": "commands", "history": "history", "activities": "activities", "timers": "timers",
    "dead-letters": "dead_letters", "replies": "replies", "dead-letters.marks": "marks", "layout": "layouts",
}  # fmt: skip


class Ending:
    def __init__(self, world):
        self.world = world
        self.helped = 0
        self.answers = []
        self._asking = []

    async def come_to_rest(self):
        """Whoever is paused goes on, whoever waits for an event gets it. False if that does not end in bounded time."""
        for _ in range(ROUNDS_MAX):
            await asyncio.sleep(ROUND_S)
            open_ones, unanswered = self._open(), self._unanswered()
            if not open_ones and not unanswered:
                await asyncio.sleep(QUIET_S)
                if any(self.world.timers._slices.values()):
                    await asyncio.sleep(SLICES_S)
                if not self._open():
                    return True
            for instance, facts in open_ones.items():
                self._help(instance, facts)
        return False

    def _open(self):
        """The latest generation of each instance that has not ended."""
        latest = {}
        for entry in (each for partition in self.world.broker.topics[TOPICS.history] for each in partition.committed()):
            if entry.record.key:
                fact = fact_of(entry)
                latest.setdefault(fact.instance, []).append(fact)
                if fact.name == "WorkflowStarted":
                    latest[fact.instance] = [fact]
        return {instance: facts for instance, facts in latest.items() if facts[-1].name not in OVER}

    def _unanswered(self):
        answers = self.world.answers
        found = [i for i, op in enumerate(self.world.ops) if i not in answers or not answers[i].answered_us]
        return [*found, *unfinished(self.world), *unread(self.world, TOPICS)]

    def _help(self, instance, facts):
        suspended = False
        for fact in facts:
            suspended = {"WorkflowSuspended": True, "WorkflowResumed": False}.get(fact.name, suspended)
        if suspended:
            self._tell("resume", instance, ResumeWorkflow())
            return
        if facts[0].name != "WorkflowStarted":  # the laws will say what that is
            return
        for name in stand(read(facts[0].fields["input"]), facts).waits:
            self._tell("raise", instance, RaiseEvent(name, payload_text("at last", "data")))

    def _tell(self, verb, instance, command):
        self.helped += 1
        command.command_id = f"e-{self.helped:05}"
        answer = Answer(-1, verb, instance, command.command_id, self.world.now_us(), 0, "unanswered")
        self.answers.append(answer)
        process = next(each for each in self.world.processes.values() if each.role == "client")
        self._asking.append(
            self.world.loop.create_task(self._ask(process, instance, command, answer), context=process.lane.context)
        )

    async def _ask(self, process, instance, command, answer):
        while True:
            try:
                reply = await process.desk.client.transport.send(instance, command)
            except (PerdureError, TimeoutError):
                await asyncio.sleep(1.0)
                continue
            answer.outcome = "accepted" if reply.accepted else reply.reason
            answer.answered_us = self.world.now_us()
            return

    # -- what is looked at ------------------------------------------------------------------------------------

    def evidence(self, finished):
        world = self.world
        found = Evidence(
            ops=world.ops, partitions=world.partitions, ledger=list(world.ledger),
            answers=[*(world.answers[index] for index in sorted(world.answers)), *self.answers],
            finished=finished, ended_us=world.now_us(), deployments=world.deployments, poison=world.poison,
            ages=world.settings.ages, record_ages=record_ages(world.settings), deletions=world.deletions, starts=self.starts(),
            calm=not world.scenario["faults"], clock_skew_us=max(world.skews_us) - min(world.skews_us), left=self.left(),
            settlements=world.settlements, is_held_back="writes" in world.scenario,
            behind_until_us=world.start_us + int(world.scenario.get("writes", {"behind_until": 0})["behind_until"] * 1e6),
            registry_troubles=[(since, to or world.now_us()) for since, to in world.registry_log],
        )  # fmt: skip
        if source := world.scenario.get("source"):
            found.subscriptions = source["subscriptions"]
            partitions = world.broker.topics[source["topic"]]
            found.messages = [fact_of(entry) for each in partitions for entry in each.committed()]
        for topic, name in KINDS.items():
            partitions = world.broker.topics[f"sim.{topic}"]
            getattr(found, name).extend(fact_of(entry) for each in partitions for entry in each.committed())
        for instance, stored in world.store._instances.items():
            found.rows[instance] = dataclasses.asdict(stored.row)
        for place, held in world.store.events.items():
            found.events[place] = {seq: value for seq, (_, value) in held.items()}
        return found

    def starts(self):
        """Of history and dead letters, with how far history is stored."""
        world = self.world
        return {
            (topic, each.partition): (
                each.start,
                each.end if topic != TOPICS.history else world.store._stored_to.get(each.partition, 0),
            )
            for topic in (TOPICS.history, TOPICS.dead_letters)
            for each in world.broker.topics[topic]
        }

    def left(self):
        """What should be empty at rest, and whatever is in it."""
        world, left = self.world, {}
        for process in world.processes.values():
            serves = process.role in SERVICES
            role = getattr(process.service, "role", None) if serves and process.running else None
            if role is None:
                left[f"{process.place} does not serve"] = [process.name] if serves else []
                continue
            for name, things in _LEFT[process.role](role).items():
                left[f"{process.place}: {name}"] = list(things)
        left["far timers"] = [
            (place, list(timers)) for place, timers in world.timers._slices.items() if timers
        ]  # fmt: skip
        left["transactions that are open"] = list(world.broker._open)
        left["positions behind the end"] = list(self._behind())
        left["messages that no subscription has taken"] = list(unread(world, TOPICS))
        left["errands that are not done"] = unfinished(world)
        return left

    def _behind(self):
        broker, now_us = self.world.broker, self.world.now_us()
        for group, topic, after_s in (
            ("activity-worker", TOPICS.activities(), 0),
            ("timer", TOPICS.timers, 0),
            ("orchestrator", TOPICS.instances, TOLD_S),
        ):
            for partition in broker.topics[topic]:
                at = broker.committed(f"sim.{group}", topic, partition.partition)
                visible = [
                    each
                    for each in partition.committed()
                    if each.record.offset >= max(at.offset, partition.start)
                    and each.committed_us <= now_us - after_s * 1_000_000
                ]
                if visible:
                    yield f"{group} {topic}[{partition.partition}] at {at.offset} of {partition.end}"


def record_ages(settings):
    return {
        TOPICS.history: settings.history_hours * 3_600,
        TOPICS.dead_letters: settings.dead_letter_days * 86_400,
    }


def _left_of_orchestrator(role):
    left = {}
    for number, owner in role.orchestrator.owners.items():
        tenure = owner.tenure
        if tenure is None:
            left[f"partition {number} is not served"] = [number]
            continue
        memory, behind = tenure.memory, tenure.behind
        left[f"partition {number}, parked"] = memory.parked
        left[f"partition {number}, held for a schema"] = tenure.gatherer._holding._held
        left[f"partition {number}, pinned"] = memory.pinned
        left[f"partition {number}, tail"] = memory.tail
        left[f"partition {number}, questions"] = memory._asked
        left[f"partition {number}, undecided"] = tenure.position.undecided
        left[f"partition {number}, not stored"] = behind._dirty
        left[f"partition {number}, live ones that have ended or not"] = [
            key for key, live in memory.lives.items() if not live.instance.ended
        ]
        left[f"partition {number}, bytes that are nobody's"] = (
            [memory._bytes] if not memory.lives and memory._bytes else []
        )
        bounds = tenure.office.settings
        ended = [key for key, live in memory.lives.items() if live.instance.ended]
        # Room is made when there is something to decide: what came last may be above the bounds.
        over = max(len(memory.lives) - bounds.cache_instances_max, len(ended) - bounds.cache_ended_max)
        left[f"partition {number}, cached above the bounds"] = ended if over > CACHED_OVER_MAX else []
    left["kept of revoked partitions"] = role.orchestrator._kept
    return left


def _left_of_worker(role):
    worker = role.worker
    left = {"attempts": worker._dispatcher._attempts, "backlog": worker._dispatcher._backlog}
    if worker.stats.in_flight:
        left["in flight"] = [worker.stats.in_flight]
    return left


def _left_of_timer(role):
    return {f"shard {number}": ["near timers"] * shard.pending_near for number, shard in role.timers.shards.items()}


_LEFT = {
    "orchestrator": _left_of_orchestrator, "activity-worker": _left_of_worker, "timer": _left_of_timer,
    "subscriber": lambda role: {"trouble": [role.service.trouble] if role.service.trouble else []},
}  # fmt: skip


def fact_of(entry):
    record = entry.record
    fields, name = {}, ""
    if record.topic == TOPICS.dead_letters:
        fields = {header: value.decode(errors="replace") for header, value in record.headers}
    try:
        name, decoded = _read(record)
        fields = {**decoded, **fields}
    except (KeyError, EOFError, ValueError, IndexError, AttributeError, TypeError):
        pass
    try:
        key = record.key.decode()
    except UnicodeDecodeError:  # a record that is nobody's
        key, name = "", ""
    headers = tuple(record.headers)
    return Fact(
        record.partition, record.offset, entry.committed_us, key, name, fields, record.value, entry.writer, headers
    )


def _read(record):
    return opened(record.value, record.headers) if record.topic == TOPICS.instances else decode(record.value)
