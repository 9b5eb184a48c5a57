"""The workflows of the patterns document, pasted with only the import line changed, give the right results."""

import asyncio
import hashlib
import json
import re
import time
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import pytest

import perdure as wf
from perdure import testing
from tests.acceptance import patterns_verbatim as document
from tests.acceptance import patterns_world

WORKFLOWS = (
    document.chain_workflow, document.batch_processor_workflow, document.order_monitor_workflow,
    document.approval_workflow, document.checkout_saga_workflow, document.master_workflow,
    document.order_fulfillment_workflow, document.eternal_aggregator_workflow,
)  # fmt: skip
ACTIVITIES = (
    document.validate_order, document.check_order_status, document.reserve_inventory,
    document.release_inventory_reservation, document.process_payment, document.ship_order, document.process_item,
    document.send_batch_report, document.send_approval_request, document.notify_timeout, document.execute_request,
    document.charge_payment, document.refund_payment, document.create_shipment, document.cancel_shipment,
    document.fulfill_order, document.fetch_pending_events, document.process_events,
)  # fmt: skip

DIGESTS = {
    "Pattern 1: Task Chaining": "1c02bb8f2c7084bb",
    "Pattern 2: Fan-Out / Fan-In": "a07ad8e6e39fcd51",
    "Pattern 3: Monitor (Polling Loop)": "c818bc4eae922f65",
    "Pattern 4: External Events (Human Approval)": "0e8e1860f05035de",
    "Pattern 5: Compensation / Saga (Critical for Microservices)": "5c4a79daced7b07d",
    "Pattern 6: Child Workflows": "31e35cbda9ca61f9",
    "Pattern 7: Long-Running Eternal Workflow": "c44c790c8d5d907b",
    "Activity Retry Configuration": "ec0390c020729813",
}
"""Each code block of the document, its import line changed: the first 16 digits of its SHA-256."""

SECONDS = 90
ORDER = {"id": "o1", "total": 42, "customerId": "c1", "shippingAddress": "the harbour"}


@pytest.fixture
def world(tmp_path):
    return patterns_world.reset(tmp_path)


@pytest.fixture
def app():
    app = wf.App()
    for workflow in WORKFLOWS:
        app.add_workflow(workflow)
    app.add_workflow(document.order_workflow, name="order_workflow_with_retries")
    for activity in ACTIVITIES:
        app.add_activity(activity)
    return app


@pytest.fixture
def client(app, world, real_world_of, monkeypatch):
    """Of an engine in real time, where the document's three days and five minutes are shortened."""
    return LaterClient(app, real_world_of, monkeypatch)


class LaterClient:
    """Its engine starts when it is first used: a test sets its scene before."""

    def __init__(self, app, world_of, monkeypatch):
        self._app = app
        self._world_of = world_of
        self._monkeypatch = monkeypatch

    def __getattr__(self, verb):
        return getattr(self._client, verb)

    @cached_property
    def _client(self):
        world = self._world_of(self._app)
        if world.kind == "services":  # where the document's own client looks for it
            self._monkeypatch.setenv("PERDURE_ENDPOINT", world.url)
        return world.client


@pytest.fixture
def env(app, world):
    """The test kit, where they are three days and five minutes."""
    world.scale = 1
    with testing.engine(app, guard="strict") as env:
        yield env


def output(client, workflow, input):
    instance_id = client.schedule_new_workflow(workflow, input=input)
    return ending(client, instance_id)


def ending(client, instance_id):
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)
    assert state.runtime_status is wf.WorkflowStatus.COMPLETED, state
    return json.loads(state.serialized_output or "null")


def test_the_pasted_code_is_the_documents_to_the_letter():
    text = Path(document.__file__).read_text()
    sections = re.findall(
        r"^# ---- (.*?)\n\n(.*?)(?=\n\n\n# ----|\n\n\nchain_workflow|\Z)", text, re.DOTALL | re.MULTILINE
    )
    assert {title: hashlib.sha256(code.strip().encode()).hexdigest()[:16] for title, code in sections} == DIGESTS


def test_the_chain_hands_each_result_on(client, world):
    assert output(client, document.chain_workflow, {"id": "o1"}) == "o1 shipped for payment of 42"
    assert world.calls == ["validate_order", "reserve_inventory", "process_payment", "ship_order"]


def test_the_chain_fails_with_the_activitys_error(client):
    instance_id = client.schedule_new_workflow(document.chain_workflow, input={"id": "x1"})
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)
    assert state.runtime_status is wf.WorkflowStatus.FAILED
    assert "Order x1 not found" in state.failure_details.message


def test_the_batch_is_processed_and_reported(client, world):
    assert output(client, document.batch_processor_workflow, list(range(20))) == {"processed": 16, "errors": 4}
    assert world.calls.count("process_item") == 20
    assert world.reports == [{"total": 20, "successful": 16, "failed": 4}]


def test_an_empty_batch_is_reported_too(client, world):
    assert output(client, document.batch_processor_workflow, []) == {"processed": 0, "errors": 0}
    assert world.reports == [{"total": 0, "successful": 0, "failed": 0}]


def test_the_monitor_looks_until_the_order_is_delivered(client, world):
    world.statuses = ["placed", "packed", "sent", "delivered"]
    assert output(client, document.order_monitor_workflow, "o1") == {"orderId": "o1", "finalStatus": "delivered"}
    assert world.calls == ["check_order_status"] * 4


@pytest.mark.parametrize(
    ("answer", "result", "calls"),
    [
        (True, {"status": "approved"}, ["send_approval_request", "execute_request"]),
        (False, {"status": "rejected", "reason": None}, ["send_approval_request"]),
    ],
)
def test_the_approval_hears_its_answer(client, world, answer, result, calls):
    instance_id = client.schedule_new_workflow(document.approval_workflow, input={"what": "a trip"})
    asyncio.run(document.approve_request(instance_id, answer))
    assert ending(client, instance_id) == result
    assert world.calls == calls


def test_the_approval_ends_without_an_answer(client, world):
    world.scale = 864_000  # three days in 0.3 s
    assert output(client, document.approval_workflow, {"what": "a trip"}) == {"status": "timeout"}
    assert world.calls == ["send_approval_request", "notify_timeout"]


def test_the_saga_ends_well(client, world):
    result = {"orderId": "o1", "status": "success", "shipmentId": "shipment to the harbour"}
    assert output(client, document.checkout_saga_workflow, ORDER) == result
    assert world.calls == ["reserve_inventory", "charge_payment", "create_shipment"]


def test_the_saga_undoes_in_reverse_order_what_was_done(client, world):
    world.failures["create_shipment"] = 1
    result = output(client, document.checkout_saga_workflow, ORDER)
    assert (result["orderId"], result["status"]) == ("o1", "failed")
    assert "create_shipment is out of order" in result["error"]
    undone = ["refund 42 of payment by c1", "release reservation of o1"]
    assert world.calls == ["reserve_inventory", "charge_payment", "create_shipment", *undone]


def test_the_saga_goes_on_undoing_when_a_compensation_fails(client, world):
    world.failures.update({"create_shipment": 1, "refund 42 of payment by c1": 1})
    assert output(client, document.checkout_saga_workflow, ORDER)["status"] == "failed"
    assert world.calls[-1] == "release reservation of o1"


def test_the_master_gathers_its_children(client):
    batch = {"id": "b1", "orders": [{"id": f"o{n}"} for n in range(5)]}
    results = [{"orderId": f"o{n}", "status": "fulfilled"} for n in range(5)]
    assert output(client, document.master_workflow, batch) == {"batchId": "b1", "results": results}


def test_the_eternal_one_carries_its_sum_from_generation_to_generation(client, world):
    instance_id = client.schedule_new_workflow(document.eternal_aggregator_workflow, input={})
    end = time.monotonic() + SECONDS
    while (known := client.describe_workflow(instance_id)).generation < 3:
        assert time.monotonic() < end, known
    state = json.loads(known.state.serialized_input)
    assert state["totalProcessed"] == 3 * known.generation
    client.terminate_workflow(instance_id)
    ended = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)
    assert ended.runtime_status is wf.WorkflowStatus.TERMINATED


@pytest.mark.parametrize(
    ("workflow", "input", "pause"),
    [
        (document.order_monitor_workflow, "o1", timedelta(minutes=5)),
        (document.approval_workflow, {"what": "a trip"}, timedelta(days=3)),
        (document.eternal_aggregator_workflow, {}, timedelta(minutes=1)),
    ],
)
def test_a_timer_is_set_for_as_long_as_the_document_says(client, world, workflow, input, pause):
    """In real time nobody waits for it: the recorded time tells. The kit waits, below."""
    world.scale, world.statuses = 1, ["placed"]
    instance_id = client.schedule_new_workflow(workflow, input=input)
    end = time.monotonic() + SECONDS
    while not (timers := timers_in(client.get_history(instance_id))):
        assert time.monotonic() < end
        time.sleep(0.02)
    (timer,) = timers
    assert timedelta(microseconds=timer.fire_at_us - timer.at_us) == pause


def timers_in(history):
    return [event for event in history if type(event).__name__ == "TimerCreated"]


def test_the_payment_is_tried_three_times(client, world):
    world.failures["process_payment"] = 2
    assert output(client, "order_workflow_with_retries", {"amount": 42}) is None
    assert world.calls == ["process_payment"] * 3


def test_the_payment_is_not_tried_a_fourth_time(client, world):
    world.failures["process_payment"] = 3
    instance_id = client.schedule_new_workflow("order_workflow_with_retries", input={"amount": 42})
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)
    assert state.runtime_status is wf.WorkflowStatus.FAILED
    assert world.calls == ["process_payment"] * 3


def test_the_monitor_looks_every_five_minutes(env, world):
    world.statuses = ["placed", "packed", "sent", "delivered"]
    instance_id = env.schedule_new_workflow(document.order_monitor_workflow, input="o1")
    env.skip(timedelta(minutes=15) - timedelta(seconds=1))
    assert (env.status(instance_id), len(world.calls)) == ("RUNNING", 3)
    env.skip(timedelta(seconds=1))
    assert env.result(instance_id) == {"orderId": "o1", "finalStatus": "delivered"}


def test_the_approval_gives_up_after_its_three_days(env, world):
    instance_id = env.schedule_new_workflow(document.approval_workflow, input={"what": "a trip"})
    env.skip(timedelta(days=3) - timedelta(seconds=1))
    assert world.calls == ["send_approval_request"]
    assert env.status(instance_id) == "RUNNING"
    env.skip(timedelta(seconds=1))
    assert env.result(instance_id) == {"status": "timeout"}
    assert world.calls == ["send_approval_request", "notify_timeout"]


def test_the_approval_hears_an_answer_on_the_last_day(env, world):
    instance_id = env.schedule_new_workflow(document.approval_workflow, input={"what": "a trip"})
    env.skip(timedelta(days=2, hours=23))
    env.raise_workflow_event(instance_id, "approval-response", data={"approved": False, "reason": "too far"})
    assert env.result(instance_id) == {"status": "rejected", "reason": "too far"}


def test_the_eternal_one_turns_once_a_minute(env, world):
    instance_id = env.schedule_new_workflow(document.eternal_aggregator_workflow, input={})
    env.skip(timedelta(hours=2))
    known = env.describe_workflow(instance_id)
    assert (known.generation, json.loads(known.state.serialized_input)["totalProcessed"]) == (120, 360)
    env.terminate_workflow(instance_id)
    assert env.status(instance_id) == "TERMINATED"


def test_the_payments_retries_wait_one_and_two_seconds(env, world):
    world.failures["process_payment"] = 2
    began = env.now
    assert env.run("order_workflow_with_retries", {"amount": 42}) is None
    assert env.now - began == timedelta(seconds=3)


def test_the_rest_runs_in_the_kit_as_on_sqlite(env, world):
    assert env.run(document.chain_workflow, {"id": "o1"}) == "o1 shipped for payment of 42"
    assert env.run(document.batch_processor_workflow, list(range(20))) == {"processed": 16, "errors": 4}
    assert env.run(document.checkout_saga_workflow, ORDER)["status"] == "success"
    batch = {"id": "b1", "orders": [{"id": "o1"}, {"id": "o2"}]}
    assert [each["orderId"] for each in env.run(document.master_workflow, batch)["results"]] == ["o1", "o2"]
    assert env.findings == []
