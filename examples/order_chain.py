"""Pattern 1, task chaining: each step works with what the step before it gave."""

import perdure as wf
from examples import ledger

app = wf.App()


@app.workflow
def order_workflow(ctx: wf.WorkflowContext, order: dict):
    order = yield ctx.call_activity(validate_order, input=order)
    reservation = yield ctx.call_activity(reserve_stock, input=order)
    ctx.set_custom_status("reserved")
    payment = yield ctx.call_activity(take_payment, input={**order, "reservation": reservation})
    ctx.set_custom_status("paid")
    parcel = yield ctx.call_activity(send_parcel, input={**order, "payment": payment})
    ctx.set_custom_status("sent")
    return {"order": order["id"], "parcel": parcel}


@app.activity
def validate_order(ctx: wf.ActivityContext, order: dict) -> dict:
    if not order["items"]:
        raise ValueError(f"order {order['id']} is empty")
    return {**order, "total": sum(item["price"] for item in order["items"])}


@app.activity
def reserve_stock(ctx: wf.ActivityContext, order: dict) -> str:
    ledger.enter(ctx, f"{len(order['items'])} items reserved for {order['id']}", takes_s=order["step_s"])
    return f"reservation-{order['id']}"


@app.activity
def take_payment(ctx: wf.ActivityContext, order: dict) -> str:
    ledger.enter(ctx, f"{order['total']} € taken for {order['reservation']}", takes_s=order["step_s"])
    return f"payment-{order['id']}"


@app.activity
def send_parcel(ctx: wf.ActivityContext, order: dict) -> str:
    ledger.enter(ctx, f"parcel sent for {order['payment']}", takes_s=order["step_s"])
    return f"parcel-{order['id']}"


ORDER = {"id": "o-1", "items": [{"name": "pen", "price": 12}, {"name": "ink", "price": 30}], "step_s": 0.1}


def main() -> None:
    with wf.embedded(app, "order_chain.db") as client:
        instance_id = client.schedule_new_workflow(order_workflow, input=ORDER)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        print(state.runtime_status.name, state.serialized_output)


if __name__ == "__main__":
    main()
