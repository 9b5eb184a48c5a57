"""Who plays: one instance of each pattern, slowed down so that a person can watch, and how each must end."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from examples import (
    approval,
    batch_fanout,
    checkout_async,
    checkout_saga,
    eternal_aggregator,
    master_children,
    order_chain,
    order_monitor,
)

__all__ = ["APPROVAL", "ETERNAL", "FAN_OUT", "PARTS", "SAGA", "Part"]


@dataclass(frozen=True)
class Part:
    """One instance. `output` is what it must return; `status` how it must end."""

    pattern: str
    id: str
    workflow: Callable[..., Any]
    input: Any
    output: Any
    status: str = "COMPLETED"


CHAIN = Part(
    "1 task chaining", "chain", order_chain.order_workflow, {**order_chain.ORDER, "step_s": 1.2},
    output={"order": "o-1", "parcel": "parcel-o-1"},
)  # fmt: skip
FAN_OUT = Part(
    "2 fan-out, fan-in", "fan-out", batch_fanout.batch_workflow, {**batch_fanout.BATCH, "step_s": 0.4},
    output={"resized": 11, "failed": 1},
)  # fmt: skip
MONITOR = Part(
    "3 monitor", "monitor", order_monitor.order_monitor, replace(order_monitor.WATCH, every=timedelta(seconds=1.2)),
    output={"order": "o-3", "status": "delivered"},
)  # fmt: skip
APPROVAL = Part(
    "4 external event", "approval", approval.approval_workflow, approval.REQUEST, output={"status": "approved"}
)
SAGA = Part(
    "5 saga", "saga", checkout_saga.checkout_saga, {**checkout_saga.ORDER, "step_s": 1.0},
    output={"status": "failed", "error": "no carrier goes to the moon"},
)  # fmt: skip
CHILDREN = Part(
    "6 child workflows", "master", master_children.master_workflow, {**master_children.BATCH, "step_s": 1.5},
    output={"batch": "b-6", "results": [{"order": f"o-6{n}", "status": "fulfilled"} for n in (1, 2, 3)]},
)  # fmt: skip
ETERNAL = Part(
    "7 eternal", "eternal", eternal_aggregator.eternal_aggregator, {**eternal_aggregator.STATE, "every_s": 1.5},
    output="three generations were enough", status="TERMINATED",
)  # fmt: skip
ASYNC = Part(
    "async def", "async", checkout_async.checkout, replace(checkout_async.ORDER, step_s=1.2),
    output={"status": "success"},
)  # fmt: skip

PARTS = (CHAIN, FAN_OUT, MONITOR, APPROVAL, SAGA, CHILDREN, ETERNAL, ASYNC)
