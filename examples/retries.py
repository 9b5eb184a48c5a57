"""Retries, a time-out and an idempotency key: a bank that hangs, then is down, and charges once all the same."""

import asyncio
from datetime import timedelta

import perdure as wf
from examples import ledger

app = wf.App()

PATIENTLY = wf.RetryPolicy(
    first_retry_interval=timedelta(seconds=0.1),
    backoff_coefficient=2.0,
    max_retry_interval=timedelta(seconds=30),
    max_number_of_attempts=5,
    non_retryable_error_types=["CardStolen"],
)


class CardStolen(Exception):
    """Trying again would not help."""


@app.workflow
def payment_workflow(ctx: wf.WorkflowContext, payment: dict):
    try:
        receipt = yield ctx.call_activity(
            charge_card, input=payment, retry_policy=PATIENTLY, timeout=timedelta(seconds=payment["timeout_s"])
        )
    except wf.TaskFailedError as error:
        return {"status": "refused", "because": error.details.message}
    return {"status": "paid", **receipt}


@app.activity
async def charge_card(ctx: wf.ActivityContext, payment: dict) -> dict:
    if payment["card"] == "stolen":
        raise CardStolen("the card is reported stolen")

    # The bank charges at the first attempt, but its answer does not arrive: this attempt is timed out.
    is_new = await asyncio.to_thread(ledger.enter, ctx, f"charged {payment['amount']} € to the {payment['card']} card")
    if ctx.attempt == 1:
        await asyncio.sleep(payment["timeout_s"] * 10)
    if ctx.attempt == 2:
        raise ConnectionError("the bank is down")
    return {"attempts": ctx.attempt, "charged_now": is_new}


PAYMENT = {"amount": 42, "card": "blue", "timeout_s": 0.3}


def main() -> None:
    with wf.embedded(app, "retries.db") as client:
        for payment in (PAYMENT, {**PAYMENT, "card": "stolen"}):
            instance_id = client.schedule_new_workflow(payment_workflow, input=payment)
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
            print(state.runtime_status.name, state.serialized_output)


if __name__ == "__main__":
    main()
