"""Sentences of the ports, on the simulated brokers."""

from tests.conformance.test_readers import *  # noqa: F403
