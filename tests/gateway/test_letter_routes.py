import base64

import pytest

from perdure.codec.avro import encode
from perdure.core.commands import StartWorkflow
from perdure.core.limits import LETTERS_SETTLED_MAX
from perdure.ports.errors import LogUnavailable
from tests.client.fake_transport import TOPICS
from tests.gateway.test_native_routes import error


def marks(transport):
    source = transport.broker.source(TOPICS.dead_letter_marks, 0)
    return source.ready(0, 100)[0]


async def test_a_list_tells_why_and_where_from_and_nothing_of_what_they_hold(http, transport):
    letter = transport.bury(key=b"order-1", value=encode(StartWorkflow("secret")), offset=7, why="no such workflow")
    body = (await http.get("/v1/dead-letters")).json()
    (shown,) = body["letters"]
    assert body["next"] == ""
    assert shown.pop("time")
    assert shown == {
        "id": letter, "state": "open", "reason": "no such workflow", "instanceID": "order-1", "kind": "StartWorkflow",
        "origin": {"topic": "t.instances", "partition": 0, "offset": 7}, "bytes": len(encode(StartWorkflow("secret"))),
        "truncatedBytes": None, "subscription": None, "replayOf": None, "repeatOf": None, "settledAt": None,
        "settledBy": None,
    }  # fmt: skip


async def test_lists_have_filters_and_pages(http, transport):
    ids = [transport.bury(key=f"i{number % 2}".encode(), offset=number, why=f"why {number}") for number in range(5)]
    first = (await http.get("/v1/dead-letters", params={"limit": 3})).json()
    second = (await http.get("/v1/dead-letters", params={"limit": 3, "page": first["next"]})).json()
    assert [each["id"] for each in first["letters"] + second["letters"]] == ids
    for query, count in (
        ({"instance_id": "i1"}, 2),
        ({"reason": "WHY 3"}, 1),
        ({"origin": "instances"}, 5),
        ({"state": "dropped"}, 0),
    ):
        assert len((await http.get("/v1/dead-letters", params=query)).json()["letters"]) == count
    for query in ({"page": "x"}, {"state": "lost"}, {"limit": 0}, {"limit": 1_001}, {"reasn": "x"}):
        assert error(await http.get("/v1/dead-letters", params=query)) == (400, "ERR_MALFORMED_REQUEST")


@pytest.mark.parametrize(
    "value, told",
    [
        (encode(StartWorkflow("order", '{"id": 7}')), {"kind": "StartWorkflow", "text": None}),
        (b'{"command": "Start"}', {"kind": None, "fields": None, "text": '{"command": "Start"}'}),
        (b"\xff\x00", {"kind": None, "fields": None, "text": None}),
        (b"", {"kind": None, "fields": None, "text": ""}),
    ],
)
async def test_one_is_shown_with_its_bytes_and_with_what_they_say(http, transport, value, told):
    letter = transport.bury(key=b"\xff", value=value, headers=[("h", b"\xfe"), ("t", b"text")])
    shown = (await http.get(f"/v1/dead-letters/{letter}")).json()
    assert base64.b64decode(shown["value"]) == value
    assert base64.b64decode(shown["key"]) == b"\xff"
    assert shown["instanceID"] is None
    assert shown["headers"] == [
        {"name": "h", "value": "/g==", "text": None}, {"name": "t", "value": "dGV4dA==", "text": "text"},
    ]  # fmt: skip
    assert {name: shown[name] for name in told} == told
    if told["kind"]:
        assert (shown["fields"]["name"], shown["fields"]["input"]) == ("order", '{"id": 7}')


async def test_replay_and_drop_say_what_is_so_and_who_did_it_is_kept(http, transport):
    first, second = transport.bury(offset=1), transport.bury(offset=2)
    answer = await http.post(f"/v1/dead-letters/{first}/replay", headers={"X-Requested-By": "änn".encode()})
    assert (answer.status_code, answer.json()) == (200, {"id": first, "state": "replayed"})
    assert (await http.post(f"/v1/dead-letters/{second}/drop")).json() == {"id": second, "state": "dropped"}
    shown = (await http.get(f"/v1/dead-letters/{first}")).json()
    assert (shown["state"], shown["settledBy"]) == ("replayed", "änn")
    for path in (f"{first}/replay", f"{first}/drop", f"{second}/replay"):
        assert error(await http.post(f"/v1/dead-letters/{path}")) == (409, "ERR_DEAD_LETTER_SETTLED")
    assert len(marks(transport)) == 2


async def test_a_repeat_under_the_same_key_is_answered_alike(http, transport):
    letter = transport.bury()
    for _ in range(3):
        answer = await http.post(f"/v1/dead-letters/{letter}/replay", headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["state"]) == (200, "replayed")
    assert len(marks(transport)) == 1


async def test_many_are_answered_one_by_one(http, transport):
    ids = [transport.bury(offset=number) for number in range(2)]
    foreign = transport.bury(topic="t.history")
    answer = await http.post("/v1/dead-letters:replay", json={"ids": [*ids, foreign, "0-99"]})
    assert answer.status_code == 200
    told = answer.json()["letters"]
    assert [(each["id"], each["state"], each["errorCode"]) for each in told] == [
        (ids[0], "replayed", None), (ids[1], "replayed", None), (foreign, None, "ERR_DEAD_LETTER_NOT_REPLAYABLE"),
        ("0-99", None, "ERR_DEAD_LETTER_NOT_FOUND"),
    ]  # fmt: skip
    (dropped,) = (await http.post("/v1/dead-letters:drop", json={"ids": [foreign]})).json()["letters"]
    assert dropped["state"] == "dropped"


@pytest.mark.parametrize(
    "body",
    [{}, {"ids": []}, {"ids": ["x"]}, {"ids": ["0-0"] * (LETTERS_SETTLED_MAX + 1)}, {"ids": ["0-0"], "all": True}, []],
)
async def test_a_body_that_is_not_one_settles_nothing(http, transport, body):
    transport.bury()
    for verb in ("replay", "drop"):
        assert error(await http.post(f"/v1/dead-letters:{verb}", json=body)) == (400, "ERR_MALFORMED_REQUEST")
    assert not marks(transport)


async def test_refusals_have_their_codes(http, transport):
    foreign = transport.bury(topic="t.history")
    assert error(await http.post(f"/v1/dead-letters/{foreign}/replay")) == (409, "ERR_DEAD_LETTER_NOT_REPLAYABLE")
    for path in ("0-99", "7-0"):
        assert error(await http.get(f"/v1/dead-letters/{path}")) == (404, "ERR_DEAD_LETTER_NOT_FOUND")
        assert error(await http.post(f"/v1/dead-letters/{path}/drop")) == (404, "ERR_DEAD_LETTER_NOT_FOUND")
    for path in ("x", "0-", "0-0%2F1", "00-1"):
        assert error(await http.get(f"/v1/dead-letters/{path}")) == (400, "ERR_MALFORMED_REQUEST")
    transport.raises = LogUnavailable("no broker answers")
    assert error(await http.get("/v1/dead-letters")) == (503, "ERR_ENGINE_UNAVAILABLE")
