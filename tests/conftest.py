"""For every test: log lines go to standard error and the engine leaves the logs alone; who runs out of time tells its tasks."""

import faulthandler
import sys

import hypothesis
import pytest
import structlog

from tests.brokers import java
from tests.stuck import tasks_of_this_thread

TIDYING_SECONDS_MAX = 300

java.for_a_test_run()
hypothesis.settings.register_profile("no clock judges", deadline=None)
hypothesis.settings.load_profile("no clock judges")


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
    if call.excinfo is not None and "Timeout" in str(call.excinfo.value):
        report.sections.append(("asyncio tasks", tasks_of_this_thread()))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown():
    """A loop that cannot end, for its thread or task does not, ends with its process: after a failure no other clock runs."""
    faulthandler.dump_traceback_later(TIDYING_SECONDS_MAX, exit=True, file=sys.__stderr__)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
