from hypothesis import given
from hypothesis import strategies as st

from perdure.core.effects import SetTimer
from perdure.roles.timers.near import ARRIVAL_BITS, DEAD_MIN, NearTimers, Timer, identity_of, parts_of
from perdure.roles.timers.offsets import HeldOffsets


def timer(n, fire_at_us):
    made = Timer(identity_of(b"k", SetTimer("1.0.1", 0, n, 1, "timer", fire_at_us)), fire_at_us, 0)
    made.offset = n
    return made


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("push"), st.integers(0, 50)),
            st.tuples(st.just("discard"), st.integers(0, 1000)),
            st.tuples(st.just("pop"), st.integers(0, 50)),
        ),
        max_size=200,
    )
)
def test_the_heap_agrees_with_a_sorted_list(steps):
    near, model, n = NearTimers(), [], 0
    for what, number in steps:
        if what == "push":
            new = timer(n, number)
            n += 1
            near.push(new)
            model.append(new)
        elif what == "discard" and model:
            gone = model.pop(number % len(model))
            near.discard(gone)
        elif what == "pop":
            due = near.pop_due(number, 3)
            expected = sorted((t for t in model if t.fire_at_us <= number), key=lambda t: (t.fire_at_us, t.offset))
            assert due == expected[:3]
            model = [t for t in model if t not in due]
        assert len(near) == len(model)
        assert near.next_us() == min((t.fire_at_us for t in model), default=None)


def test_an_identity_gives_its_parts_back():
    request = SetTimer("1.0.77", 2, 3, 4, "retry", 5)
    assert parts_of(identity_of("ordér".encode(), request)) == ("ordér".encode(), "1.0.77/2/3/4/retry")
    assert parts_of(identity_of(b"", request)) == (b"", "1.0.77/2/3/4/retry")


def test_timers_of_one_moment_keep_their_order_when_the_count_of_arrivals_begins_again():
    near, first, second = NearTimers(), timer(1, 7), timer(2, 7)
    near.push(second)
    near._pushed = 0
    near.push(first)
    assert near.pop_due(7, 9) == [first, second]
    near._pushed = (1 << ARRIVAL_BITS) - 1
    near.push(timer(3, 7))
    near.push(timer(4, 8))
    assert [each.offset for each in near.pop_due(8, 9)] == [3, 4]


def test_cancelled_timers_do_not_pile_up_in_the_heap():
    near = NearTimers()
    kept = [timer(n, 10**9 + n) for n in range(100)]
    for each in kept:
        near.push(each)
    for n in range(100_000):
        gone = timer(n, 10**9)
        near.push(gone)
        near.discard(gone)
        assert near.held <= 2 * (len(near) + DEAD_MIN)
    assert near.pop_due(2 * 10**9, 1000) == kept


@given(st.lists(st.tuples(st.sampled_from(["hold", "release"]), st.integers(0, 100)), max_size=200))
def test_the_position_never_passes_an_offset_that_is_held(steps):
    held, model, offset = HeldOffsets(0), [], 0
    for what, number in steps:
        if what == "hold":
            offset += number % 3  # the same once more, the next, or a gap
            held.hold(offset)
            held.pass_to(offset + 1)
            model.append(offset)
        elif model:
            gone = model.pop(number % len(model))
            held.release(gone)
        assert held.low == min(model, default=held.next)
