"""A transport without an engine: keeps what it was asked and answers from a table."""

from __future__ import annotations

from dataclasses import replace

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import topic_specs
from perdure.client.errors import InstanceNotFound
from perdure.client.ids import IdMint
from perdure.client.transport import Transport
from perdure.core.names import Topics
from perdure.core.replies import InstanceSnapshot, Reply
from perdure.core.rows import InstanceRow
from perdure.letters import DeadLetters
from perdure.ports.log import Record
from perdure.ports.store import Page
from perdure.roles.dead_letters import dead_letter

TOPICS = Topics("t")


def snapshot(instance_id="i1", **more) -> InstanceSnapshot:
    fields = {
        "run": "0.0.1", "generation": 0, "name": "order", "status": "RUNNING",
        "created_at_us": 1_700_000_000_000_001, "updated_at_us": 1_700_000_001_000_000, "input": '{"n":1}', "events": 3,
        "partition": 2,
    }  # fmt: skip
    return InstanceSnapshot(instance_id, **{**fields, **more})


def row(known: InstanceSnapshot) -> InstanceRow:
    return InstanceRow(
        known.instance_id, known.run, known.generation, known.events, known.name, known.status, known.created_at_us,
        known.updated_at_us, known.input, known.output, known.custom_status, known.error_type, known.error_message,
        known.stack_trace, known.parent_id,
    )  # fmt: skip


class FakeTransport(Transport):
    def __init__(self, *known: InstanceSnapshot) -> None:
        self.ids = IdMint(SystemClock(), SystemEntropy())
        self.broker = MemoryBroker(SystemClock())
        self.broker.create_topics(topic_specs(TOPICS, 1))
        self.letters = DeadLetters(MemoryLog(self.broker), TOPICS, SystemClock())
        self.known = {each.instance_id: each for each in known}
        self.sent = []
        self.asked = []
        self.listed = []
        self.events = {}
        self.refusals = {}
        self.raises: Exception | None = None
        self.closed = False

    def refuse(self, reason, message="no", instance_id=None):
        self.refusals[instance_id] = Reply("", "", accepted=False, reason=reason, message=message)

    async def send(self, instance_id, command, *, timeout_s=None):
        self._fail()
        self.sent.append((instance_id, command))
        refusal = self.refusals.get(instance_id) or self.refusals.get(None)
        return refusal or Reply(command.command_id, "", accepted=True)

    async def inspect(self, instance_id, *, until="now", timeout_s=None, detail=False):
        self._fail()
        self.asked.append((instance_id, until, timeout_s))
        found = self.known.get(instance_id)
        if found is None:
            return None
        if until == "completed" and found.status == "RUNNING":
            assert timeout_s, "this would wait for ever"
            raise TimeoutError("not yet")
        return replace(found, detail='{"awaits": []}') if detail else found

    async def list(self, where, limit, after=""):
        self._fail()
        self.listed.append((where, limit, after))
        if after == "no page":
            raise ValueError("this is no page")
        fits = [
            each for each in self.known.values()
            if (not where.statuses or each.status in where.statuses) and each.instance_id.startswith(where.id_prefix)
        ]  # fmt: skip
        return Page([row(each) for each in fits[:limit]], "more" if len(fits) > limit else "")

    async def history(self, instance_id):
        self._fail()
        if instance_id not in self.known:
            raise InstanceNotFound(f"no workflow instance has the ID '{instance_id}'")
        return self.events.get(instance_id, [])

    def bury(self, *, key=b"i1", value=b"no command", headers=(), topic=TOPICS.instances, offset=0, why="it is none"):
        """One more dead letter; its id."""
        letter = dead_letter(TOPICS.dead_letters, 1, Record(topic, 0, offset, key, value, tuple(headers)), why)
        self.broker.append([letter])
        return f"0-{self.broker.source(TOPICS.dead_letters, 0).end - 1}"

    async def list_letters(self, where, limit, after=""):
        self._fail()
        return await self.letters.page(where, limit, after)

    async def letter(self, letter_id):
        self._fail()
        return await self.letters.get(letter_id)

    async def settle_letters(self, letter_ids, settling, *, request, requested_by=""):
        self._fail()
        return await self.letters.settle(letter_ids, settling, request=request, requested_by=requested_by)

    async def check(self):
        self._fail()

    async def close(self):
        self.closed = True

    def _fail(self):
        if self.raises is not None:
            raise self.raises
