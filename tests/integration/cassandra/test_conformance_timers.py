"""The timer store's contract on Cassandra: tests/conformance/test_timer_store.py as it stands."""

from tests.conformance.test_timer_store import *  # noqa: F403 - its tests are collected here, with this folder's `cluster`
