"""The gateway as a server, inside an event loop that has other things to do (`perdure dev`, services/gateway)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import structlog
import uvicorn
from fastapi import FastAPI

from perdure.core.errors import PerdureError
from perdure.core.limits import GATEWAY_CONNECTIONS_MAX, GATEWAY_HEADER_BYTES_MAX
from perdure.gateway.settings import GatewaySettings, is_loopback

__all__ = ["AddressInUse", "GatewayServer"]

log = structlog.get_logger(__name__)

GRACE_SECONDS = 2
"""What open requests (long polls above all) are given when the server stops."""


class AddressInUse(PerdureError):
    """Another program listens on the gateway's port."""


class GatewayServer:
    """`start` returns when requests are answered; `url` then tells where."""

    def __init__(self, app: FastAPI, settings: GatewaySettings) -> None:
        self._app = app
        self._settings = settings
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> None:
        """Raises AddressInUse."""
        listener = _listen(self._settings.host, self._settings.port)
        host, port = listener.getsockname()[:2]
        tls = self._settings.tls()
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        config = uvicorn.Config(
            self._app, log_config=None, access_log=False, server_header=False, lifespan="off", ws="none",
            ssl_context_factory=None if tls is None else lambda *_: tls,
            proxy_headers=False,  # a client's address is its connection's: whoever could say another had another rate
            timeout_graceful_shutdown=GRACE_SECONDS, limit_concurrency=GATEWAY_CONNECTIONS_MAX,
            http="h11", h11_max_incomplete_event_size=GATEWAY_HEADER_BYTES_MAX,  # the other parser has no bound for headers
        )  # fmt: skip
        self._server = _Server(config)
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[listener]))
        ready = asyncio.ensure_future(self._server.ready.wait())
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task
        guarded = self._settings.callers.are_known
        log.info("the gateway listens", url=self.url, token=guarded)
        if tls is None and not is_loopback(self._settings.host):
            log.warning(
                "tokens and payloads travel unencrypted: set PERDURE_GATEWAY_CERTIFICATE_FILE, or put TLS in front"
            )

    async def stop(self) -> None:
        """Finish what is being answered, then close the port. Twice is harmless."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
            self._server = self._task = None


class _Server(uvicorn.Server):
    """Says when it is up, and leaves the signals to the program around it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, reuse_port=False)
        # For its connections: asyncio sets it on those only that were made with the protocol's number. Head and body are two
        # writes, and the second would wait for the client's delayed acknowledgement, 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise AddressInUse(
            f"the gateway cannot listen on {host}:{port} ({error.strerror}): stop what listens there, or set another port "
            "(PERDURE_GATEWAY_PORT, --port; 0 takes a free one)"
        ) from None
