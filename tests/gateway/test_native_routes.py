import httpx
import pytest
import structlog

from perdure.client.errors import EngineStopped
from perdure.client.wire import CODES
from perdure.core.events import WorkflowStarted
from perdure.ports.errors import StoreUnavailable
from tests.client.fake_transport import snapshot


def error(response):
    assert set(response.json()) == {"errorCode", "message"}
    return response.status_code, response.json()["errorCode"]


async def test_start_takes_the_raw_body_an_id_a_time_and_what_it_reruns(http, transport):
    query = {"instance_id": "o-1", "start_at": "2030-01-01T14:00:00+02:00", "rerun_of": "i1"}
    response = await http.post("/v1/workflows/my%20order/start", params=query, content=b'{"input": 1}')
    assert (response.status_code, response.json()) == (202, {"instanceID": "o-1"})
    command = transport.sent[0][1]
    assert (command.name, command.input, command.rerun_of) == ("my order", '{"input": 1}', "i1")
    assert command.start_at_us == 1_893_499_200_000_000


@pytest.mark.parametrize("when", ["2030-01-01T12:00:00", "2030-01-01", "7", "1893499200", "soon"])
async def test_a_time_in_a_request_is_rfc_3339_with_its_offset(http, transport, when):
    response = await http.post("/v1/workflows/order/start", params={"start_at": when})
    assert error(response) == (400, "ERR_MALFORMED_REQUEST")
    assert not transport.sent


async def test_get_shows_everything_and_describe_what_it_awaits(http):
    shown = (await http.get("/v1/instances/bad")).json()
    assert shown["failure"] == {"errorType": "ValueError", "message": "no", "stackTrace": "at"}
    assert (shown["run"], shown["generation"], shown["events"], shown["partition"]) == ("0.0.1", 0, 3, None)
    assert shown["detail"] is None
    assert (await http.get("/v1/instances/i1/describe")).json()["detail"] == {"awaits": []}


async def test_history_names_each_event(http, transport):
    transport.events["i1"] = [WorkflowStarted("0.0.1", 0, 1, 5, "order")]
    body = (await http.get("/v1/instances/i1/history")).json()
    assert body["instanceID"] == "i1"
    assert body["events"][0]["type"] == "WorkflowStarted"
    assert body["events"][0]["name"] == "order"


@pytest.mark.parametrize("path", ["", "/history", "/describe", "/wait"])
async def test_reading_an_unknown_instance_is_404(http, path):
    assert error(await http.get(f"/v1/instances/nobody{path}")) == (404, "ERR_INSTANCE_ID_NOT_FOUND")


async def test_wait_answers_once_it_is_so_far_or_408(http, transport):
    assert (await http.get("/v1/instances/done/wait")).json()["runtimeStatus"] == "COMPLETED"
    assert error(await http.get("/v1/instances/i1/wait?timeout=1")) == (408, "ERR_WAIT_TIMEOUT")
    assert transport.asked[-1] == ("i1", "completed", 1)


async def test_a_wait_of_no_time_looks_once(http):
    assert error(await http.get("/v1/instances/i1/wait?timeout=0")) == (408, "ERR_WAIT_TIMEOUT")
    assert (await http.get("/v1/instances/i1/wait?timeout=0&until=started")).status_code == 200
    assert (await http.get("/v1/instances/bad/wait?timeout=0")).status_code == 200


@pytest.mark.parametrize("query", ["timeout=61", "timeout=-1", "timeout=nan", "until=never"])
async def test_a_wait_is_bounded(http, query):
    assert error(await http.get(f"/v1/instances/i1/wait?{query}")) == (400, "ERR_MALFORMED_REQUEST")


async def test_list_has_filters_and_pages(http, transport):
    response = await http.get(
        "/v1/instances?name=a&name=b&status=COMPLETED&id_prefix=d&limit=7&created_to=1970-01-02T00:00:00Z"
    )
    assert [each["instanceID"] for each in response.json()["instances"]] == ["done"]
    where, limit, page = transport.listed[0]
    assert (where.names, where.statuses, where.id_prefix, limit, page) == (("a", "b"), ("COMPLETED",), "d", 7, "")
    assert where.created_to_us == 86_400_000_000
    assert (await http.get("/v1/instances?limit=1")).json()["next"] == "more"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "status=GONE", "created_from=yesterday", "page=no page", "nam=x"]
)
async def test_a_wrong_filter_is_400(http, query):
    assert error(await http.get(f"/v1/instances?{query}")) == (400, "ERR_MALFORMED_REQUEST")


async def test_every_command_says_202_and_sends(http, transport):
    for path in ("raise-event/a%2Fb", "pause", "resume", "terminate?recursive=false", "purge?recursive=false"):
        response = await http.post(f"/v1/instances/i1/{path}", content=b"1" if "e" in path[1:2] else b"")
        assert (response.status_code, response.json()) == (202, {})
    assert transport.sent[0][1].name == "a/b"
    assert [command.recursive for _, command in transport.sent[3:]] == [False, False]
    assert transport.sent[3][1].output == "1"


async def test_rerun_answers_with_the_new_id(http, transport):
    response = await http.post("/v1/instances/i1/rerun?new_instance_id=again")
    assert (response.status_code, response.json()) == (202, {"instanceID": "again"})
    assert transport.sent[0][1].rerun_of == "i1"


@pytest.mark.parametrize("reason", CODES)
async def test_every_refusal_has_its_status_and_code(http, transport, reason):
    transport.refuse(reason, "because")
    response = await http.post("/v1/instances/i1/pause")
    assert error(response) == CODES[reason]
    assert response.json()["message"] == "because"


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        (TimeoutError("late"), (504, "ERR_REQUEST_TIMEOUT")),
        (StoreUnavailable("down"), (503, "ERR_ENGINE_UNAVAILABLE")),
        (EngineStopped("over"), (503, "ERR_ENGINE_UNAVAILABLE")),
    ],
)
@pytest.mark.parametrize("path", ["/v1/instances/i1", "/v1.0/workflows/dapr/i1", "/readyz"])
async def test_an_engine_that_does_not_answer_is_told_so(http, transport, path, raised, shown):
    transport.raises = raised
    assert error(await http.get(path)) == shown


async def test_an_unforeseen_error_tells_nothing_of_itself(transport, app):
    transport.raises = KeyError("secret")
    with structlog.testing.capture_logs() as logged:
        response = await _without_raising(app)
    assert error(response) == (500, "ERR_INTERNAL")
    assert "secret" not in response.text
    assert logged[0]["event"] == "a request failed unexpectedly"


async def _without_raising(app):
    quiet = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=quiet, base_url="http://127.0.0.1") as http:
        return await http.get("/v1/instances/i1")


async def test_bulk_operations_take_a_filter_in_the_body(http, transport):
    transport.known["i2"] = snapshot("i2")
    response = await http.post("/v1/instances:terminate", json={"id_prefix": "i", "output": "enough"})
    assert (response.status_code, response.json()) == (
        200, {"done": ["i1", "i2"], "skipped": [], "failed": {}, "more": False},
    )  # fmt: skip
    assert transport.sent[0][1].output == '"enough"'
    response = await http.post("/v1/instances:purge", json={"status": ["COMPLETED"], "limit": 1})
    assert response.json()["done"] == ["done"]


@pytest.mark.parametrize(
    "body", [{}, {"limit": 5}, {"id_prefix": ""}, {"unknown": 1}, {"limit": 0}, [], {"status": ["X"]}]
)
@pytest.mark.parametrize("verb", ["terminate", "purge"])
async def test_a_bulk_operation_without_a_good_filter_is_400(http, transport, verb, body):
    assert error(await http.post(f"/v1/instances:{verb}", json=body)) == (400, "ERR_MALFORMED_REQUEST")
    assert not transport.sent


async def test_probes(http):
    assert (await http.get("/healthz")).json() == {"status": "ok", "engine": "perdure"}
    assert (await http.get("/readyz")).status_code == 200
