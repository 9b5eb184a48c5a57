"""Pattern 4, external events: wait for a person's answer, or for three days, whichever comes first.

While it waits it costs nothing: no thread, no polling, and a restart of everything in between does not matter.
"""

from datetime import timedelta

import perdure as wf
from examples import ledger

app = wf.App()


@app.workflow
def approval_workflow(ctx: wf.WorkflowContext, request: dict):
    yield ctx.call_activity(ask_for_approval, input=request)
    ctx.set_custom_status("waiting for an answer")

    answer = ctx.wait_for_external_event("answer")
    too_late = ctx.create_timer(timedelta(seconds=request["patience_s"]))
    first = yield wf.when_any([answer, too_late])

    if first is too_late:
        ctx.set_custom_status("nobody answered")
        return {"status": "timeout"}
    if not answer.result["approved"]:
        ctx.set_custom_status("rejected")
        return {"status": "rejected", "reason": answer.result.get("reason")}
    yield ctx.call_activity(carry_out, input=request)
    ctx.set_custom_status("carried out")
    return {"status": "approved"}


@app.activity
def ask_for_approval(ctx: wf.ActivityContext, request: dict) -> None:
    ledger.enter(ctx, f"asked the manager: {request['what']}?")


@app.activity
def carry_out(ctx: wf.ActivityContext, request: dict) -> None:
    ledger.enter(ctx, f"carried out: {request['what']}")


REQUEST = {"what": "buy a second coffee machine", "patience_s": timedelta(days=3).total_seconds()}


def main() -> None:
    with wf.embedded(app, "approval.db") as client:
        instance_id = client.schedule_new_workflow(approval_workflow, input=REQUEST)
        client.raise_workflow_event(instance_id, "answer", data={"approved": True})
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        print(state.runtime_status.name, state.serialized_output)


if __name__ == "__main__":
    main()
