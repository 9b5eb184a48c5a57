from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.commands import InspectInstance, RaiseEvent, StartWorkflow
from perdure.telemetry.propagation import (
    TraceContext,
    adopt,
    attempt_id,
    context_in,
    headers_of,
    own_trace,
    parse,
    run_trace,
    timer_id,
    turn_id,
)

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_a_context_survives_its_text(trace_id, span_id, sampled):
    context = TraceContext(trace_id, span_id, sampled)
    assert parse(context.traceparent) == context
    assert context_in((("other", b"\xff"), *headers_of(context))) == context


@pytest.mark.parametrize(
    "text",
    [
        "", "00", "00-aa", CALLER.upper(), CALLER + "-more", CALLER[:-1], "ff" + CALLER[2:], CALLER.replace("b7ad6b7169203331", "0" * 16),
        CALLER.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), CALLER + "\n",
    ],
)  # fmt: skip
def test_what_w3c_does_not_allow_is_no_context(text):
    assert parse(text) is None


def test_a_later_version_may_say_more():
    assert parse("01" + CALLER[2:] + "-more") == parse(CALLER)


@given(st.text())
def test_a_strangers_text_stops_nothing(text):
    parse(text, text)
    context_in((("traceparent", text.encode("utf-8", "replace")), ("tracestate", b"\xff")))


def test_tracestate_goes_along_and_an_oversized_one_is_dropped_whole():
    assert parse(CALLER, "vendor=1").state == "vendor=1"
    assert dict(headers_of(parse(CALLER, "vendor=1")))["tracestate"] == b"vendor=1"
    assert parse(CALLER, "v" * 513).state == ""
    assert parse(CALLER, "a=1\r\nInjected: 1").state == ""


def test_a_start_takes_the_context_beside_it_unless_it_has_one_of_its_own():
    beside = (("traceparent", CALLER.encode()), ("tracestate", b"vendor=1"))
    bare, own = StartWorkflow("w"), StartWorkflow("w", traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-00")
    before = own.traceparent
    assert adopt(bare, beside) == adopt(own, beside) == parse(CALLER, "vendor=1")
    assert (bare.traceparent, bare.tracestate) == (CALLER, "vendor=1")
    assert own.traceparent == before
    assert adopt(RaiseEvent("go"), beside) is not None
    assert adopt(InspectInstance("1", "0/a"), beside) is None


def test_a_run_without_a_caller_names_its_own_span_and_is_a_root():
    own = own_trace("perdure", 17, "i1", "0.0.5")
    trace = run_trace(own.traceparent, "", "0.0.5", 0)
    assert (trace.own, trace.parent, trace.linked) == (own, None, None)


def test_a_run_with_a_caller_lies_below_it():
    trace = run_trace(CALLER, "", "0.0.5", 0)
    assert trace.parent == parse(CALLER)
    assert trace.own.trace_id == trace.parent.trace_id
    assert trace.own.span_id != trace.parent.span_id


def test_generations_are_a_chain_of_traces():
    chain = [run_trace(CALLER, "", "0.0.5", generation) for generation in range(4)]
    assert [each.linked for each in chain] == [None, chain[0].own, chain[1].own, chain[2].own]
    assert len({each.own.trace_id for each in chain}) == 4


def test_runs_of_the_same_place_in_other_clusters_or_times_have_other_traces():
    places = [
        ("a", 1, "i", "0.0.0"),
        ("b", 1, "i", "0.0.0"),
        ("a", 2, "i", "0.0.0"),
        ("a", 1, "j", "0.0.0"),
        ("a", 1, "i", "0.0.1"),
    ]
    assert len({own_trace(*place).trace_id for place in places}) == len(places)


PLACES = st.tuples(st.sampled_from(["0.0.1", "0.0.11"]), st.integers(0, 3), st.integers(1, 111), st.integers(1, 11))


@given(st.sets(PLACES, min_size=2, max_size=50))
def test_no_two_steps_have_one_id(places):
    trace = parse(CALLER)
    ids = [attempt_id(trace, *place) for place in places]
    ids += [timer_id(trace, *place) for place in {each[:3] for each in places}]
    ids += [turn_id(trace, *place) for place in {each[:3] for each in places}]
    ids += [run_trace(CALLER, "", *place).own.span_id for place in {each[:2] for each in places}]
    assert len(set(ids)) == len(ids)
