import asyncio
import contextlib
import inspect
import threading

import pytest

from perdure.client import portal as portal_module
from perdure.client.client import AsyncWorkflowClient
from perdure.client.errors import EngineStopped
from perdure.client.portal import LoopPortal, ThreadPortal, WrongThread
from perdure.client.relayed import RelayedWorkflowClient
from perdure.client.sync import WorkflowClient
from tests.client.fake_transport import FakeTransport, snapshot

VERBS = [
    name for name, found in vars(AsyncWorkflowClient).items() if name[0] != "_" and inspect.iscoroutinefunction(found)
]


@pytest.fixture
def portal():
    found = ThreadPortal()
    yield found
    found.close()


@pytest.fixture
def inner():
    return AsyncWorkflowClient(FakeTransport(snapshot()))


@pytest.mark.parametrize("twin", [WorkflowClient, RelayedWorkflowClient])
@pytest.mark.parametrize("verb", VERBS)
def test_both_twins_have_every_verb_with_its_signature_and_its_words(twin, verb):
    if verb == "close":
        return
    assert inspect.signature(getattr(twin, verb)) == inspect.signature(getattr(AsyncWorkflowClient, verb))
    assert getattr(twin, verb).__doc__ == getattr(AsyncWorkflowClient, verb).__doc__


def test_a_blocking_call_runs_in_the_portals_thread(portal, inner):
    client = WorkflowClient(inner, portal)
    assert client.get_workflow_state("i1").name == "order"
    assert client.schedule_new_workflow("order", instance_id="x") == "x"


async def test_a_blocking_call_may_be_made_while_a_loop_runs_here(portal, inner):
    assert WorkflowClient(inner, portal).get_workflow_state("i1").name == "order"


async def test_a_blocking_call_on_the_engines_own_loop_is_refused_instead_of_waiting_for_itself(inner):
    client = WorkflowClient(inner, LoopPortal(asyncio.get_running_loop()))
    with pytest.raises(WrongThread, match="await the async client"):
        client.get_workflow_state("i1")


async def test_the_async_twin_works_from_a_foreign_loop_and_from_its_own(portal, inner):
    assert (await RelayedWorkflowClient(inner, portal).get_workflow_state("i1")).name == "order"
    here = LoopPortal(asyncio.get_running_loop())
    assert (await RelayedWorkflowClient(inner, here).get_workflow_state("i1")).name == "order"


def test_errors_come_through(portal, inner):
    with pytest.raises(ValueError, match="limit"):
        WorkflowClient(inner, portal).list_workflows(limit=0)


async def forever(started):
    started.set()
    await asyncio.Event().wait()


def test_closing_a_portal_lets_blocked_callers_go_by_name(portal):
    started, raised = threading.Event(), []

    def caller():
        try:
            portal.call(forever, started)
        except EngineStopped as error:
            raised.append(error)

    thread = threading.Thread(target=caller)
    thread.start()
    assert started.wait(5)
    portal.close()
    thread.join(5)
    assert len(raised) == 1
    with pytest.raises(EngineStopped):
        portal.call(forever, started)


async def test_closing_a_portal_lets_awaiting_callers_go_by_name(portal):
    started = threading.Event()
    asking = asyncio.ensure_future(portal.relay(forever, started))
    await asyncio.to_thread(started.wait, 5)
    portal.close()
    with pytest.raises(EngineStopped):
        await asking


async def test_a_cancelled_caller_cancels_the_work(portal):
    started, cancelled = threading.Event(), threading.Event()

    async def work():
        try:
            await forever(started)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    asking = asyncio.ensure_future(portal.relay(work))
    await asyncio.to_thread(started.wait, 5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await asyncio.to_thread(cancelled.wait, 5)


def test_a_forgotten_thread_portal_ends_its_thread():
    portal = ThreadPortal()
    thread = portal._thread
    del portal
    thread.join(5)
    assert not thread.is_alive()


def test_an_owning_client_closes_what_it_holds_once(inner):
    portal = ThreadPortal()
    with WorkflowClient(inner, portal, owned=True) as client:
        pass
    assert inner.transport.closed
    client.close()
    with pytest.raises(EngineStopped):
        client.get_workflow_state("i1")


def test_a_client_of_an_engine_leaves_the_engine_alone(portal, inner):
    with WorkflowClient(inner, portal) as client:
        pass
    assert not inner.transport.closed
    assert client.get_workflow_state("i1")


def test_a_portal_is_closed_although_a_task_takes_its_cancellation_for_nothing(monkeypatch):
    monkeypatch.setattr(portal_module, "SETTLE_SECONDS_MAX", 0.1)
    portal, begun = ThreadPortal(), threading.Event()

    async def stubborn():
        begun.set()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    async def begin():
        portal.kept = asyncio.ensure_future(stubborn())

    portal.call(begin)
    assert begun.wait(10)
    closing = threading.Thread(target=portal.close, daemon=True)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    portal.kept._log_destroy_pending = False  # it never ends
