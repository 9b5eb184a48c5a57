"""Pattern 7, an eternal workflow: every cycle is a generation with a fresh history; the sum goes along in the input."""

import time
from datetime import timedelta

import perdure as wf
from examples import ledger

app = wf.App()


@app.workflow
def eternal_aggregator(ctx: wf.WorkflowContext, state: dict):
    readings = yield ctx.call_activity(fetch_readings, input=state["cycle"])
    total = yield ctx.call_activity(add_up, input={"total": state["total"], "readings": readings})
    ctx.set_custom_status(f"cycle {state['cycle']}, total {total}")

    yield ctx.create_timer(timedelta(seconds=state["every_s"]))
    ctx.continue_as_new({**state, "cycle": state["cycle"] + 1, "total": total})


@app.activity
def fetch_readings(ctx: wf.ActivityContext, cycle: int) -> list[int]:
    return [cycle, cycle + 1, cycle + 2]


@app.activity
def add_up(ctx: wf.ActivityContext, work: dict) -> int:
    total = work["total"] + sum(work["readings"])
    ledger.enter(ctx, f"{work['total']} + {work['readings']} = {total}")
    return total


STATE = {"cycle": 1, "total": 0, "every_s": 0.2}


def main() -> None:
    with wf.embedded(app, "eternal_aggregator.db") as client:
        instance_id = client.schedule_new_workflow(eternal_aggregator, input=STATE)
        while client.describe_workflow(instance_id).generation < 3:
            time.sleep(0.05)
        client.terminate_workflow(instance_id)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        print(state.runtime_status.name, state.serialized_input)  # of the last generation: where it would go on


if __name__ == "__main__":
    main()
