"""Sentences of the ports, on the simulated brokers."""

from tests.conformance.test_groups import *  # noqa: F403
