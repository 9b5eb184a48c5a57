"""Kafka behind proxies: one listener for each, and each tells its clients to come to that proxy."""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest

from tests.brokers import kafka
from tests.brokers.places import held_port
from tests.brokers.private import private_kafka

DOORS = {5001: 6001, 5002: 6002}


def test_each_door_is_listened_on_and_tells_the_proxys_port():
    told = kafka.settings(9092, 9093, doors=DOORS)
    names = {"PLAINTEXT": (9092, 9092), "DOOR0": (5001, 6001), "DOOR1": (5002, 6002)}
    listened = [f"{name}://127.0.0.1:{port}" for name, (port, _) in names.items()]
    assert told["listeners"].split(",") == [*listened, "CONTROLLER://127.0.0.1:9093"]
    assert told["advertised.listeners"].split(",") == [
        f"{name}://127.0.0.1:{port}" for name, (_, port) in names.items()
    ]
    protocols = dict(each.split(":") for each in told["listener.security.protocol.map"].split(","))
    assert protocols == dict.fromkeys([*names, "CONTROLLER"], "PLAINTEXT")


def test_a_container_publishes_its_doors():
    arguments = kafka.container_arguments(9092, doors=DOORS)
    published = [after for word, after in pairwise(arguments) if word == "-p"]
    assert published == [f"127.0.0.1:{port}:{port}" for port in (9092, 5001, 5002)]
    assert any(word.startswith("KAFKA_ADVERTISED_LISTENERS=") and "6002" in word for word in arguments)


def test_a_broker_of_ones_own_holds_a_port_for_each_proxy_until_it_is_over(tmp_path):
    broker = private_kafka(tmp_path, advertised=[6001, 6002])
    assert list(broker.doors.values()) == [6001, 6002]
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", next(iter(broker.doors))))
    broker.__exit__(None, None, None)  # never started
    with socket.socket() as other:
        other.bind(("127.0.0.1", next(iter(broker.doors))))


def test_a_held_port_may_be_listened_on_by_who_says_so_and_again_after_that():
    with held_port() as held:
        for _ in range(2):
            with socket.create_server(held.getsockname()) as server:  # sets SO_REUSEADDR
                socket.create_connection(server.getsockname(), timeout=30).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(held.getsockname(), timeout=30)
