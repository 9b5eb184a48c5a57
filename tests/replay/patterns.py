"""The workflows whose histories are in the corpus. Frozen: a history replays for ever against the code that wrote it.

The seven patterns, then shapes that exercise the rest of the authoring API. To record a new shape, add a workflow and a
recording (record.py); never change one that has histories.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from perdure.core.awaitables import when_all, when_any
from perdure.workflow.app import App
from perdure.workflow.retry import RetryPolicy

__all__ = ["APP"]

APP = App()


@APP.workflow
def order_workflow(ctx, input: dict):
    validated = yield ctx.call_activity("validate_order", input=input)
    reservation = yield ctx.call_activity(
        "reserve_inventory", input={"orderId": validated["id"], "items": validated["items"]}
    )
    payment = yield ctx.call_activity(
        "process_payment",
        input={"orderId": validated["id"], "amount": validated["total"], "reservationId": reservation["id"]},
    )
    return (yield ctx.call_activity("ship_order", input={"orderId": validated["id"], "paymentId": payment["id"]}))


@APP.workflow
def batch_processor_workflow(ctx, items: list):
    tasks = [ctx.call_activity("process_item", input=item) for item in items]
    results = yield when_all(tasks)
    successful = [r for r in results if r["status"] == "ok"]
    failed = [r for r in results if r["status"] == "error"]
    yield ctx.call_activity(
        "send_batch_report", input={"total": len(items), "successful": len(successful), "failed": len(failed)}
    )
    return {"processed": len(successful), "errors": len(failed)}


@APP.workflow
def order_monitor_workflow(ctx, order_id: str):
    status = yield ctx.call_activity("check_order_status", input=order_id)
    if status in ("delivered", "cancelled", "failed"):
        return {"orderId": order_id, "finalStatus": status}
    yield ctx.create_timer(ctx.current_utc_datetime + timedelta(minutes=5))
    ctx.continue_as_new(order_id)


@APP.workflow
def approval_workflow(ctx, request: dict):
    yield ctx.call_activity("send_approval_request", input=request)
    approval_timeout = ctx.current_utc_datetime + timedelta(days=3)
    approval_task = ctx.wait_for_external_event("approval-response")
    timeout_task = ctx.create_timer(approval_timeout)
    winner = yield when_any([approval_task, timeout_task])
    if winner == timeout_task:
        yield ctx.call_activity("notify_timeout", input=request)
        return {"status": "timeout"}
    approval = approval_task.result
    if approval["approved"]:
        yield ctx.call_activity("execute_request", input=request)
        return {"status": "approved"}
    return {"status": "rejected", "reason": approval.get("reason")}


@APP.workflow
def checkout_saga_workflow(ctx, order: dict):
    compensation_stack: list[tuple[str, Any]] = []
    try:
        reservation = yield ctx.call_activity("reserve_inventory", input=order)
        compensation_stack.append(("release_inventory_reservation", {"reservationId": reservation["id"]}))
        payment = yield ctx.call_activity("charge_payment", input={"orderId": order["id"], "amount": order["total"]})
        compensation_stack.append(("refund_payment", {"paymentId": payment["id"], "amount": order["total"]}))
        shipment = yield ctx.call_activity("create_shipment", input={"orderId": order["id"]})
        return {"orderId": order["id"], "status": "success", "shipmentId": shipment["id"]}
    except Exception as error:
        for compensate_activity, compensate_input in reversed(compensation_stack):
            try:
                yield ctx.call_activity(compensate_activity, input=compensate_input)
            except Exception:
                pass
        return {"orderId": order["id"], "status": "failed", "error": str(error)}


@APP.workflow
def master_workflow(ctx, batch: dict):
    child_tasks = [ctx.call_child_workflow(order_fulfillment_workflow, input=order) for order in batch["orders"]]
    results = yield when_all(child_tasks)
    return {"batchId": batch["id"], "results": results}


@APP.workflow
def order_fulfillment_workflow(ctx, order: dict):
    yield ctx.call_activity("validate_order", input=order)
    yield ctx.call_activity("fulfill_order", input=order)
    return {"orderId": order["id"], "status": "fulfilled"}


@APP.workflow
def eternal_aggregator_workflow(ctx, state: dict):
    events = yield ctx.call_activity("fetch_pending_events", input=state)
    processed = yield ctx.call_activity("process_events", input=events)
    new_state = {
        "totalProcessed": state.get("totalProcessed", 0) + processed["count"],
        "lastProcessed": ctx.current_utc_datetime.isoformat(),
    }
    yield ctx.create_timer(ctx.current_utc_datetime + timedelta(minutes=1))
    ctx.continue_as_new(new_state)


# -- further shapes ------------------------------------------------------------------------------------------

RETRY = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3, backoff_coefficient=2.0)


@APP.workflow
async def async_checkout(ctx, order: dict):
    compensations = []
    try:
        reservation = await ctx.call_activity("reserve_inventory", input=order, retry_policy=RETRY)
        compensations.append(("release_inventory_reservation", reservation["id"]))
        await ctx.call_activity("charge_payment", input=order, timeout=timedelta(seconds=30))
        return {"status": "success"}
    except Exception:
        while compensations:
            await ctx.call_activity(compensations[-1][0], input=compensations.pop()[1])
        return {"status": "failed"}


@APP.workflow
def everything(ctx, input: Any):
    ctx.set_custom_status("starting")
    kept = ctx.call_activity("kept", input=ctx.random_int(1, 100))
    try:
        first = yield ctx.wait_for_external_event("first", timeout=timedelta(seconds=5))
    except TimeoutError as error:
        first = str(error)
    ctx.set_custom_status({"first": first, "id": str(ctx.uuid4())})
    try:
        yield when_all([ctx.call_child_workflow("failing_child", instance_id=f"{ctx.instance_id}-kid"), kept])
    except Exception as error:
        ctx.set_custom_status(str(error))
    nested = when_any([when_all([ctx.create_timer(timedelta(seconds=1)), when_all([])]), kept])
    winner = yield nested
    taken = []
    for _ in range(2):
        taken.append((yield ctx.wait_for_external_event("Item")))  # noqa: PERF401 - no yield in a comprehension
    return {"first": first, "kept": (yield kept), "won": winner is kept, "taken": taken, "at": str(ctx.now())}


@APP.workflow
def failing_child(ctx):
    yield ctx.create_timer(timedelta(seconds=1))
    raise KeyError("on purpose")


@APP.workflow
def keeps_events(ctx, seen: list):
    seen = [*seen, (yield ctx.wait_for_external_event("item"))]
    if len(seen) < 3:
        ctx.continue_as_new(seen, save_events=True)
        return None
    return seen


@APP.workflow
def retries_a_child(ctx, input: Any):
    try:
        yield ctx.call_child_workflow("failing_child", instance_id=f"{ctx.instance_id}-kid", retry_policy=RETRY)
    except Exception as error:
        return [str(error), str(ctx.current_utc_datetime)]
