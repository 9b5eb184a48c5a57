"""The command line in this process against a real engine in this process, and, for `dev`, in a process of its own."""

from __future__ import annotations

import importlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.embedding import EmbeddedEngine
from tests.cli.terminal import HERE, dev_process, run_cli


@pytest.fixture(autouse=True)
def _no_engine_of_the_environment(monkeypatch):
    for name in ("PERDURE_ENDPOINT", "DAPR_HTTP_ENDPOINT", "PERDURE_API_TOKEN", "PERDURE_DB", "PERDURE_GATEWAY_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli():
    return run_cli


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("engine") / "shop.db"


@pytest.fixture(scope="module")
def engine(database) -> Iterator[EmbeddedEngine]:
    """The shop, which commands without an endpoint find because it runs in this process."""
    sys.path.insert(0, str(HERE))
    try:
        shop = importlib.import_module("shop")
    finally:
        sys.path.remove(str(HERE))
    running = EmbeddedEngine(shop.app, database)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def dev():
    return dev_process


@pytest.fixture
def free_port() -> int:
    """One on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
