"""A client's own connection to the log: made with the first request, made anew when it is lost, given back."""

import asyncio

import pytest

from perdure.adapters.memory import MemoryLog
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.client.client import AsyncWorkflowClient
from perdure.client.connecting_transport import ConnectingTransport
from perdure.client.errors import EngineStopped, EngineUnavailable, GatewayNeeded
from perdure.client.inbox import Inbox
from perdure.ports.errors import LogClosed, LogUnavailable
from tests.client.fakes import TOPICS, FakeOwner


class Doors:
    """Opens logs of one broker, and keeps them; `failures` come first."""

    def __init__(self, owner, *failures):
        self._owner = owner
        self._failures = list(failures)
        self.opened = []

    async def __call__(self):
        if self._failures:
            raise self._failures.pop(0)
        self.opened.append(MemoryLog(self._owner.broker, f"client-{len(self.opened)}"))
        return self.opened[-1]

    def client(self):
        return AsyncWorkflowClient(ConnectingTransport(self, TOPICS, SystemEntropy(), SystemClock()))


async def is_closed(log):
    try:
        await log.partitions(TOPICS.instances)
    except LogClosed:
        return True
    return False


async def test_it_connects_once_with_the_first_requests_and_closes_what_it_opened():
    async with FakeOwner() as owner:
        doors = Doors(owner)
        client = doors.client()
        assert doors.opened == []
        await asyncio.gather(*(client.schedule_new_workflow("order") for _ in range(5)))
        assert len(doors.opened) == 1
        await client.close()
        await client.close()
        assert await is_closed(doors.opened[0])
        with pytest.raises(EngineStopped):
            await client.pause_workflow("i1")


async def test_a_refused_connection_is_told_by_name_and_tried_again():
    async with FakeOwner() as owner:
        doors = Doors(owner, LogUnavailable("Kafka at a:1 does not answer"))
        client = doors.client()
        with pytest.raises(EngineUnavailable, match="Kafka at a:1 does not answer"):
            await client.pause_workflow("i1")
        await client.pause_workflow("i1")
        await client.close()


async def test_a_connection_whose_answers_cannot_be_read_is_replaced_with_the_next_request(monkeypatch):
    async def torn(inbox, reader):
        raise RuntimeError("no answer can be read any more")

    async with FakeOwner() as owner:
        doors = Doors(owner)
        client = doors.client()
        await client.pause_workflow("i1")
        monkeypatch.setattr(Inbox, "_read_some", torn)
        await client.pause_workflow("i1")  # the last answer that is read
        monkeypatch.undo()
        await client.pause_workflow("i1")
        assert len(doors.opened) == 2
        assert await is_closed(doors.opened[0])
        await client.close()
        assert await is_closed(doors.opened[1])


async def test_closing_lets_go_whoever_waits():
    async with FakeOwner(answer=lambda *_: None) as owner:
        client = Doors(owner).client()
        waiting = asyncio.create_task(client.wait_for_workflow_completion("i1"))
        await owner.until_seen(1)
        await client.close()
        with pytest.raises(EngineStopped):
            await waiting


async def test_what_lies_in_the_store_is_refused_by_name_and_connects_nothing():
    async with FakeOwner() as owner:
        doors = Doors(owner)
        client = doors.client()
        for asked in (
            client.list_workflows(),
            client.get_history("i1"),
            client.terminate_workflows(name="order"),
            client.purge_workflows(name="order"),
        ):
            with pytest.raises(GatewayNeeded, match="perdure run gateway"):
                await asked
        assert doors.opened == []
        await client.close()


async def test_the_check_asks_the_log_alone():
    async with FakeOwner() as owner:
        doors = Doors(owner)
        client = doors.client()
        await client.transport.check()
        assert len(doors.opened) == 1
        await client.close()
