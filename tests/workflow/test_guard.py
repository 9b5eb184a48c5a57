import contextlib
import datetime as dt
import logging
import os
import pathlib
import random
import secrets
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import uuid

import pytest
import structlog

from perdure.workflow.deterministic import DeterministicMixin
from perdure.workflow.guard import Finding, Guard, GuardViolation
from perdure.workflow.log import replay_safe_logger


class Context(DeterministicMixin):
    _seed = "s"
    current_utc_datetime = dt.datetime(2026, 1, 1)
    logger = replay_safe_logger(lambda: False)


def watched(code, *, mode="warn", guard=None):
    """The findings of one resume of an orchestrator whose step is `code`."""
    found = []
    guard = guard or Guard(mode, found.append)

    def orchestrator(ctx):
        code(ctx)
        yield 1

    generator = orchestrator(Context())
    with guard.watch():
        assert next(generator) == 1
    return found


def sleeping_thread():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def a_socket():
    with socket.socket() as opened:
        opened.fileno()


CASES = [
    (lambda ctx: time.time(), "time.time", "ctx.current_utc_datetime"),
    (lambda ctx: time.monotonic(), "time.monotonic", "ctx.current_utc_datetime"),
    (lambda ctx: time.perf_counter_ns(), "time.perf_counter_ns", "ctx.current_utc_datetime"),
    (lambda ctx: dt.datetime.now(), "datetime.now", "ctx.current_utc_datetime"),
    (lambda ctx: dt.datetime.now(dt.UTC), "datetime.now", "ctx.current_utc_datetime"),
    (lambda ctx: dt.date.today(), "date.today", "ctx.current_utc_datetime"),
    (lambda ctx: dt.datetime.today(), "datetime.today", "ctx.current_utc_datetime"),
    (lambda ctx: random.random(), "random.random", "ctx.random"),
    (lambda ctx: random.randint(1, 2), "random.randint", "ctx.random"),
    (lambda ctx: random.choice("ab"), "random.choice", "ctx.random"),
    (lambda ctx: random.shuffle([1, 2]), "random.shuffle", "ctx.random"),
    (lambda ctx: random.Random(), "random.Random without a seed", "ctx.random"),
    (lambda ctx: random.SystemRandom().randint(1, 2), "random.Random without a seed", "ctx.random"),
    (lambda ctx: os.urandom(2), "os.urandom", "ctx.random"),
    (lambda ctx: secrets.token_hex(), "secrets.token_hex", "ctx.random"),
    (lambda ctx: secrets.choice("ab"), "random.choice", "ctx.random"),
    (lambda ctx: uuid.uuid4(), "uuid.uuid4", "ctx.uuid4"),
    (lambda ctx: uuid.uuid1(), "uuid.uuid1", "ctx.uuid4"),
    (lambda ctx: open(os.devnull).close(), "open", "activity"),
    (lambda ctx: pathlib.Path(os.devnull).read_text(), "open", "activity"),
    (lambda ctx: os.listdir("."), "os.listdir", "activity"),
    (lambda ctx: os.path.exists("."), "os.stat", "activity"),
    (lambda ctx: a_socket(), "a socket", "activity"),
    (lambda ctx: sqlite3.connect(":memory:").close(), "a database file (sqlite3)", "activity"),
    (lambda ctx: time.sleep(0), "time.sleep", "ctx.create_timer"),
    (lambda ctx: sleeping_thread(), "a thread", "wf.when_all"),
    (lambda ctx: print("x"), "print", "ctx.logger"),
    (lambda ctx: logging.getLogger("x").info("x"), "a plain logger", "ctx.logger"),
    (lambda ctx: logging.info("x"), "a plain logger", "ctx.logger"),  # noqa: LOG015 - what users do
    (lambda ctx: structlog.get_logger().debug("x"), "a plain logger", "ctx.logger"),
]


@pytest.mark.parametrize(("code", "what", "fix"), CASES, ids=[f"{i}-{case[1]}" for i, case in enumerate(CASES)])
def test_what_is_not_deterministic_is_named_with_file_line_and_fix(code, what, fix):
    found = watched(code)
    assert found
    assert found[0].what == what
    assert fix in found[0].fix
    assert found[0].file == __file__
    assert found[0].line > 20
    assert f"{__file__}:{found[0].line}: " in str(found[0])


def test_a_process_is_named():
    found = watched(lambda ctx: subprocess.run([sys.executable, "-c", ""], check=True))
    assert found
    assert {finding.file for finding in found} == {__file__}


def drawing(ctx):
    ctx.uuid4(), ctx.now(), ctx.random_int(), ctx.random_string(3), ctx.random_choice([1, 2])
    generator = ctx.random()
    generator.randint(1, 5), generator.shuffle([1, 2]), generator.random(), generator.sample([1, 2, 3], 2)
    random.Random(5).choice("ab")


@pytest.mark.parametrize(
    "code",
    [
        drawing,
        lambda ctx: ctx.logger.info("quiet", a=1),
        lambda ctx: sorted({"a": 1}.items()),
        lambda ctx: dt.datetime(2026, 1, 1).isoformat() + str(dt.timedelta(1)),
        lambda ctx: uuid.UUID(int=1) and uuid.uuid5(uuid.NAMESPACE_DNS, "x"),
        lambda ctx: os.path.join("a", "b") + os.path.basename("a/b"),
        lambda ctx: time.strptime("2026", "%Y"),
        lambda ctx: threading.Lock(),
        lambda ctx: "{:>5}".format("x").join(["a"]),
    ],
)
def test_what_replays_is_let_pass(code):
    assert watched(code) == []


def test_the_users_line_is_named_however_deep_the_library_below_it():
    def helper():
        return pathlib.Path(os.devnull).read_bytes()

    finding = watched(lambda ctx: helper())[0]
    assert finding.line == helper.__code__.co_firstlineno + 1
    assert finding.function.endswith("helper")


def test_a_users_code_called_back_by_perdure_is_the_users():
    from perdure.workflow import payloads

    class Model:
        def model_dump(self, mode):
            return {"at": time.time()}

    finding = watched(lambda ctx: payloads.dumps(Model()))[0]
    assert finding.what == "time.time"
    assert finding.function.endswith("model_dump")


def test_an_import_in_an_orchestrator_is_no_finding(tmp_path, monkeypatch):
    (tmp_path / "guarded_fixture.py").write_text("import time\ndef f():\n    return time.time()\nSTARTED = f()\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def imports(ctx):
        import guarded_fixture

        return guarded_fixture

    assert watched(imports) == []
    assert watched(lambda ctx: sys.modules["guarded_fixture"].f())[0].what == "time.time"


def test_each_place_is_reported_once_in_warn_mode():
    found = []
    guard = Guard("warn", found.append)

    def code(ctx):
        for _ in range(3):
            time.time()
        time.monotonic()

    watched(code, guard=guard)
    watched(code, guard=guard)
    assert [finding.what for finding in found] == ["time.time", "time.monotonic"]


def test_strict_mode_raises_at_the_call_and_every_time():
    found = []
    guard = Guard("strict", found.append)
    opened = []
    for _ in range(2):
        with pytest.raises(GuardViolation) as caught:
            watched(lambda ctx: opened.append(os.open(os.devnull, 0)), guard=guard)
        assert caught.value.finding.what == "os.open"
    assert len(found) == 2
    assert opened == []
    assert not isinstance(caught.value, Exception)


def test_code_that_eats_the_violation_does_not_get_away_with_it():
    def greedy(ctx):
        with contextlib.suppress(BaseException):
            time.sleep(0)

    with pytest.raises(GuardViolation):
        watched(greedy, mode="strict")


def test_the_hook_is_gone_afterwards_and_an_earlier_one_is_back():
    def earlier(frame, event, arg): ...

    watched(lambda ctx: 1)
    assert sys.getprofile() is None
    sys.setprofile(earlier)
    try:
        with pytest.raises(GuardViolation):
            watched(lambda ctx: time.time(), mode="strict")
        assert sys.getprofile() is earlier
    finally:
        sys.setprofile(None)


def test_off_installs_nothing():
    guard = Guard("off", lambda finding: pytest.fail("reported"))
    with guard.watch():
        assert sys.getprofile() is None
        time.time()
    assert guard.watch() is guard.watch()


def test_other_threads_are_not_watched():
    found = []
    guard = Guard("warn", found.append)
    thread = threading.Thread(target=time.time)
    with guard.watch():
        pass
    thread.start()
    thread.join()
    assert found == []


def test_a_reporter_that_fails_does_not_reach_user_code():
    def broken(finding):
        raise RuntimeError("broken")

    watched(lambda ctx: time.time(), guard=Guard("warn", broken))


def test_without_a_reporter_findings_go_to_the_log():
    with structlog.testing.capture_logs() as lines:
        watched(lambda ctx: time.time(), guard=Guard())
    assert lines[0]["uses"] == "time.time"
    assert __file__ in lines[0]["at"]


def test_an_application_installed_among_the_libraries_is_named_too(tmp_path):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    path = folder / "orders.py"
    source = textwrap.dedent("""
        import time
        def orchestrator(ctx):
            time.time()
            yield 1
    """)
    path.write_text(source)
    names = {}
    exec(compile(source, str(path), "exec"), names)
    found = []
    generator = names["orchestrator"](None)
    with Guard("warn", found.append).watch():
        next(generator)
    assert [(finding.file, finding.line, finding.what) for finding in found] == [(str(path), 4, "time.time")]


def test_modes_are_checked():
    with pytest.raises(ValueError, match="off"):
        Guard("loud")
    assert "time.time" in str(Finding("f.py", 3, "wf", "time.time", "fix"))
