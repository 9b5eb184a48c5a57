import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest

import perdure as wf
from perdure.client import errors
from perdure.client.client import AsyncWorkflowClient
from perdure.client.ids import derived_id
from perdure.client.values import JsonText
from perdure.core.commands import (
    PurgeWorkflow,
    RaiseEvent,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.decide import REJECTIONS
from perdure.core.errors import PayloadError, PayloadTooLarge
from perdure.core.limits import PAYLOAD_BYTES_MAX
from perdure.workflow.status import WorkflowStatus
from tests.client.fake_transport import FakeTransport, snapshot


@pytest.fixture
def transport():
    return FakeTransport(snapshot("i1"), snapshot("done", status="COMPLETED", output="7"))


@pytest.fixture
def client(transport):
    return AsyncWorkflowClient(transport)


async def test_starting_mints_an_id_and_says_so(client, transport):
    made = await client.schedule_new_workflow("order", input={"n": 1}, requested_by="ann")
    ((instance_id, command),) = transport.sent
    assert instance_id == made
    assert command == StartWorkflow("order", '{"n":1}', command.command_id, requested_by="ann", minted=True)
    assert command.command_id


async def test_a_chosen_id_is_not_minted_and_follows_the_rule(client, transport):
    assert await client.schedule_new_workflow("order", instance_id="my-1") == "my-1"
    assert not transport.sent[0][1].minted
    with pytest.raises(errors.InvalidInstanceId):
        await client.schedule_new_workflow("order", instance_id="my:1")
    assert len(transport.sent) == 1


async def test_a_start_repeated_under_its_command_id_names_the_same_instance(client, transport):
    made = [await client.schedule_new_workflow("order", command_id="k") for _ in range(2)]
    assert made == [derived_id("k")] * 2
    assert [command.minted for _, command in transport.sent] == [False, False]


@pytest.mark.parametrize(
    "start_at",
    [
        datetime(2030, 1, 1, 12),
        datetime(2030, 1, 1, 12, tzinfo=UTC),
        datetime(2030, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
)
async def test_a_delayed_start_counts_naive_times_as_utc(client, transport, start_at):
    await client.schedule_new_workflow("order", start_at=start_at)
    assert transport.sent[0][1].start_at_us == 1_893_499_200_000_000


async def test_reuse_policies_are_refused_by_name(client):
    with pytest.raises(NotImplementedError, match="reuse_id_policy"):
        await client.schedule_new_workflow("order", reuse_id_policy=object())


async def test_a_workflow_may_be_its_function_under_its_registered_name(transport):
    app = wf.App()

    @app.workflow(name="order-v2")
    def order(ctx):
        yield

    @wf.alternate_name("other")
    def elsewhere(ctx):
        yield

    client = AsyncWorkflowClient(transport, app=app)
    for given in (order, elsewhere, "text"):
        await client.schedule_new_workflow(given)
    assert [command.name for _, command in transport.sent] == ["order-v2", "other", "text"]


async def test_every_verb_sends_its_command(client, transport):
    await client.raise_workflow_event("i1", "Paid", data=[1])
    await client.pause_workflow("i1")
    await client.resume_workflow("i1")
    await client.terminate_workflow("i1", output={"why": "late"}, recursive=False)
    await client.purge_workflow("i1", recursive=False)
    await client.purge_workflow("i1", True)
    bare = [dataclasses.replace(command, command_id="") for _, command in transport.sent]
    assert bare == [
        RaiseEvent("Paid", "[1]"), SuspendWorkflow(), ResumeWorkflow(), TerminateWorkflow('{"why":"late"}', recursive=False),
        PurgeWorkflow(recursive=False), PurgeWorkflow(recursive=True),
    ]  # fmt: skip
    assert len({command.command_id for _, command in transport.sent}) == 6


async def test_a_command_id_and_who_asks_travel_with_the_command(client, transport):
    await client.pause_workflow("i1", command_id="k-1", requested_by="ann")
    assert transport.sent[0][1] == SuspendWorkflow("k-1", "", "ann")
    with pytest.raises(ValueError, match="printable"):
        await client.pause_workflow("i1", command_id="with space")


NAMED = {
    "UnknownInstance": errors.InstanceNotFound,
    "AlreadyExists": errors.WorkflowAlreadyExists,
    "IdInUse": errors.WorkflowAlreadyExists,
    "UnknownWorkflow": errors.UnknownWorkflowError,
    "NotRunning": errors.NotRunning,
    "NotFinished": errors.NotFinished,
    "EventBufferFull": errors.EventBufferFull,
    "HistoryFull": errors.HistoryIsFull,
    "TooManyWaiters": errors.TooManyWaiters,
    "InvalidCommand": errors.InvalidCommand,
    "InvalidName": errors.InvalidName,
    "InvalidInstanceId": errors.InvalidInstanceId,
    "PayloadTooLarge": PayloadTooLarge,
    "InvalidPayload": errors.InvalidPayload,
    "Internal": errors.EngineInternalError,
}


@pytest.mark.parametrize("reason", REJECTIONS)
async def test_every_rejection_is_an_exception_by_name(client, transport, reason):
    transport.refuse(reason, "because")
    with pytest.raises(NAMED.get(reason, errors.CommandRejected), match="because") as raised:
        await client.pause_workflow("i1")
    assert errors.reason_of(raised.value) == reason
    assert isinstance(raised.value, wf.PerdureError)


async def test_payloads_that_do_not_fit_are_refused_before_anything_is_sent(client, transport):
    with pytest.raises(PayloadTooLarge, match="input of workflow 'order'"):
        await client.schedule_new_workflow("order", input="x" * PAYLOAD_BYTES_MAX)
    with pytest.raises(PayloadError):
        await client.raise_workflow_event("i1", "e", data=object())
    with pytest.raises(PayloadTooLarge):
        await client.raise_workflow_event("i1", "e", data=JsonText('"' + "x" * PAYLOAD_BYTES_MAX + '"'))
    assert not transport.sent


async def test_json_text_goes_as_it_is(client, transport):
    await client.raise_workflow_event("i1", "e", data=JsonText("[1,  2.0]"))
    assert transport.sent[0][1].data == "[1,  2.0]"


async def test_a_state_is_daprs_with_or_without_payloads(client):
    state = await client.get_workflow_state("i1")
    assert (state.name, state.runtime_status, state.serialized_input) == ("order", WorkflowStatus.RUNNING, '{"n":1}')
    assert (await client.get_workflow_state("i1", fetch_payloads=False)).serialized_input is None
    assert await client.get_workflow_state("nobody") is None


async def test_waiting_asks_the_owner_to_answer_once_it_is_so_far(client, transport):
    assert (await client.wait_for_workflow_completion("done", timeout_in_seconds=5)).serialized_output == "7"
    assert await client.wait_for_workflow_start("nobody") is None
    with pytest.raises(TimeoutError):
        await client.wait_for_workflow_completion("i1", timeout_in_seconds=1)
    assert transport.asked == [("done", "completed", 5), ("nobody", "started", 0), ("i1", "completed", 1)]


async def test_a_rerun_has_the_same_name_and_input_and_says_of_what(client, transport):
    made = await client.rerun_workflow("i1", new_instance_id="again")
    instance_id, command = transport.sent[0]
    assert made == instance_id == "again"
    assert (command.name, command.input, command.rerun_of, command.minted) == ("order", '{"n":1}', "i1", False)
    assert await client.rerun_workflow("i1") not in ("again", "i1")
    with pytest.raises(errors.InstanceNotFound):
        await client.rerun_workflow("nobody")


async def test_a_description_has_what_the_owner_knows(client):
    described = await client.describe_workflow("i1")
    assert (described.run, described.events, described.partition, described.detail) == ("0.0.1", 3, 2, {"awaits": []})
    assert await client.describe_workflow("nobody") is None


async def test_a_list_has_filters_and_pages(client, transport):
    page = await client.list_workflows(
        name="order",
        status=[WorkflowStatus.RUNNING, "completed"],
        id_prefix="",
        created_from=datetime(1970, 1, 2),
        limit=1,
    )
    assert [state.instance_id for state in page] == ["i1"]
    assert page.next == "more"
    where, limit, _ = transport.listed[0]
    assert (where.names, where.statuses, where.created_from_us, limit) == (
        ("order",), ("RUNNING", "COMPLETED"), 86_400_000_000, 1,
    )  # fmt: skip
    with pytest.raises(ValueError, match="no status 'gone'"):
        await client.list_workflows(status="gone")
    with pytest.raises(ValueError, match="limit is 0"):
        await client.list_workflows(limit=0)


async def test_bulk_operations_act_on_what_fits_and_count_what_needed_nothing(transport):
    for n in range(3):
        transport.known[f"b{n}"] = snapshot(f"b{n}")
    client = AsyncWorkflowClient(transport)
    transport.refuse("NotRunning", instance_id="b1")
    transport.refuse("Internal", "broken", instance_id="b2")
    found = await client.terminate_workflows(id_prefix="b", output="enough")
    assert (found.done, found.skipped, found.failed, found.more) == (["b0"], ["b1"], {"b2": "broken"}, False)
    assert "COMPLETED" not in transport.listed[0][0].statuses
    purged = await client.purge_workflows(name="order", limit=1)
    assert purged.done == ["done"]
    assert set(transport.listed[1][0].statuses) == {"COMPLETED", "FAILED", "TERMINATED"}


async def test_a_bulk_operation_without_a_filter_is_refused(client, transport):
    for refused in (client.terminate_workflows(), client.purge_workflows(id_prefix="")):
        with pytest.raises(ValueError, match="needs a filter"):
            await refused
    assert not transport.sent


async def test_leaving_the_client_closes_its_transport(client, transport):
    async with client:
        pass
    assert transport.closed
