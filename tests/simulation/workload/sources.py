"""Topics of others to which the namespace subscribes, what is in them, and what operators do with dead letters.

A source is {"topic", "partitions", "subscriptions", "messages"}; a message is {"at", "partition", "value" (text)}. Two
subscriptions read the same topic. An errand of an operator is {"at", "operator", "what", "most"}; "what" is replay, drop,
or upgrade.
"""

from __future__ import annotations

import json

from tests.simulation.workload.plans import Planner

TOPIC = "shop.orders"
SUBSCRIPTIONS = {
    "orders": {
        "topic": TOPIC, "workflow": "plan", "instance_id": "value.id", "input": "value.plan",
        "when": "value.kind != 'paid'", "begin": "beginning",
    },
    "payments": {
        "topic": TOPIC, "event": "go", "instance_id": "value.id", "input": "value.data",
        "when": "value.kind == 'paid'", "begin": "beginning",
    },
}  # fmt: skip


def source(random, *, seconds):
    planner, partitions = Planner(random), random.choice((1, 2, 3))
    messages = []
    for number in range(random.choice((6, 15, 30))):
        at = random.uniform(0, seconds) * random.uniform(0.2, 1)
        partition, instance = random.randrange(partitions), f"o-{random.randint(1, number // 2 + 1):04}"
        if random.random() < 0.5:
            value = json.dumps({"kind": "order", "id": f"o-{number:04}", "plan": planner.plan(depth=1)})
        elif random.random() < 0.75:
            value = json.dumps({"kind": "paid", "id": instance, "data": {"of": number}})
        else:
            value = random.choice(
                (f"broken {number}", "", "null", f'{{"kind": "paid", "id": {number}}}', f"[{number}]")
            )
        messages.append({"at": round(at, 3), "partition": partition, "value": value})
    messages.sort(key=lambda message: message["at"])
    return {"topic": TOPIC, "partitions": partitions, "subscriptions": SUBSCRIPTIONS, "messages": messages}


def errands(random, *, seconds):
    """Of one operator or two, often at the same moment."""
    operators, found = random.choice((1, 2, 2)), []
    for _ in range(random.randint(1, 4)):
        at = random.uniform(0.3 * seconds, seconds)
        most, what = random.choice((1, 3, 20)), random.choice(("replay", "replay", "drop"))
        found.append({"at": round(at, 3), "operator": random.randrange(operators), "what": what, "most": most})
        if operators == 2 and random.random() < 0.7:
            soon = at + random.choice((0.0, 0.002, 0.01, 0.3))
            other = 1 - found[-1]["operator"]
            found.append(
                {**found[-1], "at": round(soon, 3), "operator": other, "what": random.choice(("replay", "drop"))}
            )
    return sorted(found, key=lambda errand: errand["at"])
