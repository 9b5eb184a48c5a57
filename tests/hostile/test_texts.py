"""Small decoders of text: a value or the error that their contract names, whatever the text."""

import json
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perdure.adapters.cassandra.packing import unpacked
from perdure.adapters.memory.paging import page_token, place_of
from perdure.cli.exits import NotThere, UsageError
from perdure.cli.inputs import json_given, moment, period_s
from perdure.client.ids import check_chosen_id, check_command_id, check_event_name, check_known_id, derived_id
from perdure.client.listing import make_filter
from perdure.core.errors import PerdureError
from perdure.core.limits import FILTER_NAMES_MAX
from perdure.core.names import partition_of
from perdure.roles.dead_letters import run_partition
from perdure.roles.orchestrator.memory import minted_at_us
from perdure.telemetry.propagation import context_in, parse, run_trace
from tests.hostile.strangers import MILD_TEXT, any_headers, many

LONG = st.sampled_from(("9" * 5_000, "٣" * 40, "1." + "A" * 5_000, "\0", "\ud800", "¹²", "-0", "1e5", " 7 ", "0x1f"))
ANY_TEXT = st.text(max_size=40) | st.text(st.characters(), max_size=20) | LONG
ids = st.text("0123456789abcdef7", min_size=32, max_size=32)


@many
@given(ANY_TEXT | st.tuples(st.integers(), MILD_TEXT).map(lambda place: page_token(*place)))
@example(page_token(1 << 63, "x"))
@example(page_token(-(1 << 70), "x"))
def test_a_page_token_is_a_place_that_every_store_can_hold(text):
    try:
        created_at_us, instance_id = place_of(text)
    except ValueError as error:
        assert "page" in str(error) or isinstance(error, UnicodeError)
    else:
        assert abs(created_at_us) < 1 << 63
        assert instance_id.encode() is not None


@many
@given(st.lists(ANY_TEXT | st.sampled_from(("0", "1", "7")), max_size=4).map(".".join), st.integers(1, 64))
def test_a_run_names_a_partition_or_is_refused(run, partitions):
    try:
        assert 0 <= run_partition(run, partitions) < partitions
    except ValueError:
        pass


@many
@given(ANY_TEXT | ids, st.integers(1, 64))
def test_any_id_has_a_home_and_a_time_or_none(text, partitions):
    assert 0 <= minted_at_us(text) < 1 << 63
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert 0 <= partition_of(text, partitions) < partitions
    assert len(derived_id(text)) == 32


@many
@given(st.sampled_from((check_chosen_id, check_known_id, check_event_name, check_command_id)), ANY_TEXT)
def test_ids_and_names_are_accepted_or_refused_by_name(check, text):
    try:
        check(text)
    except (PerdureError, ValueError) as error:
        assert len(str(error)) < 60_000
    else:
        text.encode()


@many
@given(ANY_TEXT, ANY_TEXT, any_headers())
def test_trace_context_of_strangers_is_taken_or_left(traceparent, tracestate, headers):
    for found in (parse(traceparent, tracestate), context_in(headers)):
        if found is not None:
            assert parse(found.traceparent, found.state) == found
            json.dumps(found.traceparent)
    run_trace(traceparent, tracestate, "0.0.1", 3)


@many
@given(ANY_TEXT | st.from_regex(r"\A\+?\d{1,12}(\.\d+)?(ms|s|m|h|d)\Z"), st.booleans())
@example("999999999999d", False)
@example("999999999999d", True)
@example("9" * 400, False)
@example("9" * 400 + "s", False)
@example("0001-01-01T00:00:00+23:59", False)
def test_times_and_periods_of_the_command_line_are_times_or_usage_errors(text, back):
    try:
        found = moment(text, "--from", back=back)
        assert isinstance(found, datetime)
    except UsageError as error:
        assert "--from" in str(error)
    try:
        assert 0 <= period_s(text, "--timeout") < 1e12
    except UsageError as error:
        assert "--timeout" in str(error)


@many
@given(
    ANY_TEXT
    | st.sampled_from(("@", "@/", "@.", "@\0", "@" + "x" * 5_000, "@\ud800", "[" * 100_000, "9" * 5_000, "NaN"))
)
def test_json_of_the_command_line_is_json_or_a_usage_error(text):
    if text == "-":
        return  # standard input
    try:
        json.loads(json_given(text, "--input"))
    except (UsageError, NotThere) as error:
        assert "--input" in str(error)


@many
@given(st.lists(ANY_TEXT, max_size=3), ANY_TEXT, st.lists(ANY_TEXT | st.just("running"), max_size=2))
def test_a_filter_is_one_that_every_store_understands_or_a_value_error(names, prefix, statuses):
    try:
        found = make_filter({"name": names, "id_prefix": prefix, "status": statuses})
    except ValueError as error:
        assert str(error)
    else:
        for text in (*found.names, found.id_prefix, *found.statuses):
            assert "\0" not in text
            text.encode()


def test_a_filter_has_so_many_names_and_no_more():
    assert len(make_filter({"name": ["n"] * FILTER_NAMES_MAX}).names) == FILTER_NAMES_MAX
    for condition in ({"name": ["n"] * (FILTER_NAMES_MAX + 1)}, {"status": ["RUNNING"] * (FILTER_NAMES_MAX + 1)}):
        with pytest.raises(ValueError, match="at most 100"):
            make_filter(condition)


@many
@given(
    st.lists(
        st.tuples(
            st.integers(-3, 20),
            st.sampled_from((1, 1, 1, 0, 2, 99)),
            st.none() | st.binary(max_size=40),
            st.none() | st.integers(0, 9),
        ),
        max_size=5,
    ),
    st.integers(-1, 30),
)
@example([(1, 1, b"\xff\xff\xff\xff", 1)], 9)
@example([(1, 1, b"\0\0\0\0" * 1_000, 1)], 9)
@example([(1, 1, b"\0", 1)], 9)
def test_rows_of_packed_events_are_unpacked_or_refused(rows, last_seq):
    try:
        events = unpacked(rows, last_seq)
    except ValueError as error:
        assert "the row of event" in str(error)
    else:
        assert all(event.seq <= last_seq for event in events)
