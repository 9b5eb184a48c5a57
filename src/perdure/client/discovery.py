"""Finding the engine, in this order: what the constructor was given, the environment, the engine running in this
process, a gateway at the default address. Else an error that names all four.

An address is a gateway's URL, or that of the log, kafka://host:port: then no gateway is needed. This is where a client
over HTTP is put together, so it takes the real clock and chance itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.client.client import AsyncWorkflowClient
from perdure.client.errors import EngineNotFound
from perdure.client.http_transport import HttpTransport
from perdure.client.portal import Portal
from perdure.client.running import Engine, engines
from perdure.client.sync import WorkflowClient
from perdure.workflow.app import App

__all__ = ["DEFAULT_URL", "Endpoint", "Given", "address", "answers", "client_of", "find_engine", "remote_client"]

DEFAULT_URL: Final = "http://127.0.0.1:3500"
ENDPOINTS: Final = ("PERDURE_ENDPOINT", "DAPR_HTTP_ENDPOINT")
TOKENS: Final = ("PERDURE_API_TOKEN", "DAPR_API_TOKEN")
CA_FILE: Final = "PERDURE_ENDPOINT_CA_FILE"
PROBE_SECONDS: Final = 1.0
LOG_SCHEME: Final = "kafka://"
_SERVER: Final = re.compile(r"([^\s:@/]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


@dataclass(slots=True, frozen=True)
class Endpoint:
    """A gateway by its root URL, or the log by its servers, kafka://host:port,host:port; that takes no token."""

    url: str
    api_token: str = field(default="", repr=False)

    @property
    def is_log(self) -> bool:
        return self.url.startswith(LOG_SCHEME)


Given = str | Endpoint | Engine | WorkflowClient | None
"""What a constructor may be given: a URL, host[:port] or kafka://host:port, an engine, a client whose engine is meant; None: find it."""


def find_engine(
    given: Given = None,
    *,
    port: str | int | None = None,
    api_token: str | None = None,
    environ: Mapping[str, str] = os.environ,
    probe: Callable[[str], bool] | None = None,
) -> Endpoint | Engine | WorkflowClient:
    """Raises EngineNotFound. `probe` says whether a gateway answers at a URL."""
    token = api_token if api_token is not None else _first(environ, TOKENS)
    if given is not None and not isinstance(given, str):
        return given
    if given or port is not None:
        return Endpoint(address(given or "127.0.0.1", port), token)
    configured = _first(environ, ENDPOINTS)
    if configured:
        return Endpoint(address(configured), token)
    running = engines()
    if len(running) > 1:
        raise EngineNotFound(f"{len(running)} engines run in this process: give the client the one that you mean")
    if running:
        return running[0]
    if (probe or answers)(DEFAULT_URL):
        return Endpoint(DEFAULT_URL, token)
    raise EngineNotFound(
        "no engine found. A client looks for it in this order: (1) its constructor's argument, an engine, a gateway's URL "
        f"or kafka://host:port: none was given; (2) the environment, {' then '.join(ENDPOINTS)}: not set; (3) an engine running in this "
        "process (perdure.embedded(app), or WorkflowRuntime.start()): there is none; (4) a gateway at "
        f"{DEFAULT_URL} (`perdure dev --app module:app`): nothing answers there"
    )


def client_of(engine: Engine, app: App | None = None) -> tuple[AsyncWorkflowClient, Portal]:
    """A client of an engine in this process, and the way into its loop."""
    known = app if app is not None else getattr(engine, "app", None)
    return AsyncWorkflowClient(engine.transport, app=known), engine.portal


def remote_client(endpoint: Endpoint, app: App | None = None) -> AsyncWorkflowClient:
    """A client over HTTP, or over the log, for the loop that uses it first. Raises SettingsWrong (a ValueError)."""
    if endpoint.is_log:
        from perdure.clusters import client_transport  # noqa: PLC0415 - a client over HTTP needs none of it

        return AsyncWorkflowClient(client_transport(endpoint.url), app=app)
    transport = HttpTransport(
        endpoint.url, SystemEntropy(), SystemClock(), api_token=endpoint.api_token, ca_file=os.environ.get(CA_FILE, "")
    )
    return AsyncWorkflowClient(transport, app=app)


def address(host: str, port: str | int | None = None) -> str:
    """A root URL of "host", "host:port" or a URL; a scheme that is not said is http. Raises ValueError."""
    if host.startswith(LOG_SCHEME):
        return _log_address(host, port)
    text = host.rstrip("/") if "://" in host else f"http://{host.rstrip('/')}"
    try:
        url = httpx.URL(text)
        if port is not None:
            url = url.copy_with(port=int(port))
    except (httpx.InvalidURL, ValueError) as error:
        raise ValueError(f"{host!r} is no address of a gateway, such as {DEFAULT_URL}: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{host!r} is no address of a gateway, such as {DEFAULT_URL}")
    return str(url).rstrip("/")


def _log_address(text: str, port: str | int | None) -> str:
    """Raises ValueError; what may hold a password is not repeated."""
    if "@" in text:
        raise ValueError(
            "the address of Kafka holds a user or a password: addresses are logged, so set PERDURE_KAFKA_USERNAME and "
            "PERDURE_KAFKA_PASSWORD instead"
        )
    servers = text.removeprefix(LOG_SCHEME).rstrip("/").split(",")
    if port is not None or not all(_SERVER.fullmatch(each.strip()) for each in servers):
        raise ValueError(
            f"{text!r} is no address of Kafka: write kafka://host:port, each server with its port, more after commas"
        )
    return LOG_SCHEME + ",".join(each.strip() for each in servers)


def answers(url: str) -> bool:
    """Whether a Perdure gateway is at this address of our own machine; a refused connection takes no time."""
    try:
        with httpx.Client(trust_env=False, timeout=PROBE_SECONDS) as http:
            found = http.get(f"{url}/healthz")
        return found.is_success and found.json().get("engine") == "perdure"
    except (httpx.TransportError, ValueError, AttributeError):
        return False


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")
