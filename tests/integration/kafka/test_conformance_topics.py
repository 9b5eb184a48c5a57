"""The log's contract on Kafka: tests/conformance/test_topics.py as it stands."""

from tests.conformance.test_topics import *  # noqa: F403 - its tests are collected here, with this folder's `cluster`
