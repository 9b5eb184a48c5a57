"""One set of acceptance tests for every engine: only what a user can call, and an engine that a fixture makes.

`kit` is the test kit (in memory, virtual time), `embedded` the engine on SQLite (real time), `services` the four
services as processes on real Kafka and Cassandra. A test that takes `world_of` runs on all three, one that takes
`real_world_of` on the latter two; one whose point is an engine's own takes `kit_of` or `embedded_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import perdure as wf
from tests.acceptance.ledger import Ledger, Signal
from tests.acceptance.world import SERVICES, EmbeddedWorld, KitWorld, World
from tests.on_brokers import cassandra_address, kafka_address, namespace

if TYPE_CHECKING:
    from tests.acceptance.ground import Ground
    from tests.acceptance.services_world import ServicesWorld

__all__ = ["cassandra_address", "kafka_address", "namespace"]


@pytest.fixture
def kit_of() -> Iterator[Callable[..., KitWorld]]:
    made: list[World] = []

    def make(app: wf.App, **options: Any) -> World:
        made.append(KitWorld(app, **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def embedded_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., EmbeddedWorld]]:
    monkeypatch.setenv("PERDURE_LOG_LEVEL", "ERROR")
    made: list[World] = []

    def make(app: wf.App, **options: Any) -> World:
        made.append(EmbeddedWorld(app, tmp_path / f"{len(made)}.db", **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture(scope="session")
def ground(kafka_address: str, cassandra_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    from tests.acceptance.ground import Ground

    made = Ground(kafka_address, cassandra_address, tmp_path_factory.mktemp("services"))
    yield made
    made.close()


@pytest.fixture
def services_of(ground: Ground, namespace: str) -> Iterator[Callable[..., ServicesWorld]]:
    from tests.acceptance.services_world import ServicesWorld

    made: list[World] = []

    def make(app: wf.App, **options: Any) -> World:
        made.append(ServicesWorld(app, ground, f"{namespace}n{len(made)}", **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture(params=["kit", "embedded", SERVICES])
def world_of(request: pytest.FixtureRequest) -> Callable[..., World]:
    """`world_of(app)` is an engine that serves the app until the test ends."""
    return request.getfixturevalue(f"{request.param}_of")


@pytest.fixture(params=["embedded", SERVICES])
def real_world_of(request: pytest.FixtureRequest) -> Callable[..., World]:
    """The same on the engines that live in real time and on real storage."""
    return request.getfixturevalue(f"{request.param}_of")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A list for what user code has to tell, in whichever process it runs."""
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def signal_of(tmp_path: Path) -> Callable[[str], Signal]:
    """Events by name, for all processes."""
    return lambda name: Signal(tmp_path / f"signal-{name}")
