"""The log's contract on Kafka: tests/conformance/test_writers.py as it stands."""

from tests.conformance.test_writers import *  # noqa: F403 - its tests are collected here, with this folder's `cluster`
