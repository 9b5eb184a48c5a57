"""The way to a schema registry: what it answers, in bounded size and time; what it is told; what no error shows."""

import asyncio
import base64
import json

import httpx
import pytest

from perdure.adapters.registry import ANSWER_BYTES_MAX, HttpRegistry, RegistrySecurity
from perdure.assembly import schema_registry
from perdure.core.limits import SCHEMA_BYTES_MAX
from perdure.ports.errors import PortError
from perdure.ports.registry import RegistryUnavailable, SchemaUnknown
from perdure.services.settings import SettingsWrong, read_settings

SECRET = "tiger-9"
SCHEMA = {"type": "record", "name": "perdure.command.StartWorkflow", "fields": []}
ADDRESS = "http://registry.example:8081/apis/ccompat/v7"


class Body(httpx.AsyncByteStream):
    def __init__(self, content):
        self._content = content

    async def __aiter__(self):
        yield self._content


class Answers(httpx.AsyncBaseTransport):
    """One answer to everything."""

    def __init__(self, body=None, status=200, error=None, stream=None, headers=None):
        self.requests = []
        self._made = (status, body, error, stream, headers)

    async def handle_async_request(self, request):
        self.requests.append(request)
        status, body, error, stream, headers = self._made
        if error is not None:
            raise error
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, stream=stream or Body(content), headers=headers)


async def ask(answers, security=None, schema_id=7, **more):
    registry = HttpRegistry(ADDRESS, security, through=answers, **more)
    try:
        return await registry.schema(schema_id)
    finally:
        await registry.close()
        await registry.close()


async def test_a_schema_is_asked_for_by_its_id_under_the_addresss_path():
    answers = Answers({"schema": json.dumps(SCHEMA)})
    assert await ask(answers, RegistrySecurity("ann", SECRET)) == SCHEMA
    (request,) = answers.requests
    assert str(request.url) == f"{ADDRESS}/schemas/ids/7"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()
    assert request.headers["accept-encoding"] == "identity"


async def test_nobody_is_named_to_a_registry_that_needs_no_user():
    answers = Answers({"schema": json.dumps(SCHEMA), "schemaType": "AVRO", "references": []})
    assert await ask(answers) == SCHEMA
    assert "authorization" not in answers.requests[0].headers


@pytest.mark.parametrize(
    ("answers", "kind", "told"),
    [
        (Answers({"error_code": 40403}, 404), SchemaUnknown, "registry.example:8081 has no schema 7"),
        *(
            (Answers(body, 404), RegistryUnavailable, "answers HTTP 404 without the error code 40403: is the address a registry's")
            for body in (b"default backend - 404", b"", [40403], {"error_code": 404}, {"error_code": 40401}, {"message": "40403"})
        ),
        (Answers({"schema": "syntax", "schemaType": "PROTOBUF"}), SchemaUnknown, "schema 7 .* is PROTOBUF, not Avro"),
        (Answers({"schema": "{}", "schemaType": ["x"] * 99}), SchemaUnknown, "not Avro"),
        (Answers({"schema": "{}", "references": [{"name": "a"}]}), SchemaUnknown, "has references to others: register it as one"),
        (Answers({"schema": "no json"}), SchemaUnknown, "is no JSON"),
        (Answers({"schema": "[" * 100_000}), SchemaUnknown, "is no JSON"),
        (Answers({"schema": '"' + "x" * SCHEMA_BYTES_MAX + '"'}), SchemaUnknown, "is larger than 262,144 bytes"),
        (Answers(b"[" * (ANSWER_BYTES_MAX + 1)), SchemaUnknown, "more than a schema may have"),
        (Answers({"schema": 1}), RegistryUnavailable, "something else than a schema"),
        (Answers([1]), RegistryUnavailable, "something else than a schema"),
        (Answers(b"<html>"), RegistryUnavailable, "something else than a schema"),
        (Answers(b"[" * 100_000), RegistryUnavailable, "something else than a schema"),
        (Answers(b"\xff\xfe"), RegistryUnavailable, "something else than a schema"),
        (Answers({}, 500), RegistryUnavailable, "answers HTTP 500"),
        (Answers({}, 302, headers={"location": "http://elsewhere/"}), RegistryUnavailable, "answers HTTP 302"),
        (Answers({}, 401), RegistryUnavailable, "refuses us .*PERDURE_SCHEMA_REGISTRY_USERNAME"),
        (Answers({}, 403), RegistryUnavailable, "refuses us"),
        (Answers(error=httpx.ConnectError("refused")), RegistryUnavailable, "ConnectError: refused"),
        (Answers(error=httpx.ReadTimeout("slow")), RegistryUnavailable, "ReadTimeout"),
        (Answers(error=httpx.RemoteProtocolError("odd")), RegistryUnavailable, "RemoteProtocolError"),
    ],
)  # fmt: skip
async def test_what_is_no_schema_is_told_by_name_with_host_and_without_secrets(answers, kind, told):
    with pytest.raises(kind, match=told) as caught:
        await ask(answers, RegistrySecurity("ann", SECRET))
    assert "registry.example:8081" in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert len(answers.requests) == 1, "a redirect was followed"


class Dripping(httpx.AsyncByteStream):
    """A byte at a time; all of it would be a schema."""

    def __init__(self):
        self.closed = False

    async def __aiter__(self):
        for _ in range(1_000):
            await asyncio.sleep(0.001)
            yield b" "
        yield json.dumps({"schema": json.dumps(SCHEMA)}).encode()

    async def aclose(self):
        self.closed = True


async def test_a_registry_that_drips_is_away_after_its_time():
    stream = Dripping()
    with pytest.raises(RegistryUnavailable, match=r"did not answer within 0\.05 s"):
        await ask(Answers(stream=stream), timeout_s=0.05)
    assert stream.closed


async def test_packed_answers_are_not_unpacked():
    with pytest.raises(RegistryUnavailable, match="something else"):
        await ask(Answers(b"\x1f\x8b\x08bomb", headers={"content-encoding": "gzip"}))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"": "registry:8081"}, "PERDURE_SCHEMA_REGISTRY is no address of a schema registry: write http://host:port"),
        ({"": "ftp://registry"}, "is no address of a schema registry"),
        ({"": "http://registry?x=1"}, "is no address of a schema registry"),
        ({"": f"http://ann:{SECRET}@registry"}, "holds a user or a password.*PERDURE_SCHEMA_REGISTRY_USERNAME"),
        (
            {"_USERNAME": "ann", "_PASSWORD": "p"},
            "PERDURE_SCHEMA_REGISTRY_USERNAME is set without PERDURE_SCHEMA_REGISTRY:",
        ),
        ({"": "http://r", "_USERNAME": "ann"}, "is set without PERDURE_SCHEMA_REGISTRY_PASSWORD: set both or none"),
        ({"": "http://r", "_PASSWORD": SECRET}, "is set without PERDURE_SCHEMA_REGISTRY_USERNAME: set both or none"),
        ({"": "http://r", "_CA_FILE": "/x"}, "PERDURE_SCHEMA_REGISTRY is not https"),
        ({"": "https://r", "_CA_FILE": "/nowhere/ca.pem"}, "names no file that can be read: /nowhere/ca.pem"),
        ({"": "http://r", "_USER": "ann"}, "PERDURE_SCHEMA_REGISTRY_USER is no setting of Perdure"),
        ({"": "http://r", "_SECONDS": "-1"}, "PERDURE_SCHEMA_REGISTRY_SECONDS: "),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(environment, given, told):
    for name, value in given.items():
        environment.setenv(f"PERDURE_SCHEMA_REGISTRY{name}", value)
    with pytest.raises(SettingsWrong, match=told) as caught:
        read_settings()
    assert SECRET not in str(caught.value)


async def test_settings_reach_the_registry_and_secrets_are_shown_nowhere(environment):
    assert schema_registry(read_settings()) is None
    for name, value in (("", ADDRESS + "/"), ("_USERNAME", "ann"), ("_PASSWORD", SECRET)):
        environment.setenv(f"PERDURE_SCHEMA_REGISTRY{name}", value)
    settings = read_settings()
    made = schema_registry(settings)
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()} {vars(made)!r}"
    await made.close()


async def test_a_file_that_is_no_certificate_is_named(environment, tmp_path):
    (tmp_path / "ca.pem").write_text("nonsense")
    environment.setenv("PERDURE_SCHEMA_REGISTRY", "https://registry:8081")
    environment.setenv("PERDURE_SCHEMA_REGISTRY_CA_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(PortError, match="check PERDURE_SCHEMA_REGISTRY_CA_FILE"):
        schema_registry(read_settings())


class Nothing:
    groups = None

    async def close(self):
        pass


async def test_a_gateway_that_is_told_a_registry_knows_it(monkeypatch):
    from perdure import assembly
    from perdure.adapters import cassandra
    from perdure.services.settings import ServiceSettings

    async def opened(*_):
        return Nothing()

    monkeypatch.setattr(assembly, "kafka_log", opened)
    monkeypatch.setattr(cassandra, "open_driver", opened)
    for store in ("CassandraHistoryStore", "CassandraTimerStore"):
        monkeypatch.setattr(cassandra, store, lambda *_: None)
    monkeypatch.setenv("PERDURE_LOG", "kafka://127.0.0.1:9")
    monkeypatch.setenv("PERDURE_STORE", "cassandra://127.0.0.1:9/perdure")
    monkeypatch.setenv("PERDURE_SCHEMA_REGISTRY", "http://127.0.0.1:8081")
    settings = ServiceSettings()
    ports = await assembly.kafka_cassandra_ports(settings, "gateway", "x")
    assert ports.registry is not None
