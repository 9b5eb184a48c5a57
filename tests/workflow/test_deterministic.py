import string
from datetime import datetime

import pytest

from perdure.workflow.deterministic import DeterministicMixin


class Context(DeterministicMixin):
    __slots__ = ("_seed",)
    current_utc_datetime = datetime(2026, 1, 1)

    def __init__(self, seed="order-1/r/0"):
        self._seed = seed


def drawn(ctx):
    return [
        ctx.uuid4(), ctx.new_guid(), ctx.random().random(), ctx.random().random(), ctx.random_int(),
        ctx.random_int(1, 6), ctx.random_choice("abcdef"), ctx.random_string(12), ctx.random_string(3, alphabet="xy"),
    ]  # fmt: skip


def test_the_same_generation_draws_the_same_and_another_draws_otherwise():
    assert drawn(Context()) == drawn(Context())
    assert drawn(Context()) != drawn(Context("order-1/r/1"))


def test_the_values_are_these_for_ever():
    ctx = Context()
    assert str(ctx.uuid4()) == "23bd951c-6fbd-4a9f-b9e8-d50e6b3e79e8"
    assert ctx.random().random() == 0.6767376359044068


def test_two_draws_in_one_step_differ():
    ctx = Context()
    assert len({ctx.uuid4() for _ in range(100)}) == 100
    assert len({ctx.random().random() for _ in range(100)}) == 100


def test_uuids_say_that_they_are_version_four():
    assert Context().uuid4().version == 4
    assert Context().new_guid() == Context().uuid4()


def test_values_keep_their_bounds():
    ctx = Context()
    assert {ctx.random_int(1, 3) for _ in range(200)} == {1, 2, 3}
    assert all(0 <= ctx.random_int() < 2**31 for _ in range(50))
    assert set(ctx.random_string(200)) <= set(string.ascii_letters + string.digits)
    assert ctx.random_string(0) == ""
    assert ctx.now() == datetime(2026, 1, 1)


def test_impossible_wishes_are_refused():
    ctx = Context()
    with pytest.raises(ValueError, match="length"):
        ctx.random_string(-1)
    with pytest.raises(ValueError, match="alphabet"):
        ctx.random_string(1, alphabet="")
    with pytest.raises(ValueError, match="min_value"):
        ctx.random_int(2, 1)
    with pytest.raises(IndexError):
        ctx.random_choice([])
