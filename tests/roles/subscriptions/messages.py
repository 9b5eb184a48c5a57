"""Subscriptions and messages of tests."""

import json

from perdure.ports.log import Record
from perdure.roles.subscriptions import subscription_of

ORDERS = {"topic": "shop.orders", "workflow": "order", "instance_id": "join('-', ['order', value.id])"}
APPROVALS = {"topic": "shop.approvals", "event": "approved", "instance_id": "key", "input": "value.by"}


def subscribed(name="orders", **fields):
    return subscription_of(name, {**ORDERS, **fields})


def message(value, *, key=b"k", headers=(), topic="shop.orders", partition=0, offset=0, timestamp_ms=1_769_860_800_000):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Record(topic, partition, offset, key, raw, tuple(headers), timestamp_ms)
