import gc

import pytest

from perdure.client import running
from perdure.client.aio import DaprWorkflowClient as AioClient
from perdure.client.client import AsyncWorkflowClient
from perdure.client.dapr import DaprWorkflowClient
from perdure.client.discovery import DEFAULT_URL, Endpoint, address, find_engine
from perdure.client.errors import EngineNotFound
from perdure.client.portal import ThreadPortal
from perdure.client.sync import WorkflowClient
from tests.client.fake_transport import FakeTransport, snapshot

NOWHERE = {"environ": {}, "probe": lambda url: False}


class Engine:
    def __init__(self):
        self.portal = ThreadPortal()
        self.transport = FakeTransport(snapshot())


@pytest.fixture
def engine():
    found = Engine()
    running.register(found)
    yield found
    running.unregister(found)
    found.portal.close()


def test_what_the_constructor_is_given_comes_first(engine):
    environ = {"PERDURE_ENDPOINT": "http://env:1"}
    assert find_engine("gateway:8080", environ=environ) == Endpoint("http://gateway:8080")
    assert find_engine("gateway", port="81", environ=environ) == Endpoint("http://gateway:81")
    assert find_engine(port=81, environ=environ) == Endpoint("http://127.0.0.1:81")
    other = object()
    assert find_engine(other, environ=environ) is other


def test_then_the_environment_ours_before_daprs(engine):
    both = {"PERDURE_ENDPOINT": "ours:1", "DAPR_HTTP_ENDPOINT": "https://dapr", "DAPR_API_TOKEN": "secret"}
    assert find_engine(environ=both) == Endpoint("http://ours:1", "secret")
    del both["PERDURE_ENDPOINT"]
    assert find_engine(environ=both | {"PERDURE_API_TOKEN": "first"}) == Endpoint("https://dapr", "first")


def test_then_the_engine_in_this_process(engine):
    assert find_engine(environ={}, probe=lambda url: True) is engine


def test_then_a_gateway_at_the_default_address_if_one_answers():
    assert find_engine(environ={}, probe=lambda url: url == DEFAULT_URL) == Endpoint(DEFAULT_URL)


def test_else_the_error_lists_all_four():
    with pytest.raises(EngineNotFound) as raised:
        find_engine(**NOWHERE)
    for place in ("constructor", "PERDURE_ENDPOINT", "DAPR_HTTP_ENDPOINT", "in this process", DEFAULT_URL):
        assert place in str(raised.value)


def test_two_engines_are_not_chosen_between(engine):
    other = Engine()
    running.register(other)
    with pytest.raises(EngineNotFound, match="2 engines"):
        find_engine(**NOWHERE)
    running.unregister(other)
    assert find_engine(**NOWHERE) is engine
    other.portal.close()


def test_a_forgotten_engine_is_not_found():
    class Bare:
        pass

    bare = Bare()
    running.register(bare)
    del bare
    gc.collect()
    assert running.engines() == []


def test_a_token_is_not_shown():
    assert "secret" not in repr(Endpoint("http://x", "secret"))


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost", "http://localhost"),
        ("localhost:3500/", "http://localhost:3500"),
        ("https://x.example/perdure/", "https://x.example/perdure"),
        ("[::1]:3500", "http://[::1]:3500"),
    ],
)
def test_an_address_may_be_said_in_several_ways(given, url):
    assert address(given) == url


@pytest.mark.parametrize("bad", ["ftp://x", "http://", "host:port"])
def test_what_is_no_address_is_told_so(bad):
    with pytest.raises(ValueError, match="no address of a gateway"):
        address(bad)


async def test_daprs_clients_find_the_engine_in_this_process(engine, monkeypatch):
    for name in ("PERDURE_ENDPOINT", "DAPR_HTTP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert DaprWorkflowClient().get_workflow_state("i1").name == "order"
    assert (await AioClient().get_workflow_state("i1")).name == "order"
    given = WorkflowClient(AsyncWorkflowClient(engine.transport), engine.portal)
    assert DaprWorkflowClient(given).get_workflow_state("i1").name == "order"
    assert (await AioClient(given).get_workflow_state("i1")).name == "order"
