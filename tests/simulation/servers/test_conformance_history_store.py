"""Sentences of the ports, on the simulated stores."""

from tests.conformance.test_history_store import *  # noqa: F403
