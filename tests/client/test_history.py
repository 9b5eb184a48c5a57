import asyncio

import pytest

from perdure.client import stored
from perdure.client.errors import InstanceNotFound
from perdure.codec.avro import encode
from perdure.core.events import WorkflowCompleted, WorkflowStarted
from perdure.core.replies import Reply
from perdure.ports.store import StoredEvent, StoredTurn
from tests.client.fake_transport import row, snapshot
from tests.client.fakes import FakeOwner

EVENTS = [WorkflowStarted("0.0.1", 0, 1, 5, "order"), WorkflowCompleted("0.0.1", 0, 2, 6, "1")]
KNOWN = snapshot(status="COMPLETED", events=2)


def known(instance_id, command):
    return Reply("", "", accepted=True, snapshot=KNOWN)


def turn(count):
    stored_row = row(snapshot(status="COMPLETED", events=count))
    return StoredTurn(stored_row, [StoredEvent(event.seq, encode(event)) for event in EVENTS[:count]])


async def test_a_history_waits_for_the_store_to_hold_what_the_owner_has():
    async with FakeOwner(known) as owner:
        await owner.store.append(0, 1, 1, [turn(1)])
        transport = owner.transport()
        asking = asyncio.ensure_future(transport.history("i1"))
        await owner.until_seen(1)
        await owner.store.append(0, 2, 2, [turn(2)])
        assert await asking == EVENTS
        await transport.close()


async def test_a_store_that_stays_behind_gives_what_it_has(monkeypatch):
    monkeypatch.setattr(stored, "CATCH_UP_SECONDS", 0.02)
    async with FakeOwner(known) as owner:
        transport = owner.transport()
        assert await transport.history("i1") == []
        await owner.store.append(0, 1, 1, [turn(1)])
        assert await transport.history("i1") == EVENTS[:1]
        await transport.close()


async def test_a_silent_owner_leaves_what_is_stored(monkeypatch):
    monkeypatch.setattr("perdure.client.log_transport.CATCH_UP_SECONDS", 0.02)
    async with FakeOwner(lambda *_: None) as owner:
        transport = owner.transport()
        with pytest.raises(InstanceNotFound):
            await transport.history("i1")
        await owner.store.append(0, 2, 2, [turn(2)])
        assert await transport.history("i1") == EVENTS
        await transport.close()


async def test_the_history_of_an_unknown_or_purged_instance_is_an_error_by_name():
    async with FakeOwner(lambda *_: Reply("", "", accepted=False, reason="UnknownInstance")) as owner:
        await owner.store.append(0, 2, 2, [turn(2)])  # the purge is not stored yet
        transport = owner.transport()
        with pytest.raises(InstanceNotFound, match="'i1'"):
            await transport.history("i1")
        await transport.close()
