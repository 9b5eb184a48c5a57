"""The gateway as a server, inside an event loop that has other things to do (`perdure dev`, services/gateway)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import structlog
import uvicorn
from fastapi import FastAPI

from perdure.core.errors import PerdureError
from perdure.core.limits import GATEWAY_HEADER_BYTES_MAX
from perdure.gateway.acceptor import Acceptor
from perdure.gateway.connections import Connection
from perdure.gateway.protocol import GatewayProtocol
from perdure.gateway.settings import GatewaySettings, is_loopback

__all__ = ["AddressInUse", "GatewayServer"]

log = structlog.get_logger(__name__)

GRACE_SECONDS = 2
"""What open requests (long polls above all) are given when the server stops."""

BACKLOG = 2048
"""Connections that the kernel holds until they are accepted."""


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
            proxy_headers=False,  # a client's address is its connection's: whoever could say another had another rate
            timeout_graceful_shutdown=GRACE_SECONDS,
            http="h11", h11_max_incomplete_event_size=GATEWAY_HEADER_BYTES_MAX,  # the other parser has no bound for headers
        )  # fmt: skip
        self._server = _Server(config, self._settings, listener, tls)
        self._task = asyncio.get_running_loop().create_task(self._server.serve())
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
    """Accepts by itself, says when it is up, and leaves the signals to the program around it."""

    def __init__(
        self, config: uvicorn.Config, settings: GatewaySettings, listener: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._settings = settings
        self.acceptor = Acceptor(listener, tls, settings.head_seconds, self._protocol)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets
        await super().startup([])  # none for uvicorn to listen on
        self.acceptor.start()
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.acceptor.stop()
        await super().shutdown(sockets)

    def _protocol(self, connection: Connection) -> GatewayProtocol:
        return GatewayProtocol(
            connection, self.config, self.server_state,
            head_seconds=self._settings.head_seconds, body_seconds=self._settings.body_seconds,
        )  # fmt: skip

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=False)
        # For its connections: asyncio sets it on those only that were made with the protocol's number. Head and body are two
        # writes, and the second would wait for the client's delayed acknowledgement, 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise AddressInUse(
            f"the gateway cannot listen on {host}:{port} ({error.strerror}): stop what listens there, or set another port "
            "(PERDURE_GATEWAY_PORT, --port; 0 takes a free one)"
        ) from None
