"""Pattern 2, fan-out and fan-in: all items at the same time, then one report of them all."""

import perdure as wf
from examples import ledger

app = wf.App()


@app.workflow
def batch_workflow(ctx: wf.WorkflowContext, batch: dict):
    tasks = [
        ctx.call_activity(resize_picture, input={**picture, "step_s": batch["step_s"]}) for picture in batch["pictures"]
    ]
    ctx.set_custom_status(f"{len(tasks)} pictures at work")
    results = yield wf.when_all(tasks)

    resized = [each for each in results if each["status"] == "ok"]
    report = {"resized": len(resized), "failed": len(results) - len(resized)}
    yield ctx.call_activity(send_report, input=report)
    ctx.set_custom_status("reported")
    return report


@app.activity
def resize_picture(ctx: wf.ActivityContext, picture: dict) -> dict:
    if not picture["name"].endswith(".jpg"):
        return {"name": picture["name"], "status": "error"}
    ledger.enter(ctx, f"{picture['name']} resized", takes_s=picture["step_s"] * picture["megapixels"])
    return {"name": picture["name"], "status": "ok"}


@app.activity
def send_report(ctx: wf.ActivityContext, report: dict) -> None:
    ledger.enter(ctx, f"report: {report['resized']} resized, {report['failed']} failed")


PICTURES = [{"name": f"harbour-{number:02}.jpg", "megapixels": number} for number in range(1, 12)]
BATCH = {"pictures": [*PICTURES, {"name": "notes.txt"}], "step_s": 0.02}


def main() -> None:
    with wf.embedded(app, "batch_fanout.db") as client:
        instance_id = client.schedule_new_workflow(batch_workflow, input=BATCH)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        print(state.runtime_status.name, state.serialized_output)


if __name__ == "__main__":
    main()
