"""Any request at all: an answer of ours with a status below 500, whatever the bytes of path, query, headers and body.

Beside schemathesis (tests/gateway), which knows the description and stays near it: here nothing is well-formed.
"""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.client.client import AsyncWorkflowClient
from perdure.gateway.http import create_app
from perdure.gateway.settings import GatewaySettings
from tests.client.fake_transport import FakeTransport, snapshot
from tests.hostile.strangers import Body, any_payload, many

client = AsyncWorkflowClient(FakeTransport(snapshot("i1"), snapshot("done", status="COMPLETED")))
apps = {
    token: create_app(client, settings=GatewaySettings(api_token=token, body_bytes_max=100_000))
    for token in (None, "secret")
}
HOST = (b"host", b"127.0.0.1")

ROUTES = (
    "/v1/workflows/order/start", "/v1/instances/i1", "/v1/instances/i1/describe", "/v1/instances/i1/history",
    "/v1/instances/done/wait", "/v1/instances/i1/raise-event/e", "/v1/instances/i1/pause", "/v1/instances/i1/terminate",
    "/v1/instances/i1/purge", "/v1/instances/i1/rerun", "/v1/instances", "/v1/instances:terminate", "/v1/instances:purge",
    "/v1.0/workflows/dapr/order/start", "/v1.0-beta1/workflows/dapr/order/start", "/v1.0/workflows/dapr/i1/raiseEvent/e",
    "/healthz", "/readyz", "/openapi.json",
)  # fmt: skip
QUERIES = (
    b"", b"limit=" + b"9" * 5_000, b"limit=-1", b"limit=NaN", b"page=" + b"A" * 90_000, b"page=1.LTk5OTk6eA", b"id_prefix=%ff",
    b"id_prefix=%00", b"status=RUNNING&status=BOGUS", b"name=&name=" + b"n" * 1_000, b"created_from=0001-01-01T00:00:00%2B23:59",
    b"created_to=9999-12-31T23:59:59-23:59", b"start_at=9999-12-31T23:59:59-23:59", b"timeout=1e999", b"timeout=NaN",
    b"timeout=0", b"instance_id=%f0%9f", b"instanceID=" + b"i" * 70, b"recursive=maybe", b"raw=2", b"%", b"&&==&", b"a" * 9_000,
)  # fmt: skip
HEADERS = (
    (b"origin", b"http://[::1"), (b"origin", b"null"), (b"origin", b"http://127.0.0.1"), (b"host", b""), (b"host", b"[::1]"),
    (b"host", b"\xff"), (b"host", b"[" * 100), (b"content-length", b"\xb2"), (b"content-length", b"9" * 5_000),
    (b"content-length", b"-1"), (b"content-type", b"application/json; charset=utf-7"), (b"content-type", b"\xff/\xff"),
    (b"content-type", b"multipart/form-data"), (b"content-encoding", b"gzip"), (b"idempotency-key", b"k" * 300),
    (b"idempotency-key", b"\xff"), (b"x-requested-by", b"\xff\xfe"), (b"x-requested-by", b"r" * 300), (b"traceparent", b"\xff"),
    (b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"), (b"tracestate", b"a=" + b"b" * 5_000),
    (b"authorization", b"Bearer \xff"), (b"authorization", b"Basic"), (b"dapr-api-token", b"\xe9"), (b"accept", b"text/html"),
    (b"", b""), (b"\xff", b"\xff"),
)  # fmt: skip


async def answered(app, method, raw_path, query, headers, body, chunk=7_000):
    """(status, body) as an ASGI server would get it; whatever is raised would have been a 500 without a word."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": raw_path.decode("latin-1"), "raw_path": raw_path, "query_string": query, "headers": headers,
        "server": ("127.0.0.1", 3500), "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    parts = [body[at : at + chunk] for at in range(0, len(body), chunk)] or [b""]
    messages = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]
    sent = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


@many
@given(
    st.sampled_from((None, "secret")),
    st.sampled_from(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW", "")),
    st.sampled_from(ROUTES).map(str.encode) | st.binary(max_size=60).map(b"/".__add__),
    st.sampled_from(("", "%", "%2F", "%ff", "%2e%2e/", "//", "%00", "x" * 3_000)).map(str.encode),
    st.lists(st.sampled_from(QUERIES) | st.binary(max_size=30), max_size=3).map(b"&".join),
    st.lists(st.sampled_from(HEADERS), max_size=5),
    any_payload() | st.just(Body(b"x" * 100_001)),
)
def test_any_request_is_answered_and_none_is_a_defect(token, method, path, suffix, query, headers, body):
    headers = [HOST, (b"dapr-api-token", b"secret"), *headers]
    status, said = asyncio.run(answered(apps[token], method, path + suffix, query, headers, body))
    assert 200 <= status < 500, said
    if status >= 400 and method != "HEAD":
        told = json.loads(said)
        assert told.keys() == {"errorCode", "message"}
        assert len(said) < 20_000


@pytest.mark.parametrize("query", ["id_prefix=%00", "name=" + "n" * 600, "&".join(["name=n"] * 101), "limit=0"])
def test_a_list_that_no_store_can_answer_is_the_askers_mistake(query):
    status, said = asyncio.run(answered(apps[None], "GET", b"/v1/instances", query.encode(), [HOST], b""))
    assert (status, json.loads(said)["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")


@pytest.mark.parametrize("header", [header for header in HEADERS if header[0] in (b"origin", b"host")])
def test_an_origin_or_host_that_is_none_is_refused(header):
    kept = [] if header[0] == b"host" else [HOST]
    status, _ = asyncio.run(answered(apps[None], "GET", b"/v1/instances", b"", [*kept, header], b""))
    assert status == (200 if header[1] in (b"[::1]", b"http://127.0.0.1") else 403)


@pytest.mark.parametrize(
    "body",
    [
        '{"id_prefix": "\\ud800"}', '{"name": ["\\ud800"]}', '{"\\ud800": 1}', '{"name": {"\\ud800": 1}}', '{"status": ["\\ud800"]}',
        '{"name": ["n"], "output": "\\ud800"}', '{"name": ["n"], "output": NaN}', '{"name": ["n"], "output": 1e999}',
        '{"name": ["n"], "limit": 1e999}', '{"name": ["n"], "limit": ' + "9" * 5_000 + "}", '{"name": ["n"], "created_to": -1e308}',
        '{"name": ["n"], "output": ' + "[" * 5_000 + "]" * 5_000 + "}", "[" * 90_000,
    ],
)  # fmt: skip
def test_a_bulk_body_that_no_client_sends_is_the_askers_mistake(body):
    for path in (b"/v1/instances:terminate", b"/v1/instances:purge"):
        headers = [HOST, (b"content-type", b"application/json")]
        status, said = asyncio.run(answered(apps[None], "POST", path, b"", headers, body.encode()))
        assert status == 400, said
        assert json.loads(said)["errorCode"] == "ERR_MALFORMED_REQUEST"
