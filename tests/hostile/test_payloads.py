"""JSON of strangers: a value or PayloadError, nothing else, within bounded time and memory."""

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import PayloadError
from perdure.core.limits import PAYLOAD_DEPTH_MAX
from perdure.gateway.payload import payload_in
from perdure.gateway.problems import Problem
from perdure.workflow.payloads import dumps, loads, parsed
from tests.hostile.strangers import NASTY_JSON, any_json, any_payload, many

ANNOTATIONS = (None, int, str, dict[str, int], list[float], tuple[int, ...])


def survives(text):
    try:
        value = parsed(text)
    except PayloadError as error:
        assert str(error)
        return
    try:
        assert parsed(dumps(value) or "null") == value
    except PayloadError as error:  # what came as an escape cannot leave as UTF-8, and an overflowing number was none
        assert "surrogate" in str(error) or "JSON" in str(error)


@many
@given(any_payload(), st.sampled_from(ANNOTATIONS))
def test_any_text_is_a_payload_or_refused_by_name(body, annotation):
    text = body.decode("utf-8", "surrogateescape")
    survives(text)
    try:
        loads(text, annotation)
    except PayloadError as error:
        assert str(error)


@many
@given(any_payload(), st.booleans())
def test_any_body_is_a_payload_or_a_problem_of_the_asker(body, unwrap):
    try:
        found = payload_in(body, unwrap=unwrap)
    except Problem as problem:
        assert (problem.status_code, problem.code) == (400, "ERR_MALFORMED_REQUEST")
    else:
        assert found is None or parsed(found) is not None or found.strip() == "null"


@many
@given(
    any_json() | st.recursive(st.binary() | st.sets(st.integers()), lambda inner: st.lists(inner) | st.tuples(inner))
)
def test_any_value_is_encoded_or_refused_by_name(value):
    try:
        text = dumps(value)
    except PayloadError as error:
        assert str(error)
    else:
        json.loads(text.encode() or b"null")


@pytest.mark.parametrize("body", NASTY_JSON, ids=lambda body: body[:16].decode("latin-1"))
def test_what_has_broken_parsers_takes_neither_time_nor_memory(body):
    tracemalloc.start()
    began = time.process_time()
    try:
        survives(body.decode("utf-8", "surrogateescape"))
        assert tracemalloc.get_traced_memory()[1] < 40 * len(body) + 1_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("shape", [("[", "]"), ('{"a":', "}"), ('[{"b":', "}]")])
@pytest.mark.parametrize("stack", [0, 400])
def test_nesting_is_taken_to_its_bound_and_no_deeper_wherever_it_is_read(shape, stack):
    opening, closing = shape
    width = opening.count("[") + opening.count("{")

    def nested(levels):
        times = levels // width
        return opening * times + ("[1]" if levels % width else "1") + closing * times

    def deep_down(frames, call):
        return deep_down(frames - 1, call) if frames else call()

    fits, over = nested(PAYLOAD_DEPTH_MAX), nested(PAYLOAD_DEPTH_MAX + 1)
    value = deep_down(stack, lambda: parsed(fits))
    assert deep_down(stack, lambda: dumps(value)) == fits
    for call in (lambda: parsed(over), lambda: dumps(json.loads(over))):
        with pytest.raises(PayloadError, match=f"at most {PAYLOAD_DEPTH_MAX}"):
            deep_down(stack, call)


def test_breadth_is_no_depth():
    wide = [{"a": [number]} for number in range(10_000)]
    assert parsed(dumps(wide)) == wide
    assert parsed('"' + "[" * 10_000 + '"') == "[" * 10_000
