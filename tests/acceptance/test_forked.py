"""What the acceptance tests on separate processes stand on: forked services, and what they tell."""

import os
import signal
import sys
import threading
import warnings

import pytest

import perdure as wf
from tests.acceptance.forked import Forked
from tests.acceptance.ledger import Ledger, Signal

SECONDS = 60


@pytest.fixture
def forked(tmp_path):
    made = []

    def fork(body):
        made.append(Forked("service", tmp_path / f"log-{len(made)}", body))
        return made[-1]

    yield fork
    for each in made:
        each.close()


def test_a_child_is_ready_when_it_says_so_and_ends_with_its_body(forked):
    child = forked(lambda announce: announce({"url": "here"}))
    assert child.ready() == {"url": "here"}
    assert child.ended() == 0


def test_a_child_that_fails_before_it_is_ready_is_told_of_with_its_log(forked):
    def body(announce):
        raise LookupError("no broker")

    with pytest.raises(AssertionError, match=r"ended with 70 (.|\n)*LookupError: no broker"):
        forked(body).ready()


def test_a_child_that_is_killed_is_seen_to_be_dead(forked):
    child = forked(lambda announce: (announce({}), signal.pause()))
    child.ready()
    assert child.alive
    os.kill(child.pid, signal.SIGKILL)
    assert child.ended() == -signal.SIGKILL
    assert not child.alive


def test_what_a_child_prints_and_warns_goes_to_its_log_and_fails_nothing(forked, capfd):
    def body(announce):
        print("from the child")
        warnings.warn("no error there", stacklevel=1)
        sys.stdout.flush()
        announce({})

    child = forked(body)
    child.ready()
    assert child.ended() == 0
    assert "from the child" in child.said
    assert "no error there" in child.said
    assert capfd.readouterr() == ("", "")


def test_a_ledger_has_every_entry_of_every_process_once(forked, tmp_path):
    ledger, begin = Ledger(tmp_path / "ledger"), Signal(tmp_path / "begin")

    def body(announce):
        announce({})
        assert begin.wait(SECONDS)
        for number in range(200):
            ledger.append([os.getpid(), number])

    children = [forked(body) for _ in range(3)]
    for child in children:
        child.ready()
    begin.set()
    assert [child.ended() for child in children] == [0, 0, 0]
    for child in children:
        assert [number for pid, number in ledger if pid == child.pid] == list(range(200))
    assert len(ledger) == 600


def test_a_signal_is_seen_by_threads_that_wait_and_is_not_set_before(tmp_path):
    begin = Signal(tmp_path / "begin")
    assert not begin.wait(0.01)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(begin.wait(SECONDS)))
    thread.start()
    begin.set()
    thread.join()
    assert seen == [True]


@pytest.mark.brokers
def test_a_service_that_ends_by_itself_fails_its_test(ground, namespace):
    from tests.acceptance.services_world import ServicesWorld

    world = ServicesWorld(wf.App(), ground, namespace)
    os.kill(world.services["timer"].pid, signal.SIGKILL)
    world.services["timer"].ended()
    with pytest.raises(AssertionError, match=r"ended by themselves: \['timer'\]"):
        world.close()
