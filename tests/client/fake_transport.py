"""A transport without an engine: keeps what it was asked and answers from a table."""

from __future__ import annotations

from dataclasses import replace

from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.client.errors import InstanceNotFound
from perdure.client.ids import IdMint
from perdure.client.transport import Transport
from perdure.core.replies import InstanceSnapshot, Reply
from perdure.core.rows import InstanceRow
from perdure.ports.store import Page


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

    async def check(self):
        self._fail()

    async def close(self):
        self.closed = True

    def _fail(self):
        if self.raises is not None:
            raise self.raises
