import functools
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perdure.core.limits import NAME_BYTES_MAX
from perdure.workflow.app import App, alternate_name

if TYPE_CHECKING:
    from nowhere import Context  # type: ignore[import-not-found]


@dataclass
class Order:
    id: str


def generator(ctx: "Context", order: Order) -> Generator[Any, Any, Order]:
    yield ctx


async def coroutine(ctx, order: "Order") -> Order:
    return order


def plain(ctx):
    return 1


def test_definitions_tell_kind_types_and_whether_an_input_is_taken():
    app = App()
    for fn in (generator, coroutine, plain):
        assert app.workflow(fn) is fn
    first, second, third = (app.workflows[name] for name in ("generator", "coroutine", "plain"))
    assert (first.kind, second.kind, third.kind) == ("generator", "coroutine", "plain")
    assert (first.input_type, second.input_type, third.input_type) == (Order, Order, None)
    assert (first.output_type, second.output_type, third.output_type) == (Order, Order, None)
    assert (first.takes_input, second.takes_input, third.takes_input) == (True, True, False)
    assert first.fn is generator
    assert len(first.fingerprint) == 16


def test_an_annotation_that_cannot_be_resolved_is_none_and_spoils_no_other():
    def odd(ctx: "Nowhere", data: "Nothing") -> Order:  # noqa: F821
        return data

    definition = App().add_activity(odd)
    assert (definition.input_type, definition.output_type) == (None, Order)


def test_types_local_to_a_function_resolve_when_the_function_sees_them():
    @dataclass
    class Local: ...

    def wf(ctx, data: "Local"):
        return Local()

    assert App().add_workflow(wf).input_type is Local


def test_a_generator_annotated_with_iterator_says_nothing_of_its_result():
    def wf(ctx) -> Iterator[Any]:
        yield

    def sloppy(ctx) -> dict:
        yield

    app = App()
    assert app.add_workflow(wf).output_type is None
    assert app.add_workflow(sloppy).output_type is dict


def test_activities_are_plain_or_async():
    app = App(default_activity_timeout=timedelta(seconds=5))

    @app.activity(name="charge-card")
    async def charge(ctx, amount: int) -> int:
        return amount

    @app.activity
    def send(ctx):
        return None

    assert app.activities["charge-card"].is_async
    assert not app.activities["send"].is_async
    assert app.activities["charge-card"].input_type is int
    assert app.default_activity_timeout == timedelta(seconds=5)
    assert set(app.activities) == {"charge-card", "send"}


def test_callable_objects_methods_and_partials_can_be_registered():
    class Sender:
        async def __call__(self, ctx, data: int):
            return data

        def send(self, ctx, data: str):
            return data

    app = App()
    sender = Sender()
    called = app.add_activity(sender, name="called")
    assert called.is_async
    assert called.takes_input
    assert called.input_type is int
    method = app.add_activity(sender.send, name="a-method")
    assert app.add_activity(sender.send, name="a-method") is method
    assert method.input_type is str
    assert app.name_of(sender.send) == "a-method"
    bound = app.add_activity(functools.partial(sender.send), name="partial")
    assert bound.input_type is str


def test_a_decorated_function_keeps_its_types():
    @functools.wraps(generator)
    def wrapper(*args):
        return generator(*args)

    definition = App().add_workflow(wrapper)
    assert (definition.name, definition.kind, definition.input_type) == ("generator", "plain", Order)


def test_name_of_gives_the_registered_name_else_the_functions_own():
    app = App()
    app.add_activity(plain, name="first")
    app.add_activity(plain, name="second")
    assert app.name_of(plain) == "first"
    assert app.name_of(generator) == "generator"
    assert app.name_of("anything") == "anything"
    assert alternate_name("other")(lambda ctx: 1).__perdure_name__ == "other"
    assert App().add_activity(alternate_name("other")(lambda ctx: 1)).name == "other"


@pytest.mark.parametrize(("target", "error"), [("", ValueError), (lambda ctx: 1, ValueError), (5, TypeError)])
def test_name_of_refuses_what_has_no_name(target, error):
    with pytest.raises(error):
        App().name_of(target)


def test_a_taken_name_is_refused_and_the_same_function_again_is_harmless():
    app = App()
    first = app.add_workflow(plain)
    assert app.add_workflow(plain) is first
    with pytest.raises(ValueError, match=r"workflow 'plain' is registered already.*test_app.*plain"):
        app.add_workflow(generator, name="plain")
    with pytest.raises(ValueError, match="registered as the other kind"):
        app.add_activity(plain, name="as-activity")
    app.add_activity(coroutine, name="plain")  # an activity may have a workflow's name
    assert app.workflows["plain"] is first


@pytest.mark.parametrize("name", ["", "x" * (NAME_BYTES_MAX + 1), "é" * (NAME_BYTES_MAX // 2 + 1), 5, "\ud800"])
def test_bad_names_are_refused(name):
    with pytest.raises(ValueError, match="name"):
        App().add_workflow(plain, name=name)
    assert App().add_workflow(plain, name="é" * (NAME_BYTES_MAX // 2)).name


def test_what_cannot_be_called_as_we_call_is_refused():
    async def async_generator(ctx):
        yield

    def three(ctx, a, b): ...
    def keyword(ctx, *, needed): ...
    def none(): ...
    def fine(ctx, a=1, b=2, *rest, more=3): ...

    app = App()
    for fn in (three, keyword, none, async_generator, 5, None, Order):
        for add in (app.add_workflow, app.add_activity):
            with pytest.raises(TypeError):
                add(fn)
    with pytest.raises(TypeError, match="only workflows yield"):
        app.add_activity(generator)
    with pytest.raises(TypeError, match="name='x'"):
        app.workflow("x")
    with pytest.raises(ValueError, match="register it with name="):
        app.add_workflow(lambda ctx: 1)
    with pytest.raises(ValueError, match="longer than zero"):
        App(default_activity_timeout=timedelta(0))
    assert app.add_workflow(fine).takes_input
    assert set(app.workflows) == {"fine"}
    assert set(app.activities) == set()


def test_two_apps_do_not_meet():
    one, other = App(), App()
    one.add_workflow(plain)
    assert dict(other.workflows) == {}
