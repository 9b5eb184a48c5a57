import pytest

from perdure.client.ids import derived_id
from perdure.core.commands import PurgeWorkflow, ResumeWorkflow, SuspendWorkflow, TerminateWorkflow
from perdure.core.limits import PAYLOAD_BYTES_MAX

VERSIONS = ["/v1.0", "/v1.0-beta1", "/v1.0-alpha1"]


@pytest.fixture(params=VERSIONS)
def root(request):
    return f"{request.param}/workflows/dapr"


def error(response):
    assert set(response.json()) == {"errorCode", "message"}
    return response.status_code, response.json()["errorCode"]


async def test_start_answers_202_with_the_id(http, transport, root):
    response = await http.post(f"{root}/order/start", params={"instanceID": "o-1"}, content=b'{"n": 1}')
    assert (response.status_code, response.json()) == (202, {"instanceID": "o-1"})
    assert transport.sent[0][0] == "o-1"
    assert transport.sent[0][1].input == '{"n": 1}'


async def test_start_without_an_id_or_a_body_mints_one_and_has_no_input(http, transport, root):
    response = await http.post(f"{root}/order/start")
    assert transport.sent[0][0] == response.json()["instanceID"]
    assert transport.sent[0][1].minted
    assert transport.sent[0][1].input == ""


@pytest.mark.parametrize(
    ("version", "query", "unwrapped"),
    [
        ("/v1.0", "", False), ("/v1.0-alpha1", "", False), ("/v1.0-beta1", "", True),
        ("/v1.0", "?raw=false", True), ("/v1.0-beta1", "?raw=true", False),
    ],
)  # fmt: skip
async def test_only_the_documents_version_unwraps_its_input_unless_told_otherwise(
    http, transport, version, query, unwrapped
):
    response = await http.post(f"{version}/workflows/dapr/order/start{query}", content=b'{"input": {"n": 1}}')
    assert response.status_code == 202
    assert transport.sent[0][1].input == ('{"n":1}' if unwrapped else '{"input": {"n": 1}}')


@pytest.mark.parametrize("body", [b'{"input": 1, "more": 2}', b"[1]", b'{"n": 1}', b'"input"'])
async def test_an_object_with_more_than_input_is_not_unwrapped(http, transport, body):
    await http.post("/v1.0-beta1/workflows/dapr/order/start", content=body)
    assert transport.sent[0][1].input == body.decode()


@pytest.mark.parametrize("reason", ["AlreadyExists", "UnknownWorkflow", "InvalidName", "Internal"])
async def test_a_refused_start_is_500_err_start_workflow(http, transport, root, reason):
    transport.refuse(reason, "an active workflow with ID 'o' already exists")
    response = await http.post(f"{root}/order/start?instanceID=o")
    assert error(response) == (500, "ERR_START_WORKFLOW")
    assert response.json()["message"] == "an active workflow with ID 'o' already exists"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("order/start?instanceID=a%20b", "ERR_INSTANCE_ID_INVALID"),
        ("order/start?instanceID=", "ERR_INSTANCE_ID_INVALID"),
        (f"order/start?instanceID={'x' * 65}", "ERR_INSTANCE_ID_TOO_LONG"),
        ("/start", "ERR_WORKFLOW_NAME_MISSING"),
        ("i1/raiseEvent/", "ERR_WORKFLOW_EVENT_NAME_MISSING"),
        (f"{'x' * 513}/pause", "ERR_INSTANCE_ID_TOO_LONG"),
    ],
)
async def test_what_is_left_out_or_ill_formed_is_400_by_its_code(http, transport, root, path, code):
    assert error(await http.post(f"{root}/{path}")) == (400, code)
    assert not transport.sent


@pytest.mark.parametrize(
    "body",
    [b"{", b"nope", b"NaN", b"\xff\xfe", b'{"a": 1} x', b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000],
    ids=["open", "word", "nan", "not-utf8", "trailing", "deep-array", "deep-object", "huge-number"],
)
@pytest.mark.parametrize("path", ["order/start", "i1/raiseEvent/e"])
async def test_a_body_that_is_no_json_is_400_err_malformed_request(http, transport, root, path, body):
    assert error(await http.post(f"{root}/{path}", content=body)) == (400, "ERR_MALFORMED_REQUEST")
    assert not transport.sent


async def test_get_shows_the_instance_as_dapr_and_the_patterns_document_do(http, root):
    response = await http.get(f"{root}/done")
    assert response.status_code == 200
    assert response.json() == {
        "instanceID": "done",
        "workflowName": "order",
        "createdAt": "2023-11-14T22:13:20.000001Z",
        "lastUpdatedAt": "2023-11-14T22:13:21Z",
        "runtimeStatus": "COMPLETED",
        "serializedOutput": '{"ok":true}',
        "properties": {
            "dapr.workflow.input": '{"n":1}',
            "dapr.workflow.output": '{"ok":true}',
            "dapr.workflow.custom_status": '"halfway"',
        },
    }
    assert (await http.get(f"{root}/bad")).json()["properties"] == {
        "dapr.workflow.failure.error_type": "ValueError",
        "dapr.workflow.failure.error_message": "no",
        "dapr.workflow.failure.stack_trace": "at",
    }


async def test_get_of_an_unknown_id_is_404(http, root):
    assert error(await http.get(f"{root}/nobody")) == (404, "ERR_INSTANCE_ID_NOT_FOUND")


async def test_an_event_carries_its_body(http, transport, root):
    response = await http.post(f"{root}/i1/raiseEvent/order%2Fpaid", content=b'{"sum": 1}')
    assert (response.status_code, response.json()) == (202, {})
    assert (transport.sent[0][1].name, transport.sent[0][1].data) == ("order/paid", '{"sum": 1}')


async def test_the_verbs_without_a_body_ignore_one(http, transport, root):
    for verb in ("pause", "resume", "terminate", "purge"):
        response = await http.post(f"{root}/i1/{verb}", content=b"{ not json")
        assert (response.status_code, response.json()) == (202, {})
    assert [type(command) for _, command in transport.sent] == [
        SuspendWorkflow, ResumeWorkflow, TerminateWorkflow, PurgeWorkflow,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "unknown", "refused"),
    [
        ("raiseEvent/e", (500, "ERR_RAISE_EVENT_WORKFLOW"), (500, "ERR_RAISE_EVENT_WORKFLOW")),
        ("pause", (500, "ERR_PAUSE_WORKFLOW"), (500, "ERR_PAUSE_WORKFLOW")),
        ("resume", (500, "ERR_RESUME_WORKFLOW"), (500, "ERR_RESUME_WORKFLOW")),
        ("terminate", (404, "ERR_INSTANCE_ID_NOT_FOUND"), (500, "ERR_TERMINATE_WORKFLOW")),
        ("purge", (404, "ERR_INSTANCE_ID_NOT_FOUND"), (500, "ERR_PURGE_WORKFLOW")),
    ],
)
async def test_refusals_have_the_verbs_own_code(http, transport, root, path, unknown, refused):
    transport.refuse("UnknownInstance")
    assert error(await http.post(f"{root}/i1/{path}")) == unknown
    transport.refuse("NotRunning")
    assert error(await http.post(f"{root}/i1/{path}")) == refused


async def test_every_route_takes_ids_that_the_engine_derived(http, transport, root):
    from urllib.parse import quote

    derived = "parent:0001:a/b%ä"
    path = f"{root}/{quote(derived, safe='')}"
    assert (await http.get(path)).json()["instanceID"] == derived
    for verb in ("raiseEvent/e", "pause", "resume", "terminate", "purge"):
        assert (await http.post(f"{path}/{verb}")).status_code == 202
    assert {instance_id for instance_id, _ in transport.sent} == {derived}


async def test_an_idempotency_key_is_the_command_id_and_fixes_a_minted_id(http, transport, root):
    headers = {"Idempotency-Key": "k-1", "X-Requested-By": "jörg".encode()}
    for _ in range(2):
        response = await http.post(f"{root}/order/start", headers=headers)
        assert response.json() == {"instanceID": derived_id("k-1")}
    assert [(command.command_id, command.requested_by) for _, command in transport.sent] == [("k-1", "jörg")] * 2
    await http.post(f"{root}/i1/pause", headers=headers)
    assert transport.sent[2][1].command_id == "k-1"


@pytest.mark.parametrize("key", ["", "a b", "x" * 257])
async def test_an_unfit_idempotency_key_is_refused(http, transport, root, key):
    response = await http.post(f"{root}/i1/pause", headers={"Idempotency-Key": key})
    assert error(response) == (400, "ERR_MALFORMED_REQUEST")
    assert not transport.sent


async def test_a_payload_over_the_limit_is_413_by_name(http, transport, root):
    body = b'"' + b"x" * PAYLOAD_BYTES_MAX + b'"'
    response = await http.post(f"{root}/order/start", content=body)
    assert error(response) == (413, "ERR_PAYLOAD_TOO_LARGE")
    assert "pass a reference" in response.json()["message"]
