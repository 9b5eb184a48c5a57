"""For every test: logs as they are without an application's configuration, which the engine then leaves alone."""

import pytest
import structlog


@pytest.fixture(autouse=True)
def plain_logs():
    structlog.reset_defaults()
    structlog.configure()
    yield
    structlog.reset_defaults()
