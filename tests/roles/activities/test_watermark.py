import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.roles.activities.watermark import (
    METADATA_CHARS_MAX,
    SPAN_MAX,
    Watermark,
    decode_metadata,
    encode_metadata,
)


@given(st.lists(st.tuples(st.sampled_from(["take", "take", "finish", "again"]), st.integers(0, 50)), max_size=200))
def test_low_is_the_first_unfinished_offset_whatever_the_order(steps):
    watermark, taken, finished, offset = Watermark(10), [], set(), 9
    for what, number in steps:
        if what == "take":
            offset += 1 + number % 2  # offsets skip numbers
            assert watermark.take(offset)
            taken.append(offset)
        elif what == "finish" and taken:
            done = taken[number % len(taken)]
            watermark.finish(done)
            finished.add(done)
        elif what == "again":
            for each in finished:
                watermark.finish(each)
        undone = [each for each in taken if each not in finished]
        assert watermark.low == min(undone, default=offset + 1 if taken else 10)
        done, _ = decode_metadata(watermark.metadata(), watermark.low)
        assert done == {each for each in finished if each > watermark.low}


@given(st.data())
def test_a_successor_takes_exactly_what_was_not_finished(data):
    first, finished = Watermark(0), set()
    offsets = sorted(data.draw(st.sets(st.integers(0, 300), min_size=1, max_size=80)))
    for offset in offsets:
        first.take(offset)
    for offset in data.draw(st.lists(st.sampled_from(offsets), unique=True)):
        first.finish(offset)
        finished.add(offset)
    done, counts = decode_metadata(first.metadata(), first.low)
    second = Watermark(first.low, done, counts)
    taken = {offset for offset in offsets if offset >= first.low and second.take(offset)}
    assert taken == set(offsets) - finished
    told, _ = decode_metadata(second.metadata(), second.low)
    assert told == {offset for offset in finished if offset > second.low}
    for offset in data.draw(st.permutations(sorted(taken))):
        second.finish(offset)
    assert second.low == offsets[-1] + 1
    assert second.metadata() == "" and not second.done


@given(
    st.integers(0, 10**15),
    st.sets(st.integers(0, SPAN_MAX - 1), max_size=300),
    st.dictionaries(st.integers(0, SPAN_MAX - 1), st.integers(1, 9), max_size=100),
)
def test_metadata_comes_back_as_it_was(low, done, counts):
    done = {low + each for each in done}
    counts = {low + each: count for each, count in counts.items()}
    text = encode_metadata(low, done, counts)
    assert decode_metadata(text, low) == (done, counts)
    assert len(text) <= METADATA_CHARS_MAX


def test_the_worst_metadata_fits_and_keeps_the_highest_counts():
    low = 10**15
    done = range(low, low + SPAN_MAX)
    counts = dict.fromkeys(range(low, low + 10**9, 10**5), 1) | {low + 77: 4}
    text = encode_metadata(low, done, counts)
    assert len(text) <= METADATA_CHARS_MAX
    assert decode_metadata(text, low)[1][low + 77] == 4


@given(st.one_of(st.text(max_size=50), st.text("1ABCDEFabcdef0123456789+/=", max_size=50)))
def test_metadata_of_somebody_else_is_a_value_error_and_nothing_worse(text):
    for candidate in (text, "1" + text):
        try:
            decode_metadata(candidate, 5)
        except ValueError:
            pass


def test_metadata_of_another_version_is_refused():
    with pytest.raises(ValueError, match="another version"):
        decode_metadata("2AAAA", 0)


def test_the_span_is_bounded():
    watermark = Watermark(0)
    watermark.take(0)
    assert watermark.has_room(SPAN_MAX - 1)
    assert not watermark.has_room(SPAN_MAX)
    watermark.finish(0)
    assert watermark.has_room(SPAN_MAX)
