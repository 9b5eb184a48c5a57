"""Sentences of the ports, on the simulated brokers."""

from tests.conformance.test_topics import *  # noqa: F403
