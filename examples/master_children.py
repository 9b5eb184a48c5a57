"""Pattern 6, child workflows: each order of the batch is a workflow of its own, with its own id, history and status."""

import perdure as wf
from examples import ledger

app = wf.App()


@app.workflow
def master_workflow(ctx: wf.WorkflowContext, batch: dict):
    children = [
        ctx.call_child_workflow(order_fulfillment, input={"id": order, "step_s": batch["step_s"]})
        for order in batch["orders"]
    ]
    ctx.set_custom_status(f"{len(children)} orders at work")
    results = yield wf.when_all(children)
    ctx.set_custom_status("all fulfilled")
    return {"batch": batch["id"], "results": results}


@app.workflow
def order_fulfillment(ctx: wf.WorkflowContext, order: dict):
    shelf = yield ctx.call_activity(pick_order, input=order)
    yield ctx.call_activity(pack_order, input={**order, "shelf": shelf})
    return {"order": order["id"], "status": "fulfilled"}


@app.activity
def pick_order(ctx: wf.ActivityContext, order: dict) -> int:
    shelf = len(order["id"])
    ledger.enter(ctx, f"{order['id']} picked from shelf {shelf}", takes_s=order["step_s"])
    return shelf


@app.activity
def pack_order(ctx: wf.ActivityContext, order: dict) -> None:
    ledger.enter(ctx, f"{order['id']} packed", takes_s=order["step_s"])


BATCH = {"id": "b-6", "orders": ["o-61", "o-62", "o-63"], "step_s": 0.1}


def main() -> None:
    with wf.embedded(app, "master_children.db") as client:
        instance_id = client.schedule_new_workflow(master_workflow, input=BATCH)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        print(state.runtime_status.name, state.serialized_output)


if __name__ == "__main__":
    main()
