"""`perdure dev` as a process: what it says, what it answers, how it ends."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace

import pytest

from perdure.assembly import EngineFailed
from perdure.cli import serving
from perdure.cli.exits import Exit, Unusable, exit_of

HERE = Path(__file__).parent


def announced(dev):
    return json.loads(dev.line())


@pytest.fixture
def run_dev(dev, tmp_path):
    """In the folder of shop.py, on a database of its own, speaking JSON."""

    def run(*options, db="dev.db"):
        return dev(HERE, "--app", "shop:app", "--json", "--db", str(tmp_path / db), *options)

    return run


def test_it_serves_and_warns_until_sigterm_and_goes_on_at_the_next_start(cli, run_dev, tmp_path):
    with run_dev() as dev:
        told = announced(dev)
        assert told["database"] == str(tmp_path / "dev.db")
        assert told["pid"] == dev.process.pid
        assert "order" in told["workflows"]
        endpoint = ("--endpoint", told["url"])
        assert cli("start", "approval", "--id", "a1", *endpoint).code == 0
        assert json.loads(
            cli("start", "order", "--input", '{"amount": 2}', "--wait", "--json", *endpoint).json["serializedOutput"]
        ) == {"charged": 2}
        assert cli("start", "clocked", "--wait", *endpoint).code == 0
        ended = dev.end(signal.SIGTERM)
        assert (ended.code, ended.out) == (0, "")
        assert "Traceback" not in ended.err
        assert "shop.py:42" in ended.err  # the guard
        assert "use ctx.current_utc_datetime" in ended.err
    with run_dev() as dev:
        endpoint = ("--endpoint", announced(dev)["url"])
        assert cli("raise-event", "a1", "decision", "--data", "1", *endpoint).code == 0
        assert cli("wait", "a1", *endpoint).code == 0
        assert dev.end(signal.SIGINT).code == 0


@pytest.mark.usefixtures("heeding_ctrl_c")
def test_a_wait_ends_with_ctrl_c_or_with_the_engine_and_the_workflow_goes_on(cli, run_dev):
    with run_dev() as dev:
        url = announced(dev)["url"]
        assert cli("start", "approval", "--id", "a1", "--endpoint", url).code == 0
        with waiting(dev, url) as left, waiting(dev, url) as let_go:
            left.send_signal(signal.SIGINT)
            out, err = left.communicate(timeout=20)
            assert (left.returncode, out) == (130, "")
            assert "'a1' goes on" in err
            assert cli("get", "a1", "--json", "--endpoint", url).json["runtimeStatus"] == "RUNNING"
            with contextlib.closing(HTTPConnection(url.removeprefix("http://"), timeout=20)) as poll:
                poll.request("GET", "/v1/instances/a1/wait?timeout=30")
                assert cli("get", "a1", "--endpoint", url).code == 0  # answered after the poll was taken in
                ended = dev.end()
                assert poll.getresponse().status == 503
            out, more = let_go.communicate(timeout=20)
            assert (ended.code, let_go.returncode, out) == (0, 4, "")
            assert more.split("\n")[-2].startswith("perdure: ")
            assert "Traceback" not in ended.err + err + more


@pytest.fixture
def heeding_ctrl_c():
    """A run of tests in a shell's background ignores it, and so would whatever it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def waiting(dev, url):
    """`perdure wait a1`, once it waits."""
    process = subprocess.Popen(
        [sys.executable, "-m", "perdure", "wait", "a1", "--endpoint", url],
        env=dev.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr.readline().startswith("a1 RUNNING")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_strict_guard_parks(cli, run_dev):
    with run_dev("--guard", "strict") as dev:
        told = announced(dev)
        assert told["guard"] == "strict"
        assert cli("start", "clocked", "--id", "c1", "--endpoint", told["url"]).code == 0
        described = cli("describe", "c1", "--endpoint", told["url"])
        assert "STALLED" in described.out
        assert "shop.py:42: clocked uses time.time" in described.out


def test_a_database_or_a_port_in_use_is_5_and_named(run_dev, dev, tmp_path):
    with run_dev() as owner:
        told = announced(owner)
        port = told["url"].rpartition(":")[2]
        with run_dev() as second, run_dev("--port", port, db="other.db") as third:
            on_database, on_port = second.ended(), third.ended()
        assert (on_database.code, on_database.out) == (5, "")
        assert f"in use by process {owner.process.pid}" in on_database.complaint
        assert (on_port.code, on_port.out) == (5, "")
        assert f"127.0.0.1:{port}" in on_port.complaint
        assert "Traceback" not in on_database.err + on_port.err


def test_a_damaged_database_is_4_and_a_wrong_app_or_host_is_2(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(HERE)
    (tmp_path / "damaged.db").write_bytes(b"no database at all" * 1000)
    told = cli("dev", "--app", "shop:app", "--port", "0", "--db", str(tmp_path / "damaged.db"))
    assert told.code == 4
    assert "damaged.db" in told.complaint
    told = cli("dev", "--app", "shop:broken")
    assert told.code == 2
    assert "shop:broken is a dict" in told.complaint
    told = cli("dev", "--app", "shop:app", "--host", "0.0.0.0")
    assert told.code == 2
    assert "PERDURE_GATEWAY_API_TOKEN" in told.complaint


@pytest.mark.parametrize("part", ["engine", "orchestrator"])
def test_an_engine_that_cannot_go_on_ends_the_process_with_4(part):
    failure = EngineFailed("too many threads are held: the process has to be restarted")
    orchestrator = SimpleNamespace(failure=failure if part == "orchestrator" else None)
    running = SimpleNamespace(failure=failure if part == "engine" else None, orchestrator=orchestrator)
    with pytest.raises(Unusable, match="cannot go on: too many threads are held") as caught:
        serving._watch(SimpleNamespace(engine=running), threading.Event())
    assert exit_of(caught.value) == Exit.UNREACHABLE
