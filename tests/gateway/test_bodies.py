"""How many bytes of bodies are held at once."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from perdure.core.replies import Reply
from perdure.gateway import bodies as bodies_module
from perdure.gateway.bodies import Bodies, NoRoom, Room
from perdure.gateway.http import create_app
from perdure.gateway.settings import GatewaySettings
from tests.gateway.conftest import URL

START = "/v1/workflows/order/start"
BODY = b'"' + b"x" * 8_000 + b'"'


async def stream():
    yield BODY


@pytest.fixture
def held(transport, client, monkeypatch):
    """Commands wait until `held.release` is set; `held.asked` is released by each."""

    class Held:
        asked, release = asyncio.Semaphore(0), asyncio.Event()

    async def send(instance_id, command, **_):
        Held.asked.release()
        await Held.release.wait()
        return Reply(command.command_id, instance_id, accepted=True)

    monkeypatch.setattr(transport, "send", send)
    client.transport = transport
    return Held


def gateway(client, **settings):
    settings = GatewaySettings(api_token=None, body_bytes_max=10_000, bodies_bytes_max=20_000, **settings)
    app = create_app(client, settings=settings)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)


@pytest.mark.parametrize("body", [BODY, None], ids=["with-length", "in-chunks"])
async def test_bodies_beyond_the_room_for_them_are_told_to_come_back(client, held, monkeypatch, body):
    monkeypatch.setattr(bodies_module, "GATEWAY_BODY_WAIT_SECONDS", 0.01)
    async with asyncio.timeout(20), gateway(client) as http:
        asked = [asyncio.create_task(http.post(START, content=body or stream())) for _ in range(2)]
        for _ in asked:
            await held.asked.acquire()
        refused = await http.post(START, content=body or stream())
        assert (refused.status_code, refused.json()["errorCode"]) == (503, "ERR_GATEWAY_BUSY")
        assert refused.headers["retry-after"] == "1"
        assert (await http.get("/v1/instances/i1")).status_code == 200
        assert (await http.get("/healthz", headers={"content-length": "9000"})).status_code == 200
        held.release.set()
        assert [(await each).status_code for each in asked] == [202, 202]
        assert (await http.post(START, content=body or stream())).status_code == 202


async def test_small_bodies_in_chunks_take_no_more_room_than_they_have_bytes(client, held):
    async def small():
        yield b'"'
        yield b'x"'

    async with asyncio.timeout(20), gateway(client) as http:
        asked = []
        for _ in range(9):
            asked.append(asyncio.create_task(http.post(START, content=small())))
            await held.asked.acquire()
        held.release.set()
        assert [(await each).status_code for each in asked] == [202] * 9


def test_what_a_whole_body_did_not_need_is_given_back_once():
    bodies = Bodies(10)
    bodies._held = 10
    room = Room(bodies, 10)
    for size in (3, 3, 7):
        room.keep(size)
        assert bodies._held == 3
    for _ in range(2):
        room.give_back()
        assert bodies._held == 0


async def test_a_body_that_waits_is_taken_once_another_is_answered(client, held, monkeypatch):
    monkeypatch.setattr(bodies_module, "GATEWAY_BODY_WAIT_SECONDS", 3_600)
    came, take = asyncio.Semaphore(0), Bodies.take

    async def noted(bodies, size):
        came.release()
        await take(bodies, size)

    monkeypatch.setattr(Bodies, "take", noted)
    async with asyncio.timeout(20), gateway(client) as http:
        asked = [asyncio.create_task(http.post(START, content=BODY)) for _ in range(3)]
        for _ in asked:
            await came.acquire()
        for _ in range(20):  # turns of the loop, in which it could give up
            await asyncio.sleep(0)
        held.release.set()
        assert [(await each).status_code for each in asked] == [202] * 3


async def test_what_fails_gives_its_room_back(client, held):
    held.release.set()
    async with asyncio.timeout(20), gateway(client) as http:
        for _ in range(5):
            assert (await http.post(START, content=b"{" * 9_000)).status_code == 400
            assert (await http.post("/nowhere", content=BODY)).status_code == 404
            assert (await http.post(START, content=b" " * 10_001)).status_code == 413
        assert (await http.post(START, content=BODY)).status_code == 202


async def test_room_is_given_in_order_and_as_much_may_wait_as_is_held(monkeypatch):
    monkeypatch.setattr(bodies_module, "GATEWAY_BODY_WAIT_SECONDS", 3_600)
    bodies, got = Bodies(10), []

    async def take(size):
        await bodies.take(size)
        got.append(size)

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        await take(8)
        waiting = [tasks.create_task(take(size)) for size in (7, 2, 1)]
        while waiting[-1].get_coro().cr_await is None:
            await asyncio.sleep(0)
        assert got == [8]
        with pytest.raises(NoRoom):
            await bodies.take(1)
        await take(0)
        waiting[0].cancel()
        bodies.give_back(1)
        await asyncio.gather(*waiting[1:])
    assert got == [8, 0, 2, 1]


async def test_who_is_cut_off_as_its_turn_comes_leaves_the_room_to_others(monkeypatch):
    monkeypatch.setattr(bodies_module, "GATEWAY_BODY_WAIT_SECONDS", 3_600)
    bodies = Bodies(10)
    await bodies.take(10)
    waiting = asyncio.create_task(bodies.take(10))
    while waiting.get_coro().cr_await is None:
        await asyncio.sleep(0)
    bodies.give_back(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(20):
        await bodies.take(10)


def test_at_least_one_body_has_room():
    with pytest.raises(ValueError, match=r"PERDURE_GATEWAY_BODIES_BYTES_MAX.*PERDURE_GATEWAY_BODY_BYTES_MAX"):
        GatewaySettings(body_bytes_max=5_000, bodies_bytes_max=4_999)
