"""The checkout as `async def`, with typed payloads: awaiting where the generators yield. Otherwise all is the same."""

import asyncio
from dataclasses import dataclass

import perdure as wf
from examples import ledger

app = wf.App()


@dataclass
class Order:
    id: str
    items: list[str]
    total: int
    step_s: float = 0.1


@dataclass
class Reservation:
    id: str


@dataclass
class Payment:
    id: str


@dataclass
class OrderResult:
    status: str


@app.workflow
async def checkout(ctx: wf.WorkflowContext, order: Order) -> OrderResult:
    compensations = []
    try:
        reservation = await ctx.call_activity(reserve_items, input=order)
        compensations.append(lambda: ctx.call_activity(release_items, input=reservation.id))

        payment = await ctx.call_activity(charge_card, input=order)
        compensations.append(lambda: ctx.call_activity(refund_card, input=payment.id))

        await ctx.call_activity(confirm_order, input=order)
        return OrderResult("success")
    except wf.TaskFailedError:
        while compensations:
            await compensations.pop()()
        return OrderResult("failed")


@app.activity
async def reserve_items(ctx: wf.ActivityContext, order: Order) -> Reservation:
    await asyncio.sleep(order.step_s)
    await asyncio.to_thread(ledger.enter, ctx, f"{order.id}: reserved {', '.join(order.items)}")
    return Reservation(f"reservation-{order.id}")


@app.activity
async def release_items(ctx: wf.ActivityContext, reservation_id: str) -> None:
    await asyncio.to_thread(ledger.enter, ctx, f"{reservation_id} released")


@app.activity
def charge_card(ctx: wf.ActivityContext, order: Order) -> Payment:
    ledger.enter(ctx, f"{order.id}: {order.total} € charged to the card", takes_s=order.step_s)
    return Payment(f"payment-{order.id}")


@app.activity
def refund_card(ctx: wf.ActivityContext, payment_id: str) -> None:
    ledger.enter(ctx, f"{payment_id} refunded")


@app.activity
def confirm_order(ctx: wf.ActivityContext, order: Order) -> None:
    if order.total > 1_000:
        raise wf.NonRetryableError(f"{order.id} needs a signature")
    ledger.enter(ctx, f"{order.id}: confirmed", takes_s=order.step_s)


ORDER = Order("o-8", ["pen", "ink"], total=42)
BIG_ORDER = Order("o-9", ["printing press"], total=4_200)


def main() -> None:
    with wf.embedded(app, "checkout_async.db") as client:
        for order in (ORDER, BIG_ORDER):
            instance_id = client.schedule_new_workflow(checkout, input=order)
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
            print(state.runtime_status.name, state.serialized_output)


if __name__ == "__main__":
    main()
