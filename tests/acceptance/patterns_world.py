"""What the patterns document leaves to its reader: `db`, `timedelta` and the activities that it only calls.

`World` is the scene of one test: what there is to find, what fails, and the calls that were made, in their order. Activities
may run in another process, forked when the engine starts: what a test sets is set before that, what they tell goes into
a ledger.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from tests.acceptance.ledger import Ledger

SCALE = 36_000  # three days pass in 7.2 s, five minutes in 8 ms


def timedelta(**units: float) -> dt.timedelta:
    """`datetime.timedelta`, `world.scale` times as short."""
    return dt.timedelta(**units) / world.scale


@dataclass
class World:
    calls: Ledger
    reports: Ledger
    scale: int = SCALE
    statuses: list[str] = field(default_factory=list)  # of the monitored order, one for each look at it
    failures: Counter = field(default_factory=Counter)  # activity name -> how often it fails before it succeeds

    def visit(self, activity: str) -> None:
        self.calls.append(activity)
        if self.calls.count(activity) <= self.failures[activity]:
            raise RuntimeError(f"{activity} is out of order")


world: World


def reset(folder: Path) -> World:
    """A fresh scene, whose ledgers lie in the folder."""
    global world  # noqa: PLW0603 - the document's code knows no other way to its surroundings
    world = World(Ledger(folder / "calls"), Ledger(folder / "reports"))
    return world


class _Db:
    def get_order(self, order_id: str) -> SimpleNamespace | None:
        world.visit("validate_order")
        if not order_id.startswith("o"):
            return None
        return SimpleNamespace(id=order_id, items=["pen", "ink"], total=42)

    def get_order_status(self, order_id: str) -> str:
        world.visit("check_order_status")
        return world.statuses[world.calls.count("check_order_status") - 1]


db = _Db()


def reserve_inventory(ctx, order):
    world.visit("reserve_inventory")
    return {"id": f"reservation of {order.get('orderId') or order['id']}"}


def release_inventory_reservation(ctx, data):
    world.visit(f"release {data['reservationId']}")


def process_payment(ctx, data):
    world.visit("process_payment")
    return {"id": f"payment of {data['amount']}"}


def ship_order(ctx, data):
    world.visit("ship_order")
    return f"{data['orderId']} shipped for {data['paymentId']}"


def process_item(ctx, item):
    world.visit("process_item")
    return {"item": item, "status": "error" if item % 5 == 0 else "ok"}


def send_batch_report(ctx, report):
    world.visit("send_batch_report")
    world.reports.append(report)


def send_approval_request(ctx, request):
    world.visit("send_approval_request")


def notify_timeout(ctx, request):
    world.visit("notify_timeout")


def execute_request(ctx, request):
    world.visit("execute_request")


def charge_payment(ctx, data):
    world.visit("charge_payment")
    return {"id": f"payment by {data['customerId']}"}


def refund_payment(ctx, data):
    world.visit(f"refund {data['amount']} of {data['paymentId']}")


def create_shipment(ctx, data):
    world.visit("create_shipment")
    return {"id": f"shipment to {data['address']}"}


def cancel_shipment(ctx, data):
    world.visit(f"cancel {data['shipmentId']}")


def fulfill_order(ctx, order):
    world.visit("fulfill_order")


def fetch_pending_events(ctx, state):
    world.visit("fetch_pending_events")
    return [state.get("totalProcessed", 0) + 1] * 3


def process_events(ctx, events):
    world.visit("process_events")
    return {"count": len(events)}
