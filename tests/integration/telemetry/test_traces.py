"""Traces of the four services, as a collector receives them, across a kill of the orchestrator."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.integration.services.processes import ROOT
from tests.integration.services.test_separate_processes import completed
from tests.telemetry.collected import once, steps, tree

pytestmark = [pytest.mark.slow, pytest.mark.brokers]

HERE = Path(__file__).parent
SECONDS = 120.0
ORDERS = 12
ROLES = ("orchestrator", "activity-worker", "timer", "gateway")
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def wait_until(fact, what):
    end = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


def run(cluster, role, receiver):
    app = () if role in ("timer", "gateway") else ("--app", "traced:app")
    return cluster.start(
        "-m", "perdure", "run", role, *app, "--json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint,
        PYTHONPATH=os.pathsep.join((str(ROOT / "src"), str(HERE))),
    )  # fmt: skip


def start(http, instance_id, headers=(), workflow="order", given=None):
    parameters = {"instance_id": instance_id}
    body = instance_id if given is None else given
    answer = http.post(f"/v1/workflows/{workflow}/start", params=parameters, json=body, headers=dict(headers))
    assert answer.status_code == 202, answer.text


def label(span):
    attempt = span.attributes.get("perdure.attempt")
    return f"{span.name} {attempt}" if span.name.startswith("activity") else span.name


def expected():
    return [
        "create_orchestration||order",
        [
            [
                "orchestration||order",
                [
                    ["activity||charge 1", [["card"]]],
                    ["activity||charge 2", [["card"]]],
                    ["timer"],
                    ["orchestration||packing", [["activity||note 1"]]],
                ],
            ]
        ],
    ]


def test_one_workflow_is_one_trace_although_its_orchestrator_is_killed_in_the_middle(cluster, receiver):
    services = {role: run(cluster, role, receiver) for role in ROLES}
    told = {role: service.ready() for role, service in services.items()}
    ids = [f"order-{number}" for number in range(ORDERS)]
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        for each in ids[:-1]:
            start(http, each, {"traceparent": CALLER} if each == ids[0] else {})
        wait_until(lambda: any(line.endswith(" 2") for line in cluster.written()), "a second attempt was made")
        start(http, ids[-1])
        assert services["orchestrator"].end(signal.SIGKILL) == -signal.SIGKILL  # the last one has a timer before it
        services["orchestrator"] = run(cluster, "orchestrator", receiver)
        services["orchestrator"].ready()
        for each in ids:
            assert completed(http, each)["serializedOutput"] == '"done"'
    for service in services.values():
        assert service.end() == 0, service.said

    found = steps(once(receiver.spans))
    by_trace = {}
    for span in found:
        by_trace.setdefault(span.trace_id, []).append(span)
    assert len(by_trace) == ORDERS
    for spans in by_trace.values():
        assert tree(spans, label) == [expected()]
    of_instance = {
        span.attributes["perdure.instance_id"]: span for span in found if span.name == "orchestration||order"
    }
    assert sorted(of_instance) == sorted(ids)
    caller_trace, caller_span = CALLER.split("-")[1:3]
    first = next(span for span in by_trace[int(caller_trace, 16)] if span.name.startswith("create"))
    assert first.parent_id == int(caller_span, 16)
    assert {span.attributes["service"] for span in found} == {
        "perdure-gateway", "perdure-orchestrator", "perdure-activity-worker",
    }  # fmt: skip
    turns = [span for span in once(receiver.spans) if span.name == "turn||order"]
    assert {span.parent_id for span in turns} <= {span.span_id for span in of_instance.values()}
    batches = [span for span in receiver.spans if span.name == "process"]
    assert any(span.links for span in batches)


def test_each_generation_is_a_trace_linked_to_the_one_before_although_its_orchestrator_is_killed(cluster, receiver):
    services = {role: run(cluster, role, receiver) for role in ROLES}
    told = {role: service.ready() for role, service in services.items()}
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        start(http, "r1", {"traceparent": CALLER}, "rounds", 0)
        wait_until(lambda: any(span.name == "activity||note" for span in receiver.spans), "the first one is under way")
        assert services["orchestrator"].end(signal.SIGKILL) == -signal.SIGKILL
        services["orchestrator"] = run(cluster, "orchestrator", receiver)
        services["orchestrator"].ready()
        assert completed(http, "r1")["serializedOutput"] == "2"
    for service in services.values():
        assert service.end() == 0, service.said
    found = once(receiver.spans)
    wholes = [span for span in found if span.name == "orchestration||rounds"]
    first, second, third = sorted(wholes, key=lambda span: span.attributes["perdure.generation"])
    assert len({first.trace_id, second.trace_id, third.trace_id}) == 3
    assert first.trace_id == int(CALLER.split("-")[1], 16)
    assert (first.links, second.links, third.links) == ([], [first.key], [second.key])
    assert (second.parent_id, third.parent_id) == (0, 0)
    for each in (first, second, third):
        (note,) = [span for span in found if span.name == "activity||note" and span.parent_id == each.span_id]
        assert note.trace_id == each.trace_id


def test_a_collector_that_is_away_disturbs_nobody(cluster, receiver):
    nowhere = type(receiver)()  # takes a port and never answers
    try:
        services = {role: run(cluster, role, nowhere) for role in ROLES}
        told = {role: service.ready() for role, service in services.items()}
        with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
            start(http, "o1")
            assert completed(http, "o1")["serializedOutput"] == '"done"'
        for service in services.values():
            assert service.end() == 0, service.said
            assert "Traceback" not in service.said
    finally:
        nowhere._server.server_close()
