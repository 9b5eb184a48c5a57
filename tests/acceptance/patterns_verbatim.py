# ruff: noqa: F841, I001
# fmt: off
"""The Python code of the workflow patterns document, as it stands there: only the import line differs.

Not to be tidied: that it runs as it was written is what `test_patterns_verbatim.py` shows. The names that the document
leaves to its reader (`db`, `timedelta`, `DaprClient`, most activities) come from `patterns_world.py`. Its retry example
is an `order_workflow` too, and replaces the first one in this module: `chain_workflow` keeps that.
"""
from perdure import DaprClient
from tests.acceptance.patterns_world import (
    cancel_shipment, charge_payment, create_shipment, db, execute_request, fetch_pending_events, fulfill_order,
    notify_timeout, process_events, process_item, process_payment, refund_payment, release_inventory_reservation,
    reserve_inventory, send_approval_request, send_batch_report, ship_order, timedelta,
)

# ---- Pattern 1: Task Chaining

# Python SDK
import perdure as wf

def order_workflow(ctx: wf.DaprWorkflowContext, input: dict):
    # Step 1: Validate order
    validated = yield ctx.call_activity(validate_order, input=input)

    # Step 2: Reserve inventory
    reservation = yield ctx.call_activity(reserve_inventory, input={
        "orderId": validated["id"],
        "items": validated["items"]
    })

    # Step 3: Process payment
    payment = yield ctx.call_activity(process_payment, input={
        "orderId": validated["id"],
        "amount": validated["total"],
        "reservationId": reservation["id"]
    })

    # Step 4: Ship order
    result = yield ctx.call_activity(ship_order, input={
        "orderId": validated["id"],
        "paymentId": payment["id"]
    })
    return result


def validate_order(ctx: wf.ActivityContext, data: dict) -> dict:
    """Activity: validate and enrich order."""
    # Safe to do I/O here
    order = db.get_order(data["id"])
    if not order:
        raise ValueError(f"Order {data['id']} not found")
    return {"id": order.id, "items": order.items, "total": order.total}


# ---- Pattern 2: Fan-Out / Fan-In

def batch_processor_workflow(ctx: wf.DaprWorkflowContext, items: list):
    """Process N items in parallel, collect results."""

    # Fan-Out: schedule all activities concurrently
    tasks = [
        ctx.call_activity(process_item, input=item)
        for item in items
    ]

    # Fan-In: wait for ALL to complete
    results = yield wf.when_all(tasks)

    # Aggregate
    successful = [r for r in results if r["status"] == "ok"]
    failed = [r for r in results if r["status"] == "error"]

    yield ctx.call_activity(send_batch_report, input={
        "total": len(items),
        "successful": len(successful),
        "failed": len(failed)
    })
    return {"processed": len(successful), "errors": len(failed)}


# ---- Pattern 3: Monitor (Polling Loop)

def order_monitor_workflow(ctx: wf.DaprWorkflowContext, order_id: str):
    """Poll order status until terminal state or timeout."""

    # Check current status
    status = yield ctx.call_activity(check_order_status, input=order_id)

    if status in ("delivered", "cancelled", "failed"):
        # Terminal state — end workflow
        return {"orderId": order_id, "finalStatus": status}

    # Non-terminal — wait and check again
    deadline = ctx.current_utc_datetime + timedelta(hours=24)
    if ctx.current_utc_datetime >= deadline:
        # Timed out monitoring
        return {"orderId": order_id, "finalStatus": "timeout"}

    # Wait 5 minutes, then restart with continue_as_new
    yield ctx.create_timer(ctx.current_utc_datetime + timedelta(minutes=5))
    ctx.continue_as_new(order_id)   # Clears history, starts fresh


def check_order_status(ctx: wf.ActivityContext, order_id: str) -> str:
    return db.get_order_status(order_id)


# ---- Pattern 4: External Events (Human Approval)

def approval_workflow(ctx: wf.DaprWorkflowContext, request: dict):
    """Pause for human approval before proceeding."""

    # Step 1: Send approval request
    yield ctx.call_activity(send_approval_request, input=request)

    # Step 2: Wait for approval (with timeout)
    approval_timeout = ctx.current_utc_datetime + timedelta(days=3)
    approval_task = ctx.wait_for_external_event("approval-response")
    timeout_task = ctx.create_timer(approval_timeout)

    winner = yield wf.when_any([approval_task, timeout_task])

    if winner == timeout_task:
        yield ctx.call_activity(notify_timeout, input=request)
        return {"status": "timeout"}

    approval = approval_task.result
    if approval["approved"]:
        yield ctx.call_activity(execute_request, input=request)
        return {"status": "approved"}
    else:
        return {"status": "rejected", "reason": approval.get("reason")}


# Raise external event (from another service)
async def approve_request(workflow_id: str, approved: bool):
    with DaprClient() as d:
        d.raise_workflow_event(
            instance_id=workflow_id,
            workflow_component="dapr",
            event_name="approval-response",
            event_data={"approved": approved}
        )


# ---- Pattern 5: Compensation / Saga (Critical for Microservices)

def checkout_saga_workflow(ctx: wf.DaprWorkflowContext, order: dict):
    """Saga pattern: compensate on failure."""

    compensation_stack = []  # Track completed steps for rollback

    try:
        # Step 1: Reserve inventory
        reservation = yield ctx.call_activity(reserve_inventory, input=order)
        compensation_stack.append(
            (release_inventory_reservation, {"reservationId": reservation["id"]})
        )

        # Step 2: Charge payment
        payment = yield ctx.call_activity(charge_payment, input={
            "orderId": order["id"],
            "amount": order["total"],
            "customerId": order["customerId"]
        })
        compensation_stack.append(
            (refund_payment, {"paymentId": payment["id"], "amount": order["total"]})
        )

        # Step 3: Create shipment
        shipment = yield ctx.call_activity(create_shipment, input={
            "orderId": order["id"],
            "address": order["shippingAddress"]
        })
        compensation_stack.append(
            (cancel_shipment, {"shipmentId": shipment["id"]})
        )

        return {"orderId": order["id"], "status": "success",
                "shipmentId": shipment["id"]}

    except Exception as e:
        # Compensate in REVERSE ORDER
        for compensate_activity, compensate_input in reversed(compensation_stack):
            try:
                yield ctx.call_activity(compensate_activity, input=compensate_input)
            except Exception as comp_err:
                # Log but continue compensating remaining steps
                pass  # In production: use structured logging activity

        return {"orderId": order["id"], "status": "failed", "error": str(e)}


# ---- Pattern 6: Child Workflows

def master_workflow(ctx: wf.DaprWorkflowContext, batch: dict):
    """Orchestrate multiple sub-workflows."""

    # Launch child workflows for each order
    child_tasks = [
        ctx.call_child_workflow(order_fulfillment_workflow, input=order)
        for order in batch["orders"]
    ]

    results = yield wf.when_all(child_tasks)
    return {"batchId": batch["id"], "results": results}


def order_fulfillment_workflow(ctx: wf.DaprWorkflowContext, order: dict):
    """Reusable child workflow for single order."""
    yield ctx.call_activity(validate_order, input=order)
    yield ctx.call_activity(fulfill_order, input=order)
    return {"orderId": order["id"], "status": "fulfilled"}


# ---- Pattern 7: Long-Running Eternal Workflow

def eternal_aggregator_workflow(ctx: wf.DaprWorkflowContext, state: dict):
    """Process events indefinitely with fresh history each cycle."""

    # Process current batch of events
    events = yield ctx.call_activity(fetch_pending_events, input=state)
    processed = yield ctx.call_activity(process_events, input=events)

    # Update running state
    new_state = {
        "totalProcessed": state.get("totalProcessed", 0) + processed["count"],
        "lastProcessed": ctx.current_utc_datetime.isoformat()
    }

    # Wait 1 minute before next cycle
    yield ctx.create_timer(ctx.current_utc_datetime + timedelta(minutes=1))

    # Restart with fresh history (NEVER use while True!)
    ctx.continue_as_new(new_state)


chain_workflow = order_workflow


# ---- Activity Retry Configuration

def order_workflow(ctx: wf.DaprWorkflowContext, input: dict):
    # With retry policy on activity
    result = yield ctx.call_activity(
        process_payment,
        input=input,
        retry_policy=wf.RetryPolicy(
            max_number_of_attempts=3,
            initial_retry_interval=timedelta(seconds=1),
            backoff_coefficient=2.0,
            max_retry_interval=timedelta(seconds=30)
        )
    )
