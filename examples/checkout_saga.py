"""Pattern 5, saga: when a step fails, what was done before it is undone, the last first.

The undoing is durable too: killed in the middle of it, the workflow goes on undoing where it was.
"""

import perdure as wf
from examples import ledger

app = wf.App()


@app.workflow
def checkout_saga(ctx: wf.WorkflowContext, order: dict):
    undo = []  # (activity, input) of each step that is done
    try:
        yield ctx.call_activity(reserve_inventory, input=order)
        undo.append((release_inventory, order))
        payment = yield ctx.call_activity(charge_payment, input=order)
        undo.append((refund_payment, {**order, "payment": payment}))
        ctx.set_custom_status("paid")
        shipment = yield ctx.call_activity(create_shipment, input=order)
        return {"status": "success", "shipment": shipment}

    except wf.TaskFailedError as error:
        ctx.set_custom_status("undoing")
        for activity, data in reversed(undo):
            try:
                yield ctx.call_activity(activity, input=data)
            except wf.TaskFailedError as another:  # the others must be undone all the same
                ctx.logger.error("could not be undone", step=activity.__name__, error=str(another))
        ctx.set_custom_status("undone")
        return {"status": "failed", "error": error.details.message}


@app.activity
def reserve_inventory(ctx: wf.ActivityContext, order: dict) -> None:
    ledger.enter(ctx, f"{order['id']}: stock reserved", takes_s=order["step_s"])


@app.activity
def release_inventory(ctx: wf.ActivityContext, order: dict) -> None:
    ledger.enter(ctx, f"{order['id']}: stock released", takes_s=order["step_s"])


@app.activity
def charge_payment(ctx: wf.ActivityContext, order: dict) -> str:
    ledger.enter(ctx, f"{order['id']}: {order['total']} € charged", takes_s=order["step_s"])
    return f"payment-{order['id']}"


@app.activity
def refund_payment(ctx: wf.ActivityContext, order: dict) -> None:
    ledger.enter(ctx, f"{order['id']}: {order['total']} € of {order['payment']} refunded", takes_s=order["step_s"])


@app.activity
def create_shipment(ctx: wf.ActivityContext, order: dict) -> str:
    if order["address"] == "the moon":
        raise wf.NonRetryableError("no carrier goes to the moon")
    ledger.enter(ctx, f"{order['id']}: on its way to {order['address']}", takes_s=order["step_s"])
    return f"shipment-{order['id']}"


ORDER = {"id": "o-5", "total": 42, "address": "the moon", "step_s": 0.1}


def main() -> None:
    with wf.embedded(app, "checkout_saga.db") as client:
        for order in ({**ORDER, "address": "the harbour"}, ORDER):
            instance_id = client.schedule_new_workflow(checkout_saga, input=order)
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
            print(state.runtime_status.name, state.serialized_output)


if __name__ == "__main__":
    main()
