"""A broker of one test's own, to be stopped, killed, frozen and started again on the same data.

`with private_kafka(folder) as kafka:` starts one and ends it whatever happens. It keeps its port over restarts, so
clients find it again at `kafka.address`. Each uses Docker if an engine answers, else Maven artefacts. Given addresses
are somebody's brokers and are never restarted: tests of restarts need Docker or Maven also where addresses are given,
and say so if there is neither.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

from tests.brokers import cassandra, docker, kafka
from tests.brokers.errors import BrokersUnavailable
from tests.brokers.places import held_port, say
from tests.brokers.processes import accepts, alive, end, spawn, wait_until_gone, wait_until_serving

__all__ = ["PrivateBroker", "private_cassandra", "private_kafka"]


def private_kafka(folder: Path, *, advertised: Sequence[int] = (), **changed: str) -> PrivateBroker:
    """One Kafka node with its data in `folder`. `changed`: broker settings, with `_` for `.`.

    `advertised`: ports of proxies. For each the node has one more listener, in `doors`, that sends clients there.
    """
    settings = {name.replace("_", "."): value for name, value in changed.items()}
    return PrivateBroker("kafka", kafka, folder, settings, advertised)


def private_cassandra(folder: Path) -> PrivateBroker:
    """One Cassandra node with its data in `folder`."""
    return PrivateBroker("cassandra", cassandra, folder)


class PrivateBroker:
    """Not running until start(). Every method is bounded and does its work before it returns; none is a coroutine."""

    def __init__(
        self,
        name: str,
        kind: ModuleType,
        folder: Path,
        settings: dict[str, str] | None = None,
        advertised: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.folder = folder / name
        self.port = 0
        self._kind = kind
        self._settings = settings or {}
        self._held = [held_port() for _ in advertised]
        self.doors = {held.getsockname()[1]: port for held, port in zip(self._held, advertised, strict=True)}
        self._command: list[str] = []
        self._pid = 0
        self._container = ""
        self._paused = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "output.log"

    def start(self) -> None:
        """Until it serves clients. Raises BrokersUnavailable."""
        if self._running():
            return
        if not self.port:
            self._prepare()
        if self._container:
            docker.start(self._container)
        else:
            self._pid = spawn(self._command, self.log)
        try:
            wait_until_serving(self.name, self._serves, self._running, self.log)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """SIGTERM: it ends as an operator ends it. SIGKILL if it does not."""
        if self._paused:
            self.resume()
        if self._container:
            docker.end(self._container)
        elif self._pid:
            end(self._pid, str(self.folder))

    def kill(self) -> None:
        self._paused = False
        if self._container:
            docker.kill(self._container)
        elif self._pid:
            self._signal(signal.SIGKILL)
            wait_until_gone(self._pid, str(self.folder))

    def pause(self) -> None:
        """It keeps its connections and answers nothing."""
        self._paused = True
        if self._container:
            docker.pause(self._container)
        else:
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._paused = False
        if self._container:
            docker.resume(self._container)
        else:
            self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._container:
            docker.remove(self._container)
        for held in self._held:
            held.close()

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True)
        if docker.engine_answers():
            arguments: Callable[[int], list[str]] = self._arguments
            self._container, self.port = docker.create(self.name, arguments)
            return
        try:
            self._command, self.port = self._kind.prepare(self.folder, self.log, **self._options())
        except BrokersUnavailable as error:
            raise BrokersUnavailable(
                f"a test that restarts {self.name} needs one of its own, also where PERDURE_TEST_{self.name.upper()} "
                f"gives one: {error}"
            ) from error
        say(f"{self.name} of a test on {self.address} (log: {self.log})")

    def _arguments(self, port: int) -> list[str]:
        arguments: list[str] = self._kind.container_arguments(port, **self._options())
        return arguments

    def _options(self) -> dict[str, Any]:
        return {name: given for name, given in (("changed", self._settings), ("doors", self.doors)) if given}

    def _serves(self) -> bool:
        return accepts(self.port)

    def _running(self) -> bool:
        if self._container:
            return docker.running(self._container)
        return bool(self._pid) and alive(self._pid, str(self.folder))

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._running():
                os.kill(self._pid, number)
