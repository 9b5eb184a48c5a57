"""docs/from-dapr.md tells the truth: what is kept is there with Dapr's parameters, what is refused says so by name."""

import ast
import asyncio
import inspect

import pytest

import perdure as wf
from perdure.client.client import AsyncWorkflowClient
from perdure.client.sync import WorkflowClient
from tests.client.fake_transport import FakeTransport
from tests.documents.markdown import code_in, error_codes, parameters, plain_route, resolved, routes, rows, text_of

TEXT = text_of("docs/from-dapr.md")
ROWS = [row for row in rows(TEXT) if "Dapr" in row]
NAMES = {
    "wf": "perdure", "ctx": "perdure.WorkflowContext", "activity_ctx": "perdure.ActivityContext", "task": "perdure.Task",
    "runtime": "perdure.WorkflowRuntime", "client": "perdure.DaprWorkflowClient", "dapr_client": "perdure.DaprClient",
    "state": "perdure.WorkflowState", "WorkflowStatus": "perdure.WorkflowStatus",
}  # fmt: skip
EXPORTS = {
    "WorkflowRuntime", "DaprWorkflowClient", "DaprWorkflowContext", "WorkflowActivityContext", "WorkflowState",
    "WorkflowStatus", "when_all", "when_any", "alternate_name", "RetryPolicy", "TaskFailedError",
}  # fmt: skip
"""What `dapr.ext.workflow` exports."""


def id_of(row):
    return row["Dapr"].strip("`")


def named(row):
    """(dotted path, its signature as an ast, or None) of a row about a name; None of one about something else."""
    code = code_in(row["Dapr"])
    path, _, inside = code.partition("(")
    first, _, rest = path.partition(" = ")[0].partition(".")
    if not code or " /" in code or first not in NAMES:
        return None
    signature = ast.parse(f"def f({inside.removesuffix(')')}): ...").body[0].args if inside else None
    return f"{NAMES[first]}.{rest}", signature


@pytest.mark.parametrize("row", ROWS, ids=id_of)
def test_every_name_that_is_kept_is_there_with_daprs_parameters(row):
    assert row["here"] in ("same", "differs", "refused", "open")
    assert row["how"] or row["here"] == "same", "say how"
    found = named(row)
    if found is None or row["here"] == "open":
        return
    path, signature = found
    target = resolved(path)
    if signature is None or (not signature.args and not signature.kwonlyargs):
        return
    ours = parameters(target)
    ours.pop("self", None)
    first = list(ours.values())
    for place, argument in enumerate(signature.args):
        assert ours[argument.arg].kind is not inspect.Parameter.KEYWORD_ONLY or row["here"] == "refused", argument.arg
        if row["here"] == "same":
            assert first[place].name == argument.arg or first[place].kind is inspect.Parameter.VAR_KEYWORD
    for argument, default in zip(signature.kwonlyargs, signature.kw_defaults, strict=True):
        assert ours[argument.arg].kind is not inspect.Parameter.POSITIONAL_ONLY
        if default is not None:
            assert ours[argument.arg].default == ast.literal_eval(default), argument.arg


def test_daprs_exports_are_all_in_the_table_and_in_the_package():
    told = {id_of(row).partition("(")[0].removeprefix("wf.") for row in ROWS if row["section"] == "Exports"}
    assert told >= EXPORTS
    assert set(wf.__all__) >= EXPORTS


def test_statuses_have_the_numbers_that_the_table_says():
    told = {id_of(row).removeprefix("WorkflowStatus.") for row in ROWS if id_of(row).startswith("WorkflowStatus.")}
    assert told == {f"{status.name} = {status.value}" for status in wf.WorkflowStatus}


@pytest.mark.parametrize("row", [row for row in ROWS if row["section"] == "HTTP"], ids=id_of)
def test_routes_and_error_codes_are_the_gateways(row):
    code = code_in(row["Dapr"])
    if code.startswith("ERR_"):
        assert code in error_codes()
    elif " /v1" in code:
        for prefix in ("/v1.0/", "/v1.0-beta1/", "/v1.0-alpha1/"):
            assert plain_route(code.replace("/v1.0/", prefix)) in routes()


def fails_in_an_orchestrator(ask):
    from perdure import testing

    app = wf.App()

    @app.workflow
    def asking(ctx, _):
        yield ask(ctx)

    with testing.engine(app) as env, pytest.raises(testing.NotCompleted) as caught:
        env.run(asking)
    assert caught.value.details.error_type == "NotImplementedError"
    raise NotImplementedError(caught.value.details.message)


def start(**options):
    asyncio.run(AsyncWorkflowClient(FakeTransport()).schedule_new_workflow("w", **options))


def dapr_client():
    client = object.__new__(wf.DaprClient)
    client._client = WorkflowClient(AsyncWorkflowClient(FakeTransport()), None)
    return client


REFUSED = {
    "wf.WorkflowRuntime(host, port)": (lambda: wf.WorkflowRuntime("localhost", "50001"), "host, port"),
    "ctx.call_activity(app_id)": (
        lambda: fails_in_an_orchestrator(lambda ctx: ctx.call_activity("a", app_id="x")), "app_id",
    ),
    "ctx.call_child_workflow(app_id)": (
        lambda: fails_in_an_orchestrator(lambda ctx: ctx.call_child_workflow("w", app_id="x")), "app_id",
    ),
    "ctx.is_patched(patch_name)": (
        lambda: fails_in_an_orchestrator(lambda ctx: ctx.is_patched("fix")), "is_patched",
    ),
    "runtime.register_versioned_workflow(fn)": (
        lambda: wf.WorkflowRuntime().register_versioned_workflow(print, name="w", version_name="v", is_latest=True),
        "register_versioned_workflow",
    ),
    "client.schedule_new_workflow(reuse_id_policy)": (lambda: start(reuse_id_policy=1), "reuse_id_policy"),
    "dapr_client.start_workflow(workflow_options)": (
        lambda: dapr_client().start_workflow("dapr", "w", workflow_options={"a": "b"}), "workflow_options",
    ),
}  # fmt: skip


def test_what_is_refused_is_the_table_and_this_list():
    assert {id_of(row) for row in ROWS if row["here"] == "refused"} == set(REFUSED)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_so_by_name(name):
    call, told = REFUSED[name]
    with pytest.raises(NotImplementedError, match=told):
        call()
