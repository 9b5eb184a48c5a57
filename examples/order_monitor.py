"""Pattern 3, monitor: look, sleep, begin anew. Each look is a generation with a short history of its own.

The deadline is set once, by the first generation, and carried on in the input.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import perdure as wf
from examples import ledger

app = wf.App()

JOURNEY = ("placed", "packed", "on its way", "delivered")


@dataclass(frozen=True)
class Watch:
    order_id: str
    every: timedelta
    patience: timedelta
    deadline: datetime | None = None


@app.workflow
def order_monitor(ctx: wf.WorkflowContext, watch: Watch):
    if watch.deadline is None:
        watch = replace(watch, deadline=ctx.current_utc_datetime + watch.patience)

    status = yield ctx.call_activity(check_order_status, input=watch.order_id)
    ctx.set_custom_status(status)
    if status == "delivered":
        return {"order": watch.order_id, "status": status}
    if ctx.current_utc_datetime >= watch.deadline:
        return {"order": watch.order_id, "status": "timeout"}

    yield ctx.create_timer(min(ctx.current_utc_datetime + watch.every, watch.deadline))
    ctx.continue_as_new(watch)


@app.activity
def check_order_status(ctx: wf.ActivityContext, order_id: str) -> str:
    """The order travels one station further between two looks."""
    status = JOURNEY[min(ctx.generation, len(JOURNEY) - 1)]
    ledger.enter(ctx, f"{order_id} is {status}")
    return status


WATCH = Watch("o-3", every=timedelta(seconds=0.2), patience=timedelta(hours=24))


def main() -> None:
    with wf.embedded(app, "order_monitor.db") as client:
        instance_id = client.schedule_new_workflow(order_monitor, input=WATCH)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        print(state.runtime_status.name, state.serialized_output)


if __name__ == "__main__":
    main()
