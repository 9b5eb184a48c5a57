"""Whoever asks whether the engine can be reached, and however often, asks the engine no more than one does."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from perdure.gateway import readiness
from perdure.gateway.http import create_app
from perdure.gateway.readiness import Readiness
from perdure.gateway.settings import GatewaySettings
from perdure.ports.errors import StoreUnavailable
from tests.gateway.conftest import DEADLINE_SECONDS, URL


class Engine:
    def __init__(self):
        self.asked, self.raises = 0, None
        self.came, self.release = asyncio.Semaphore(0), asyncio.Event()

    async def check(self):
        self.asked += 1
        self.came.release()
        await self.release.wait()
        if self.raises is not None:
            raise self.raises


@pytest.fixture
async def engine():
    async with asyncio.timeout(DEADLINE_SECONDS):
        yield Engine()


@pytest.mark.parametrize(("raised", "status"), [(None, 200), (StoreUnavailable("down"), 503)])
async def test_however_many_ask_the_engine_is_asked_once(engine, client, transport, monkeypatch, raised, status):
    monkeypatch.setattr(readiness, "SHARED_SECONDS", 3_600.0)
    monkeypatch.setattr(transport, "check", engine.check)
    client.transport = transport
    app = create_app(client, settings=GatewaySettings(api_token=None))
    engine.raises = raised
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as http:
        asked = [asyncio.create_task(http.get("/readyz")) for _ in range(20)]
        await engine.came.acquire()
        for _ in range(50):  # turns of the loop, in which the others could ask, too
            await asyncio.sleep(0)
        engine.release.set()
        answers = [(await each) for each in asked] + [await http.get("/readyz")]
        assert {each.status_code for each in answers} == {status}
        assert len({each.text for each in answers}) == 1
        assert engine.asked == 1


async def test_an_answer_does_not_hold_for_long(engine, monkeypatch):
    monkeypatch.setattr(readiness, "SHARED_SECONDS", 0.0)
    engine.release.set()
    ready = Readiness(engine.check)
    await ready.check()
    engine.raises = StoreUnavailable("down")
    with pytest.raises(readiness.Problem, match="down"):
        await ready.check()
    engine.raises = None
    await ready.check()
    assert engine.asked == 3


async def test_who_leaves_while_it_asks_leaves_the_asking_to_the_next(engine):
    ready = Readiness(engine.check)
    first, second = (asyncio.create_task(ready.check()) for _ in range(2))
    await engine.came.acquire()
    first.cancel()
    await engine.came.acquire()
    engine.release.set()
    await second
    assert engine.asked == 2
