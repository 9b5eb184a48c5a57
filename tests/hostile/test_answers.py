"""What answers a client: a stranger at the gateway's address, or records in the topic `replies` that nobody asked for."""

import asyncio
import json

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import topic_specs
from perdure.client.client import AsyncWorkflowClient
from perdure.client.http_transport import HttpTransport
from perdure.client.inbox import Inbox
from perdure.client.values import WorkflowDescription
from perdure.client.wire import event_body, event_from, instance_body, row_from, snapshot_from
from perdure.codec.avro import encode
from perdure.core.errors import PerdureError
from perdure.core.events import ActivityFailed
from perdure.core.names import Topics
from perdure.core.replies import Reply
from perdure.ports.errors import PortError
from perdure.ports.log import Outgoing
from tests.client.fake_transport import snapshot
from tests.codec.shapes import any_record
from tests.hostile.strangers import Body, any_headers, any_json, any_payload, any_value_bytes, few, many
from tests.roles.timers.virtual import VirtualClock, run_virtually

NAMED = (PerdureError, PortError, ValueError, TimeoutError)
GOOD = instance_body(snapshot("i1", detail='{"awaits": [{"sinceUs": 1}]}'))


@st.composite
def nearly_ours(draw):
    """An answer of ours with something else in a place or two."""
    body = dict(GOOD)
    for key in draw(st.lists(st.sampled_from(sorted(body)), min_size=1, max_size=3)):
        body[key] = draw(
            any_json() | st.sampled_from(("9999-12-31T23:59:59Z", "no time", 1 << 70, [], {"sinceUs": "x"}))
        )
    body = draw(
        st.sampled_from(
            (body, {"instances": [body], "next": ""}, {"events": [body]}, {"errorCode": body, "message": 1})
        )
    )
    return Body(json.dumps(body).encode())


CALLS = (
    lambda client: client.get_workflow_state("i1"),
    lambda client: client.describe_workflow("i1"),
    lambda client: client.list_workflows(),
    lambda client: client.get_history("i1"),
    lambda client: client.pause_workflow("i1"),
    lambda client: client.schedule_new_workflow("order"),
    lambda client: client.transport.check(),
)


@many
@given(
    st.sampled_from(CALLS),
    st.sampled_from((200, 202, 204, 301, 400, 404, 408, 409, 418, 500, 503)),
    any_payload() | nearly_ours(),
    st.sampled_from(("application/json", "text/html; charset=zlib", "a/b; charset=utf-16", "x; charset=\u00ff", "")),
)
@example(CALLS[0], 200, Body(b"[]"), "")
@example(CALLS[0], 200, Body(json.dumps(GOOD | {"detail": {"awaits": [{"since": 7}]}}).encode()), "")
@example(CALLS[3], 200, Body(b'{"events": [{"type": "Newer"}]}'), "")
@example(CALLS[3], 200, Body(b'{"events": [{"type": "TimerFired", "fire_at": "x"}]}'), "")
@example(CALLS[4], 409, Body(b'{"errorCode": "ERR_HISTORY_FULL", "message": "\\ud800"}'), "")
def test_whatever_answers_at_a_gateways_address_is_a_value_or_a_named_error(call, status, body, kind):
    async def asked():
        answer = lambda _: httpx.Response(status, content=bytes(body), headers={"content-type": kind.encode("latin-1")})  # noqa: E731
        transport = HttpTransport(
            "http://127.0.0.1:3500",
            SystemEntropy(),
            SystemClock(),
            through=httpx.MockTransport(answer),
            request_timeout_s=0.2,
        )
        client = AsyncWorkflowClient(transport)
        try:
            await call(client)
        except NAMED as error:
            assert str(error)
        finally:
            await client.close()

    asyncio.run(asked())


@few
@given(st.lists(st.tuples(st.binary(max_size=8) | st.just(b"mine"), any_value_bytes(), any_headers()), max_size=8))
def test_replies_of_strangers_do_not_end_the_reading_of_ours(strange):
    async def day():
        log = MemoryLog(MemoryBroker(VirtualClock()), "client")
        topics = Topics("t")
        await log.create_topics(topic_specs(topics, 1))
        got, ended = asyncio.get_running_loop().create_future(), []

        def take(reply):
            if reply == ours:
                got.set_result(reply)

        inbox = Inbox(log, topics, "mine00000000", take, ended.append)
        await inbox.open()
        ours = Reply("c", "mine00000000.1", accepted=True)
        records = [(b"mine00000000" if key == b"mine" else key, value, headers) for key, value, headers in strange]
        await log.append([Outgoing(topics.replies, inbox.partition, *each) for each in records])
        await log.append([Outgoing(topics.replies, inbox.partition, ours.token.encode(), encode(ours))])
        async with asyncio.timeout(60):
            await got
        assert ended == []
        await inbox.close()

    run_virtually(day())


def test_what_the_engine_may_hold_can_be_told_and_read_again():
    known = snapshot(
        "i1", created_at_us=0, updated_at_us=253_402_300_799_999_999, detail="{}", owner="o", lag=1, store_lag=0
    )
    assert snapshot_from(json.loads(json.dumps(instance_body(known)))) == known
    assert row_from(instance_body(known)).updated_at_us == known.updated_at_us
    event = ActivityFailed("0.0.1", 0, 3, 1, 1, 1, "E", "m", "s", 253_402_300_799_999_999)
    assert event_from(json.loads(json.dumps(event_body(event)))) == event


@many
@given(any_record().filter(lambda record: type(record).__name__ == "InstanceSnapshot") | st.just(snapshot("i1")))
def test_a_description_of_any_snapshot_is_made(known):
    assert WorkflowDescription.from_snapshot(known).run == known.run
