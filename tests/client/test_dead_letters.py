"""The clients' words for dead letters, in process, over HTTP and over a log of one's own."""

import httpx
import pytest

from perdure.adapters.memory import MemoryLog
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.client.client import AsyncWorkflowClient
from perdure.client.connecting_transport import ConnectingTransport
from perdure.client.errors import DeadLetterNotFound, DeadLetterNotReplayable, DeadLetterSettled
from perdure.client.http_transport import HttpTransport
from perdure.codec.avro import encode
from perdure.core.commands import RaiseEvent
from perdure.gateway.http import create_app
from perdure.gateway.settings import GatewaySettings
from tests.client.fake_transport import TOPICS, FakeTransport

URL = "http://127.0.0.1:3500"
VALUE = encode(RaiseEvent("e", "1"))


@pytest.fixture
def engine(monkeypatch):
    for name in ("PERDURE_GATEWAY_API_TOKEN", "PERDURE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return FakeTransport()


@pytest.fixture(params=["here", "HTTP", "a log of one's own"])
async def client(request, engine):
    if request.param == "here":
        transport = engine
    elif request.param == "HTTP":
        app = create_app(AsyncWorkflowClient(engine), settings=GatewaySettings(api_token=None))
        transport = HttpTransport(URL, SystemEntropy(), SystemClock(), through=httpx.ASGITransport(app))
    else:

        async def connect():
            return MemoryLog(engine.broker)

        transport = ConnectingTransport(connect, TOPICS, SystemEntropy(), SystemClock())
    async with AsyncWorkflowClient(transport) as made:
        yield made


async def test_they_are_listed_and_shown_as_they_were(client, engine):
    ids = [engine.bury(key=b"i1", value=VALUE, headers=[("h", b"\xff")], offset=number) for number in range(3)]
    page = await client.list_dead_letters(limit=2, instance_id="i1", origin="instances", reason="none")
    assert [each.letter_id for each in page.letters] == ids[:2]
    last = await client.list_dead_letters(page=page.next)
    assert [each.letter_id for each in last.letters] == ids[2:]
    found = await client.get_dead_letter(ids[1])
    assert (found.key, found.value, found.headers) == (b"i1", VALUE, (("h", b"\xff"),))
    assert found.letter == page.letters[1]


async def test_each_is_settled_once(client, engine):
    first, second, third = (engine.bury(value=VALUE, offset=number) for number in range(3))
    await client.replay_dead_letter(first, command_id="k", requested_by="änn")
    await client.replay_dead_letter(first, command_id="k")  # a repeat
    with pytest.raises(DeadLetterSettled, match="replayed already by änn"):
        await client.drop_dead_letter(first)
    await client.drop_dead_letter(second)
    foreign = engine.bury(topic="t.history")
    told = await client.replay_dead_letters([first, third, foreign, "0-99"])
    assert (told.done, told.skipped, set(told.failed)) == ([third], [first], {foreign, "0-99"})
    assert (await client.drop_dead_letters([foreign])).done == [foreign]
    assert len(engine.broker.source(TOPICS.instances, 0).ready(0, 100)[0]) == 2


async def test_refusals_have_their_names(client, engine):
    with pytest.raises(DeadLetterNotFound):
        await client.get_dead_letter("0-99")
    with pytest.raises(DeadLetterNotFound):
        await client.drop_dead_letter("0-99")
    with pytest.raises(DeadLetterNotReplayable, match=r"t\.history"):
        await client.replay_dead_letter(engine.bury(topic="t.history"))
    for bad in ({"limit": 0}, {"page": "x"}, {"state": "lost"}):
        with pytest.raises(ValueError):
            await client.list_dead_letters(**bad)
    with pytest.raises(ValueError):
        await client.get_dead_letter("x")
    with pytest.raises(ValueError):
        await client.replay_dead_letters([])
