"""An App to deploy: what orchestrators and activity workers import as `orders:app`."""

from __future__ import annotations

import os
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import perdure as wf

app = wf.App()

Order = dict[str, Any]


@app.activity
def reserve(ctx: wf.WorkflowActivityContext, order: Order) -> Order:
    return {"reservation": f"{os.environ.get('WAREHOUSE', 'main')}-{order['id']}", "key": ctx.idempotency_key}


@app.activity
async def charge(ctx: wf.WorkflowActivityContext, order: Order) -> Order:
    # PAYMENTS_TOKEN comes from a Secret: `secretEnv` in values.yaml.
    return {"payment": f"p-{order['id']}", "key": ctx.idempotency_key}


@app.workflow
def order_workflow(ctx: wf.DaprWorkflowContext, order: Order) -> Generator[Any, Any, Order]:
    reservation = yield ctx.call_activity(reserve, input=order)
    retry = wf.RetryPolicy(max_number_of_attempts=3, first_retry_interval=timedelta(seconds=1))
    payment = yield ctx.call_activity(charge, input=order, retry_policy=retry)
    return {**reservation, "payment": payment["payment"]}
