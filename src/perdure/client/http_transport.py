"""HTTP to a gateway's /v1 as transport. Every command carries its command_id as Idempotency-Key."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx

from perdure.client.errors import EngineUnavailable, Unauthorized, rejection_error
from perdure.client.http_requests import HttpRequest, request_for, segment
from perdure.client.ids import IdMint
from perdure.client.letter_wire import letter_page_from, letter_record_from, settlement_from
from perdure.client.transport import REQUEST_TIMEOUT_SECONDS, ClientCommand, Transport, Until
from perdure.client.wire import REASONS, event_from, rfc3339, row_from, snapshot_from
from perdure.core.errors import PayloadError
from perdure.core.replies import InstanceSnapshot, Reply
from perdure.letters import LetterFilter, LetterPage, LetterRecord, Settlement, Settling, check_letter_id
from perdure.ports.clock import Clock, Entropy
from perdure.ports.store import Filter, Page
from perdure.workflow.payloads import dumps, parsed

__all__ = ["API_TOKEN_HEADER", "HttpTransport"]

T = TypeVar("T")

API_TOKEN_HEADER = "dapr-api-token"  # noqa: S105 - the header's name
WAIT_SECONDS = 30.0  # of one long poll; the gateway allows 60
RETRY_SECONDS = 0.5
KEPT_CONNECTIONS_MAX = 100
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_CONNECTIONS_MAX)
"""A waiting client holds a connection: were there a most, a start would stand behind other workflows' ends. The gateway
refuses what is too much for it by name."""


class HttpTransport(Transport):
    """`url` is the gateway's root: http://127.0.0.1:3500. `ca_file`: the authority of its certificate, if not one of the
    system's; raises ValueError for what is none. `through` replaces the network (tests).
    """

    def __init__(
        self,
        url: str,
        entropy: Entropy,
        clock: Clock,
        *,
        api_token: str = "",
        ca_file: str = "",
        request_timeout_s: float = REQUEST_TIMEOUT_SECONDS,
        through: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.ids = IdMint(clock, entropy)
        self.url = url
        self._request_timeout_s = request_timeout_s
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={API_TOKEN_HEADER: api_token} if api_token else {},
            transport=through,
            limits=LIMITS,
            verify=_trusting(ca_file) if ca_file else True,
            trust_env=not _is_loopback(url),  # a proxy of the environment does not reach our own machine
        )

    async def send(self, instance_id: str, command: ClientCommand, *, timeout_s: float | None = None) -> Reply:
        if not command.command_id:
            command.command_id = self.ids.mint()
        wait_s = self._request_timeout_s if timeout_s is None else timeout_s
        response = await self._persist(request_for(instance_id, command), wait_s)
        if response.is_success:
            return Reply(command.command_id, "", accepted=True)
        reason, message = self._refusal(response)
        return Reply(command.command_id, "", accepted=False, reason=reason, message=message)

    async def inspect(
        self, instance_id: str, *, until: Until = "now", timeout_s: float | None = None, detail: bool = False
    ) -> InstanceSnapshot | None:
        path = f"/v1/instances/{segment(instance_id)}"
        if until == "now":
            asked = HttpRequest("GET", path + "/describe" if detail else path)
            return self._snapshot(await self._persist(asked, timeout_s or self._request_timeout_s))
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s if timeout_s else None
        while True:
            poll_s = WAIT_SECONDS if end is None else max(0.0, min(WAIT_SECONDS, end - loop.time()))
            asked = HttpRequest("GET", f"{path}/wait", {"until": until, "timeout": str(poll_s)})
            response = await self._persist(asked, poll_s + self._request_timeout_s)
            if response.status_code != httpx.codes.REQUEST_TIMEOUT:
                return self._snapshot(response)
            if end is not None and loop.time() >= end:
                raise TimeoutError(f"not {until}: '{instance_id}' within {timeout_s:g} s")

    async def list(self, where: Filter, limit: int, after: str = "") -> Page:
        query: dict[str, Any] = {"limit": str(limit), "name": list(where.names), "status": list(where.statuses)}
        texts = {"id_prefix": where.id_prefix, "page": after}
        query |= {name: text for name, text in texts.items() if text}
        times = {"created_from": where.created_from_us, "created_to": where.created_to_us}
        query |= {name: rfc3339(us) for name, us in times.items() if us}
        response = await self._persist(HttpRequest("GET", "/v1/instances", query), self._request_timeout_s)
        return self._read(
            response, lambda body: Page([row_from(each) for each in body["instances"]], str(body["next"]))
        )

    async def history(self, instance_id: str) -> Sequence[Any]:
        asked = HttpRequest("GET", f"/v1/instances/{segment(instance_id)}/history")
        response = await self._persist(asked, self._request_timeout_s)
        return self._read(response, lambda body: [event_from(each) for each in body["events"]])

    async def list_letters(self, where: LetterFilter, limit: int, after: str = "") -> LetterPage:
        asked = {"state": where.state, "instance_id": where.instance_id, "origin": where.origin, "reason": where.reason}
        query = {"limit": str(limit)} | {name: text for name, text in (asked | {"page": after}).items() if text}
        response = await self._persist(HttpRequest("GET", "/v1/dead-letters", query), self._request_timeout_s)
        return self._read(response, letter_page_from)

    async def letter(self, letter_id: str) -> LetterRecord | None:
        check_letter_id(letter_id)
        response = await self._persist(HttpRequest("GET", f"/v1/dead-letters/{letter_id}"), self._request_timeout_s)
        if not response.is_success:
            reason, message = self._refusal(response)
            if reason == "UnknownLetter":
                return None
            raise rejection_error(reason, message)
        return self._read(response, letter_record_from)

    async def settle_letters(
        self, letter_ids: Sequence[str], settling: Settling, *, request: str, requested_by: str = ""
    ) -> Sequence[Settlement]:
        headers = [(b"Idempotency-Key", request.encode()), (b"Content-Type", b"application/json")]
        if requested_by:
            headers.append((b"X-Requested-By", requested_by.encode()))
        body = dumps({"ids": list(letter_ids)}).encode()
        asked = HttpRequest("POST", f"/v1/dead-letters:{settling}", {}, body, headers)
        response = await self._persist(asked, self._request_timeout_s)
        return self._read(response, lambda answer: [settlement_from(each) for each in answer["letters"]])

    async def check(self) -> None:
        self._read(await self._persist(HttpRequest("GET", "/readyz"), self._request_timeout_s), lambda body: body)

    async def close(self) -> None:
        await self._http.aclose()

    async def _persist(self, asked: HttpRequest, wait_s: float) -> httpx.Response:
        """The answer, over as many connections as it takes: the command_id makes repeating safe."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        maybe_received = False
        while True:
            try:
                return await self._http.request(
                    asked.method, asked.path, params=asked.query, content=asked.body, headers=asked.headers,
                    timeout=max(0.001, end - loop.time()),
                )  # fmt: skip
            except httpx.TransportError as error:
                if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and not maybe_received:
                    raise EngineUnavailable(f"no gateway answers at {self.url}: {error}") from None
                maybe_received = True
            if loop.time() + RETRY_SECONDS >= end:
                raise TimeoutError(f"no answer from {self.url} within {wait_s:g} s; a request may have taken effect")
            await asyncio.sleep(RETRY_SECONDS)

    def _snapshot(self, response: httpx.Response) -> InstanceSnapshot | None:
        if response.is_success:
            return self._read(response, snapshot_from)
        reason, message = self._refusal(response)
        if reason == "UnknownInstance":
            return None
        raise rejection_error(reason, message)

    def _read(self, response: httpx.Response, made: Callable[[Any], T]) -> T:
        """What a successful answer's JSON means; EngineUnavailable for one that a gateway of ours would not give."""
        if not response.is_success:
            raise rejection_error(*self._refusal(response))
        try:
            return made(parsed(_text(response)))
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            RecursionError,
        ):  # PayloadError is a TypeError
            raise self._stranger(response) from None

    def _refusal(self, response: httpx.Response) -> tuple[str, str]:
        """(reason, message) of a rejection. Raises what is none: no token, an engine down, an answer that is not ours."""
        code, message = _error_of(response)
        if code in REASONS:
            return REASONS[code], message
        if code == "ERR_UNAUTHORIZED":
            raise Unauthorized(f"{self.url}: {message}")
        if code == "ERR_REQUEST_TIMEOUT":
            raise TimeoutError(message)
        if code == "ERR_MALFORMED_REQUEST":
            raise ValueError(message)
        if code:
            raise EngineUnavailable(f"{self.url} answers {code}: {message}")
        raise self._stranger(response)

    def _stranger(self, response: httpx.Response) -> EngineUnavailable:
        return EngineUnavailable(f"{self.url}: HTTP {response.status_code}, but no answer of a Perdure gateway")


def _error_of(response: httpx.Response) -> tuple[str, str]:
    try:
        body = parsed(_text(response))
        return str(body["errorCode"]), str(body["message"])
    except (PayloadError, TypeError, KeyError):
        return "", ""


def _text(response: httpx.Response) -> str:
    """Ours are UTF-8, whatever a stranger's headers say."""
    return response.content.decode("utf-8", "replace")


def _trusting(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(
            f"PERDURE_ENDPOINT_CA_FILE names no certificates: {ca_file} ({error.strerror or 'not PEM'})"
        ) from None


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
