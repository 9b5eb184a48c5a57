from __future__ import annotations

import os

import pytest

from tests.services import worlds


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Nothing of the machine's own, and the two addresses that every service needs."""
    for name in list(os.environ):
        if name.startswith("PERDURE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PERDURE_LOG", "kafka://127.0.0.1:9092")
    monkeypatch.setenv("PERDURE_STORE", "cassandra://127.0.0.1:9042/perdure")
    return monkeypatch


@pytest.fixture
async def world(environment):
    environment.setenv("PERDURE_GATEWAY_PORT", "0")
    worlds.held.clear()
    worlds.running.clear()
    made = worlds.World()
    await made.bootstrap()
    yield made
    worlds.held.set()
    await made.close()
