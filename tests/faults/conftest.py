"""Real brokers for the faults that concern processes; those that concern brokers bring their own."""

from __future__ import annotations

import os
from itertools import count

import pytest

from tests.faults.scene import Scene
from tests.on_brokers import cassandra_address, kafka_address

__all__ = ["cassandra_address", "kafka_address"]

NUMBERS = count()


@pytest.fixture(scope="module")
def make_scene(kafka_address, cassandra_address, tmp_path_factory):
    """Scenes with a namespace and a keyspace of their own, closed at the module's end."""
    made = []

    def make(**more):
        name = f"f{os.getpid()}x{os.urandom(3).hex()}x{next(NUMBERS)}"
        made.append(Scene(kafka_address, cassandra_address, name, tmp_path_factory.mktemp(name), **more).__enter__())
        return made[-1]

    yield make
    for scene in made:
        scene.close()


@pytest.fixture(scope="module")
def scene(make_scene):
    """One for all tests of a module, for starting it takes longer than most faults."""
    return make_scene()
