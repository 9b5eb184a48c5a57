"""Sentences of the ports, on the simulated brokers."""

from tests.conformance.test_writers import *  # noqa: F403
