"""What every request passes before a route sees it. Denies by default.

1. The path: each segment is decoded on its own, so that an id may hold a slash (as %2F) or anything else. Routes see
   segments with only % and / still escaped, and undo that (`perdure.gateway.parameters`).
2. The API token, where one is set. Else only this machine may ask, and a web page in its browser may not: a page can
   reach loopback, too, by a form or by a name that resolves to it. So the Host must be this machine's, and an Origin,
   if there is one, the gateway's own.
   Who holds a named token is told to the routes as X-Requested-By, whatever the request says, unless it may name others.
3. How often this client asks: by its token's name, else by its address. What is refused is counted apart from that:
   whoever guesses tokens, or a web page that tries, slows down nobody who may ask from the same address.
4. The number of requests that are answered at once, of known connections and of bytes in bodies. Probes are answered in
   any case, and take nobody's place.
5. The body's size, counted as it comes. Its length is said in one way only.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perdure.client.http_transport import API_TOKEN_HEADER
from perdure.core.limits import GATEWAY_BODY_WAIT_SECONDS, GATEWAY_CONNECTIONS_MAX, GATEWAY_REQUESTS_MAX
from perdure.gateway.bodies import Bodies, NoRoom, Room
from perdure.gateway.callers import Caller
from perdure.gateway.connections import CONNECTION
from perdure.gateway.problems import Problem, answer
from perdure.gateway.rates import Rates
from perdure.gateway.settings import GatewaySettings, is_loopback

__all__ = ["OPEN_PATHS", "Gate"]

OPEN_PATHS: Final = ("/healthz", "/readyz", "/openapi.json")
"""Probes and the description of the API hold nothing of anybody's."""

REQUESTED_BY_HEADER: Final = "x-requested-by"


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._body_bytes_max = settings.body_bytes_max
        self._under_way = 0
        self._bodies = Bodies(settings.bodies_bytes_max)
        self._callers = settings.callers
        self._rates = Rates(settings.requests_per_second, settings.requests_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            _check_framing(headers)
            scope = {**scope, "path": _routable(scope)}
            guarded = scope["path"] not in OPEN_PATHS
            if guarded:
                scope["headers"] = self._let_in(scope, headers)
            size = self._checked_length(headers)
            if guarded:
                self._check_load(scope)
        except Problem as problem:
            await answer(problem)(scope, receive, send)
            return
        if guarded:
            await self._answer(scope, receive, send, size)
        else:
            await self._app(scope, self._counted(receive, Room(self._bodies, 0)), send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, size: int) -> None:
        self._under_way += 1
        try:
            await self._bodies.take(size)
            room = Room(self._bodies, size)
            try:
                await self._app(scope, self._counted(receive, room), send)
            finally:
                room.give_back()
        except NoRoom:
            await answer(_busy("the bodies of others take all the room there is"))(scope, receive, send)
        finally:
            self._under_way -= 1

    def _let_in(self, scope: Scope, headers: Headers) -> list[tuple[bytes, bytes]]:
        """The headers that the routes see."""
        caller = self._callers.of(_token_in(headers)) if self._callers.are_known else Caller()
        address = f"address {(scope.get('client') or ('',))[0]}"
        try:
            seen = self._check_caller(caller, headers, scope["headers"])
        except Problem:
            self._check_rate(f"refused of {address}")
            raise
        self._check_rate(f"token {caller.name}" if caller is not None and caller.name else address)
        return seen

    def _check_rate(self, client: str) -> None:
        pause_s = self._rates.take(client, asyncio.get_running_loop().time())
        if pause_s:
            problem = Problem(429, "ERR_TOO_MANY_REQUESTS", "this client asks too often: wait as Retry-After says")
            problem.headers = {"Retry-After": str(math.ceil(pause_s))}
            raise problem

    def _check_caller(
        self, caller: Caller | None, headers: Headers, raw: list[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        """The headers that the routes see."""
        if caller is None:
            raise Problem(401, "ERR_UNAUTHORIZED", f"send the API token in the header {API_TOKEN_HEADER}")
        if self._callers.are_known:
            if not caller.name or (caller.may_name_others and REQUESTED_BY_HEADER in headers):
                return raw
            others = [each for each in raw if each[0].lower() != REQUESTED_BY_HEADER.encode()]
            return [*others, (REQUESTED_BY_HEADER.encode(), caller.name.encode())]
        host = headers.get("host", "")
        if not is_loopback(_name_of(host)):
            raise Problem(
                403, "ERR_FORBIDDEN", f"without an API token the gateway answers this machine only, not '{host}'"
            )
        origin = headers.get("origin")
        if origin is not None and _netloc_of(origin) != host:
            raise Problem(403, "ERR_FORBIDDEN", "requests of web pages are refused while no API token is set")
        return raw

    def _checked_length(self, headers: Headers) -> int:
        """Bytes that the body has as it says, else at most, if it comes in chunks."""
        said = headers.get("content-length")
        if said is None:
            return self._body_bytes_max if "transfer-encoding" in headers else 0
        length = int(said.lstrip("0")[:20] or "0") if said.isdecimal() else self._body_bytes_max
        if length > self._body_bytes_max:
            raise self._too_large()
        return length

    def _check_load(self, scope: Scope) -> None:
        if self._under_way >= GATEWAY_REQUESTS_MAX:
            text = f"{self._under_way:,} requests are being answered, long polls among them: ask again, or start another gateway"
            raise Problem(429, "ERR_TOO_MANY_REQUESTS", text)
        connection = scope.get("state", {}).get(CONNECTION)
        if connection is not None and not connection.become_known():
            raise _busy(f"{GATEWAY_CONNECTIONS_MAX:,} connections are open: close those that are idle")

    def _counted(self, receive: Receive, room: Room) -> Receive:
        received, whole = 0, False

        async def counted() -> Message:
            nonlocal received, whole
            message = await receive()
            if message["type"] == "http.disconnect" and not whole:  # the route would call it a fault of ours
                raise Problem(400, "ERR_MALFORMED_REQUEST", "the connection ended before the body did")
            received += len(message.get("body", b""))
            if received > self._body_bytes_max:
                raise self._too_large()
            whole = not message.get("more_body", False)
            if whole:
                room.keep(received)
            return message

        return counted

    def _too_large(self) -> Problem:
        text = (
            f"the body is over {self._body_bytes_max:,} bytes: keep large data in a store of your own, pass a reference"
        )
        return Problem(413, "ERR_PAYLOAD_TOO_LARGE", text)


def _busy(why: str) -> Problem:
    problem = Problem(503, "ERR_GATEWAY_BUSY", f"{why}; ask again, or start another gateway")
    problem.headers = {"Retry-After": str(GATEWAY_BODY_WAIT_SECONDS)}
    return problem


def _check_framing(headers: Headers) -> None:
    """One way to tell where the body ends: with two, what is before us may have read the other one."""
    if "transfer-encoding" in headers and "content-length" in headers:
        text = "Content-Length beside Transfer-Encoding: send one of them"
        problem = Problem(400, "ERR_MALFORMED_REQUEST", text)
        problem.headers = {"Connection": "close"}  # what comes after its head is nobody's request
        raise problem


def _routable(scope: Mapping[str, bytes]) -> str:
    try:
        segments = [unquote(each, errors="strict") for each in scope["raw_path"].decode("ascii").split("/")]
    except UnicodeDecodeError:
        raise Problem(400, "ERR_MALFORMED_REQUEST", "the path is not UTF-8, percent-encoded") from None
    return "/".join(each.replace("%", "%25").replace("/", "%2F") for each in segments)


def _netloc_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # "http://[::1" and the like
        return ""


def _token_in(headers: Headers) -> bytes:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    bearer = credentials.strip() if scheme.lower() == "bearer" else ""
    return (headers.get(API_TOKEN_HEADER) or bearer).encode("latin-1")


def _name_of(host: str) -> str:
    return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
