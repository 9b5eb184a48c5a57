"""For every test: log lines go to standard error and the engine leaves the logs alone; who runs out of time tells its tasks."""

import faulthandler
import inspect
import os
import sys

import hypothesis
import pytest
import structlog

from tests.brokers import java
from tests.stuck import tasks_of_this_thread

TIDYING_SECONDS_MAX = 300
STANDARD_ERROR = pytest.StashKey[int]()

java.for_a_test_run()
hypothesis.settings.register_profile("no clock judges", deadline=None)
hypothesis.settings.load_profile("no clock judges")


def pytest_configure(config):
    """Before a test's output is captured: what ends the process would take its last words with it."""
    config.stash[STANDARD_ERROR] = os.dup(2)


@pytest.fixture(autouse=True)
def plain_logs():
    structlog.reset_defaults()
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    yield
    structlog.reset_defaults()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A stack tells no more of a test that waits than that its loop does."""
    report = yield
    out_of_time = call.excinfo is not None and isinstance(call.excinfo.value, pytest.fail.Exception)
    if out_of_time and "Timeout" in str(call.excinfo.value) and inspect.iscoroutinefunction(item.function):
        report.sections.append(("asyncio tasks", tasks_of_this_thread()))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """A loop that cannot end, for its thread or task does not, ends with its process: after a failure no other clock runs."""
    faulthandler.dump_traceback_later(TIDYING_SECONDS_MAX, exit=True, file=item.config.stash[STANDARD_ERROR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
