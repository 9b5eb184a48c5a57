"""A service's own small HTTP port: /healthz (the loop turns), /readyz (it does its work), /metrics (Prometheus' text).

It tells counts and a sentence, nothing of any workflow, and takes nothing but GET.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import structlog
import uvicorn

from perdure.core.errors import PerdureError
from perdure.services.samples import CONTENT_TYPE

__all__ = ["ProbePortInUse", "Probes"]

log = structlog.get_logger("perdure.service")

PLAIN: Final = "text/plain; charset=utf-8"
ANSWER_SECONDS_MAX: Final = 5.0
"""For a probe: one that hangs is worse than one that says no."""


class ProbePortInUse(PerdureError):
    """Another program listens on the port of the probes."""


class Probes:
    """`unready` tells why the service is not ready ("" when it is); `metrics` gives the text of /metrics."""

    def __init__(
        self, host: str, port: int, *, unready: Callable[[], Awaitable[str]], metrics: Callable[[], Awaitable[str]]
    ) -> None:
        self._host = host
        self._port = port
        self._unready = unready
        self._metrics = metrics
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> None:
        """Returns when probes are answered. Raises ProbePortInUse."""
        listener = self._listen()
        host, port = listener.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        config = uvicorn.Config(
            self._answer, log_config=None, access_log=False, server_header=False, lifespan="off", ws="none",
            interface="asgi3", timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = _Server(config)
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[listener]))
        up = asyncio.ensure_future(self._server.up.wait())
        await asyncio.wait({up, self._task}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._task.done():
            await self._task

    async def stop(self) -> None:
        """Twice is harmless."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
            self._server = self._task = None

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            return socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            raise ProbePortInUse(
                f"the probes cannot listen on {self._host}:{self._port} ({error.strerror}): stop what listens there, or set "
                "PERDURE_HEALTH_PORT (0 takes a free one)"
            ) from None

    async def _answer(self, scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        del receive
        status, kind, text = await self._response(scope["method"], scope["path"])
        headers = [(b"content-type", kind.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else text.encode()})

    async def _response(self, method: str, path: str) -> tuple[int, str, str]:
        if path not in {"/healthz", "/readyz", "/metrics"}:
            return 404, PLAIN, "there is /healthz, /readyz and /metrics\n"
        if method not in {"GET", "HEAD"}:
            return 405, PLAIN, "GET only\n"
        if path == "/healthz":
            return 200, PLAIN, "ok\n"
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                if path == "/metrics":
                    return 200, CONTENT_TYPE, await self._metrics()
                reason = await self._unready()
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is no, and why
            why = str(error) or "no answer in time"
            log.warning("a probe could not be answered", path=path, error=why)
            return 503, PLAIN, f"{why}\n"
        return (503, PLAIN, f"{reason}\n") if reason else (200, PLAIN, "ready\n")


class _Server(uvicorn.Server):
    """Says when it is up, and leaves the signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
