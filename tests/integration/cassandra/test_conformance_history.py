"""The history store's contract on Cassandra: tests/conformance/test_history_store.py as it stands."""

from tests.conformance.test_history_store import *  # noqa: F403 - its tests are collected here, with this folder's `cluster`
