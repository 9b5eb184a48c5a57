"""Sentences of the ports, on the simulated stores."""

from tests.conformance.test_timer_store import *  # noqa: F403
