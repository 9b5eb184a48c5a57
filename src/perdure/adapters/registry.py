"""A schema registry over HTTP, as Confluent's and those that speak its language: `GET <address>/schemas/ids/{id}`.

An answer is read up to a bound and within a time, redirects are not followed, and a proxy of the environment is asked only
where the address is not this machine. No user and no password stands in an address, an error or a repr.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from perdure.core.limits import SCHEMA_BYTES_MAX
from perdure.ports.registry import RegistryUnavailable, SchemaRegistry, SchemaUnknown

__all__ = ["HttpRegistry", "RegistrySecurity"]

ANSWER_BYTES_MAX: Final = 2 * SCHEMA_BYTES_MAX  # a schema travels as JSON text in JSON: quotes are escaped
ACCEPT: Final = "application/vnd.schemaregistry.v1+json, application/json"
SCHEMA_NOT_FOUND: Final = 40403  # any other 404 is of a proxy, a wrong path, or a registry that is being set up
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(slots=True, frozen=True)
class RegistrySecurity:
    """Secrets are kept out of repr, and so out of logs."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None  # none: the system's authorities

    def ssl_context(self) -> ssl.SSLContext:
        """Raises OSError or ssl.SSLError for a file that cannot be used."""
        return ssl.create_default_context(cafile=self.ca_file)


class HttpRegistry(SchemaRegistry):
    """`address`: http(s)://host:port and perhaps a path. `through` replaces the network (tests)."""

    def __init__(
        self,
        address: str,
        security: RegistrySecurity | None = None,
        *,
        timeout_s: float = 5.0,
        through: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        security = security or RegistrySecurity()
        self._address = address.rstrip("/")
        self._timeout_s = timeout_s
        parts = urlsplit(self._address)
        self._host = parts.netloc
        auth = httpx.BasicAuth(security.username, security.password or "") if security.username is not None else None
        self._http = httpx.AsyncClient(
            auth=auth,
            headers={"accept": ACCEPT, "accept-encoding": "identity"},  # nothing is unpacked beyond its bound
            verify=security.ssl_context() if parts.scheme == "https" else True,
            transport=through,
            trust_env=parts.hostname not in LOOPBACK,
            follow_redirects=False,
        )

    async def schema(self, schema_id: int) -> Any:
        status, body = await self._get(f"{self._address}/schemas/ids/{schema_id}")
        if status == httpx.codes.NOT_FOUND:
            if _error_code(_parsed(body)) == SCHEMA_NOT_FOUND:
                raise SchemaUnknown(f"the registry {self._host} has no schema {schema_id}")
            raise self._away(
                f"answers HTTP 404 without the error code {SCHEMA_NOT_FOUND}: is the address a registry's?"
            )
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self._away(
                f"refuses us (HTTP {status}): check PERDURE_SCHEMA_REGISTRY_USERNAME and PERDURE_SCHEMA_REGISTRY_PASSWORD"
            )
        if status != httpx.codes.OK:
            raise self._away(f"answers HTTP {status}")
        return self._schema_in(_parsed(body), schema_id)

    async def close(self) -> None:
        await self._http.aclose()

    async def _get(self, url: str) -> tuple[int, bytes]:
        """Status and body. Every wait together has one time: a registry that drips is as good as away."""
        body = bytearray()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._http.stream("GET", url, timeout=self._timeout_s) as response,
            ):
                async for part in response.aiter_raw(64 * 1024):
                    body += part
                    if len(body) > ANSWER_BYTES_MAX:
                        raise SchemaUnknown(
                            f"the registry {self._host} answers with more than a schema may have: {url}"
                        )
        except TimeoutError:
            raise self._away(f"did not answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise self._away(f"does not answer ({type(error).__name__}: {error})") from None
        return response.status_code, bytes(body)

    def _schema_in(self, answer: Any, schema_id: int) -> Any:
        if type(answer) is not dict or type(answer.get("schema")) is not str:
            raise self._away("answers with something else than a schema: is the address a registry's?")
        kind = answer.get("schemaType", "AVRO")
        if kind != "AVRO":
            raise SchemaUnknown(f"schema {schema_id} of the registry {self._host} is {str(kind)[:40]}, not Avro")
        if answer.get("references"):
            raise SchemaUnknown(
                f"schema {schema_id} of the registry {self._host} has references to others: register it as one, "
                "with what it refers to written out"
            )
        if len(answer["schema"]) > SCHEMA_BYTES_MAX:
            raise SchemaUnknown(
                f"schema {schema_id} of the registry {self._host} is larger than {SCHEMA_BYTES_MAX:,} bytes"
            )
        schema = _parsed(answer["schema"])
        if schema is None:
            raise SchemaUnknown(f"schema {schema_id} of the registry {self._host} is no JSON")
        return schema

    def _away(self, what: str) -> RegistryUnavailable:
        return RegistryUnavailable(f"the registry {self._host} {what}")


def _error_code(answer: Any) -> Any:
    """Of the registry's own; None for an answer of somebody else."""
    return answer.get("error_code") if type(answer) is dict else None


def _parsed(text: str | bytes) -> Any:
    """None for what is no JSON, or too deep for a parser."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None
