"""A scenario by hand, small, in which everything happens that a law speaks of; sound, until somebody doctors it."""

from __future__ import annotations

import json
from functools import cache

from tests.simulation.run import play
from tests.simulation.workload.sources import SUBSCRIPTIONS, TOPIC


def work(value, *, seconds=0.2, failures=0, retry=None, timeout_s=0):
    return {
        "do": "activity", "name": "work", "value": value, "seconds": seconds, "failures": failures, "fatal": False,
        "retry": retry, "timeout_s": timeout_s,
    }  # fmt: skip


TWICE = {"attempts": 3, "first_s": 0.5, "backoff": 2.0}
MOVES = [{"account": "a1", "amount": 30}, {"account": "a2", "amount": -30}]


def plan(label, *steps):
    return {"label": label, "steps": list(steps)}


def wait(name, timeout_s=None):
    return {"do": "event", "name": name, "timeout_s": timeout_s}


def child(given, **more):
    return {"do": "child", "workflow": "plan_b", "plan": given, "id": None, "retry": None, **more}


NEXT = plan("second", wait("news"), wait("go"), work(9))
FIRST = plan(
    "first",
    work(1, failures=1, retry=TWICE, timeout_s=20.0),
    {"do": "status", "value": "moving"},
    {"do": "saga", "moves": MOVES, "fail_at": None},
    {"do": "saga", "moves": MOVES, "fail_at": 1},
    {"do": "fan", "branches": [work(2), {"do": "timer", "seconds": 0.3}, child(plan("third", work(3)))]},
    {"do": "race", "branches": [wait("only-1"), {"do": "timer", "seconds": 0.4}, work(4, seconds=2)]},
    wait("Go", 50.0),
    {"do": "again", "save_events": True, "plan": NEXT},
)
FAMILY = plan("parent", child(plan("infant", wait("never"))))
SHORT = plan("short", work(5))

OPS = [
    (0.1, "start", "s-0001", "k-01", {"workflow": "plan", "input": FIRST, "delay_s": 1.0}),
    (0.2, "start", "s-0001", "k-02", {"workflow": "plan", "input": SHORT, "delay_s": 0}),  # refused
    (0.3, "start", "s-0002", "k-03", {"workflow": "plan", "input": FAMILY, "delay_s": 0}),
    (0.4, "start", "s-0003", "k-04", {"workflow": "plan", "input": SHORT, "delay_s": 0}),
    (0.5, "start", "", "k-05", {"workflow": "plan", "input": SHORT, "delay_s": 0}),
    (0.6, "start", "", "", {"workflow": "plan_b", "input": SHORT, "delay_s": 0}),
    (2.0, "raise", "s-0001", "k-06", {"event": "GO", "data": 1}),
    (2.1, "raise", "s-0001", "k-07", {"event": "go", "data": [2]}),
    (2.2, "raise", "s-0001", "k-08", {"event": "news", "data": None}),
    (2.3, "raise", "s-0001", "k-06", {"event": "GO", "data": 1}),  # a repeat
    (2.4, "pause", "s-0001", "k-09", {}),
    (3.4, "resume", "s-0001", "k-10", {}),
    (3.5, "state", "s-0001", "", {}),
    (3.6, "wait", "s-0001", "", {"until": "completed", "timeout_s": 100}),
    (3.7, "state", "s-9999", "", {}),
    (4.0, "terminate", "s-0002", "k-11", {"recursive": True, "output": "stopped"}),
    (5.0, "purge", "s-0002", "k-12", {"recursive": True}),
    (5.5, "purge", "s-0003", "k-13", {"recursive": False}),
    (6.0, "start", "s-0003", "k-14", {"workflow": "plan", "input": SHORT, "delay_s": 0}),
    (6.5, "rerun", "s-0003", "k-15", {"new_instance": "s-0004"}),
    (9.0, "wait", "s-0003", "", {"until": "started", "timeout_s": 5}),
]


@cache
def ordinary():
    ops = [
        {"at": at, "client": place % 2, "verb": verb, "instance": instance, "command_id": command_id, **more}
        for place, (at, verb, instance, command_id, more) in enumerate(OPS)
    ]
    outcome = play(
        {
            "seed": 1, "seconds": 12.0, "partitions": 3, "clients": 2, "ops": ops,
            "counts": {"orchestrator": 1, "activity-worker": 1, "timer": 1},
            "bounds": {"orchestrator": {"cache_instances_max": 6, "cache_ended_max": 2}, "activity-worker": {}, "timer": {}},
            "faults": [
                {"at": 1.9, "kind": "poison", "partition": 1, "what": "garbage", "number": 1},
                {"at": 7.0, "kind": "crash", "role": "orchestrator", "number": 0, "after": 1, "down_s": 0.5},
            ],
        }
    )  # fmt: skip
    assert outcome.sound, outcome.complaints
    return outcome.evidence


def published(at, framing, command, instance, fields, **more):
    return {"at": at, "framing": framing, "command": command, "instance": instance, "fields": fields, **more}


BUSY = {
    "seed": 2, "seconds": 14.0, "partitions": 3, "clients": 1,
    "ops": [{"at": 9.0, "client": 0, "verb": "state", "instance": "p-0001", "command_id": ""}],
    "counts": {"orchestrator": 1, "activity-worker": 1, "timer": 1, "subscriber": 1},
    "bounds": {"orchestrator": {}, "activity-worker": {}, "timer": {}},
    "faults": [{"at": 3.0, "kind": "registry", "what": "forgets", "seconds": 2.0}],
    "published": [
        published(0.1, "json", "StartWorkflow", "p-0001", {"name": "plan", "input": plan("p", wait("go"))}, header_id="x-1"),
        published(0.2, "avro", "StartWorkflow", "p-0002", {"name": "plan", "input": SHORT, "command_id": "x-2"}, astray=1),
        published(0.3, "json", "RaiseEvent", "p-0003", {"name": "go", "data": None}),
        published(0.4, "json", "RaiseEvent", "p-0001", {"name": "go", "data": None, "command_id": "x-4"}, garbage="no number"),
        published(3.5, "confluent", "RaiseEvent", "p-0001", {"name": "go", "data": 1}, header_id="x-5"),
    ],
    "source": {
        "topic": TOPIC, "partitions": 1, "subscriptions": SUBSCRIPTIONS,
        "messages": [
            {"at": 1.0, "partition": 0, "value": json.dumps({"kind": "order", "id": "o-0001", "plan": SHORT})},
            {"at": 1.1, "partition": 0, "value": "broken"},
            {"at": 1.2, "partition": 0, "value": json.dumps({"kind": "paid", "id": "o-0001", "data": 3})},
        ],
    },
    "errands": [
        {"at": 6.0, "operator": 0, "what": "drop", "most": 1},
        {"at": 7.0, "operator": 0, "what": "replay", "most": 20},
        {"at": 11.0, "operator": 1, "what": "upgrade", "most": 0},
    ],
    "writes": {"behind_until": 12.0},
}  # fmt: skip
"""With all that comes from outside."""


@cache
def busy():
    outcome = play(BUSY)
    assert outcome.sound, outcome.complaints
    return outcome.evidence
