"""What user code tells a test, and a test tells user code, whichever process that code runs in.

Law: a file is the only thing that both sides hold. Each entry is one write to a file opened for appending, so that
entries of several processes neither mix nor overwrite each other; whoever looks reads the file anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.01


class Ledger(Sequence[Any]):
    """A list that only grows, of what JSON holds: a tuple comes back as a list."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def append(self, entry: Any) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, json.dumps(entry).encode() + b"\n")
        finally:
            os.close(file)

    def __getitem__(self, index: Any) -> Any:
        return self._entries()[index]

    def __len__(self) -> int:
        return len(self._entries())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._entries())

    def __eq__(self, other: object) -> bool:
        return self._entries() == (list(other) if isinstance(other, Sequence) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Ledger({self._entries()})"

    def _entries(self) -> list[Any]:
        lines = self._path.read_bytes().split(b"\n")
        return [json.loads(line) for line in lines[:-1]]  # what follows the last newline is being written


class Signal:
    """threading.Event for all processes: a file that is there or not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = os.getpid()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def set(self) -> None:
        self._path.touch()
        for loop, arrived in self._waiting:
            loop.call_soon_threadsafe(lambda arrived=arrived: arrived.done() or arrived.set_result(None))

    def is_set(self) -> bool:
        return self._path.exists()

    def wait(self, seconds: float) -> bool:
        """Whether it was set in that time; blocks its thread."""
        deadline = time.monotonic() + seconds
        while not self.is_set():
            if time.monotonic() >= deadline:
                return False
            time.sleep(min(POLL_SECONDS, seconds))
        return True

    async def arrived(self) -> None:
        """Once it is set. In the process that sets it nothing is polled: a virtual clock would run after it."""
        if os.getpid() == self._process:
            loop = asyncio.get_running_loop()
            self._waiting.append((loop, loop.create_future()))
            if not self.is_set():
                await self._waiting[-1][1]
            return
        while not self.is_set():
            await asyncio.sleep(POLL_SECONDS)
