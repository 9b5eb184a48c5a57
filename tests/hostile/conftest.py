"""Thousands of refusals are meant here: their log lines would be most of the time."""

import logging

import pytest
import structlog


@pytest.fixture(autouse=True)
def _quiet():
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)
