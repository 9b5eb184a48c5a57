import gc
import re

import pytest

from perdure.client import running
from perdure.client.aio import DaprWorkflowClient as AioClient
from perdure.client.client import AsyncWorkflowClient
from perdure.client.connecting_transport import ConnectingTransport
from perdure.client.dapr import DaprWorkflowClient
from perdure.client.discovery import DEFAULT_URL, Endpoint, address, find_engine, remote_client
from perdure.client.errors import EngineNotFound, EngineUnavailable, GatewayNeeded
from perdure.client.portal import ThreadPortal
from perdure.client.sync import WorkflowClient
from perdure.services.settings import SettingsWrong
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


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("kafka://a:9092", "kafka://a:9092"),
        ("kafka://a:9092, b.example:9093/", "kafka://a:9092,b.example:9093"),
        ("kafka://[::1]:9092", "kafka://[::1]:9092"),
    ],
)
def test_the_log_is_an_address_by_argument_and_by_environment(given, url):
    assert find_engine(given, **NOWHERE) == Endpoint(url)
    assert find_engine(environ={"PERDURE_ENDPOINT": given}) == Endpoint(url)
    assert Endpoint(url).is_log
    assert not Endpoint(DEFAULT_URL).is_log


@pytest.mark.parametrize("bad", ["kafka://", "kafka://a", "kafka://a:9092,b", "kafka://a:b", "kafka:// :1"])
def test_what_is_no_address_of_the_log_is_told_so(bad):
    with pytest.raises(ValueError, match="no address of Kafka: write kafka://host:port"):
        address(bad)


def test_a_port_beside_the_logs_servers_is_refused():
    with pytest.raises(ValueError, match="each server with its port"):
        DaprWorkflowClient("kafka://a:9092", 9093)


def test_a_password_in_the_logs_address_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match="PERDURE_KAFKA_PASSWORD") as raised:
        address("kafka://me:tiger@a:9092")
    assert "tiger" not in str(raised.value)


def test_a_client_over_the_log_asks_nothing_of_the_store(monkeypatch):
    monkeypatch.delenv("PERDURE_STORE", raising=False)
    assert isinstance(remote_client(Endpoint("kafka://a:9092")).transport, ConnectingTransport)
    monkeypatch.setenv("PERDURE_STORE", "of another kind")
    assert isinstance(remote_client(Endpoint("kafka://a:9092")).transport, ConnectingTransport)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PERDURE_NAMESPACE", "no good name"),
        ("PERDURE_KAFKA_USERNAME", "without-password"),
        ("PERDURE_KAFKA_CA_FILE", "/nowhere.pem"),
        ("PERDURE_KAFKA_TSL", "true"),
    ],
)
async def test_a_wrong_setting_of_the_log_is_named_when_the_client_is_made(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    for client in (DaprWorkflowClient, AioClient):
        with pytest.raises(SettingsWrong, match=variable):
            client("kafka://127.0.0.1:9092")


def test_a_server_that_does_not_answer_is_named_with_the_first_request():
    with DaprWorkflowClient("kafka://127.0.0.1:1") as client:
        for _ in range(2):  # the second tries again, instead of being stuck in the first one's failure
            with pytest.raises(EngineUnavailable, match=re.escape("127.0.0.1:1")):
                client.get_workflow_state("i1")
        with pytest.raises(GatewayNeeded, match="gateway"):
            client.list_workflows()


async def test_daprs_clients_find_the_engine_in_this_process(engine, monkeypatch):
    for name in ("PERDURE_ENDPOINT", "DAPR_HTTP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert DaprWorkflowClient().get_workflow_state("i1").name == "order"
    assert (await AioClient().get_workflow_state("i1")).name == "order"
    given = WorkflowClient(AsyncWorkflowClient(engine.transport), engine.portal)
    assert DaprWorkflowClient(given).get_workflow_state("i1").name == "order"
    assert (await AioClient(given).get_workflow_state("i1")).name == "order"
