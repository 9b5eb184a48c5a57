"""For every test: every log line goes to standard error, and the engine finds the logs configured and leaves them alone."""

import sys

import pytest
import structlog

from tests.brokers import java

java.for_a_test_run()


@pytest.fixture(autouse=True)
def plain_logs():
    structlog.reset_defaults()
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    yield
    structlog.reset_defaults()
