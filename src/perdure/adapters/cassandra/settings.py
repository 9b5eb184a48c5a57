"""What an operator may set about Cassandra, and what the driver gets from it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CONSISTENCIES", "CassandraSecurity", "CassandraSettings", "parse_address"]

SCHEME = "cassandra://"
DEFAULT_PORT = 9042
CONSISTENCIES = ("LOCAL_QUORUM", "LOCAL_ONE", "QUORUM", "EACH_QUORUM")

Hosts = tuple[tuple[str, int], ...]


def parse_address(address: str) -> tuple[Hosts, str]:
    """`cassandra://host:port,host/keyspace` as ((host, port), …) and the keyspace. ValueError names what is wrong."""
    if not address.startswith(SCHEME):
        raise ValueError(f"{_shown(address)!r} is no address of Cassandra: write {SCHEME}host:port,host:port/keyspace")
    if "@" in address:
        raise ValueError("an address of Cassandra holds no user and no password: set them in their own settings")
    servers, _, keyspace = address.removeprefix(SCHEME).partition("/")
    _check_keyspace(keyspace)
    hosts = []
    for server in servers.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not colon:
            host, port = server.strip(), str(DEFAULT_PORT)
        if not host or not port.isdigit():
            raise ValueError(f"{server!r} in {address!r} is no host:port")
        hosts.append((host, int(port)))
    return tuple(hosts), keyspace


def _shown(address: str) -> str:
    """Somebody may have written a password into it."""
    return re.sub(r"//[^/]*@", "//…@", address)


def _check_keyspace(keyspace: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", keyspace):
        raise ValueError(f"{keyspace!r} is no keyspace: a lower-case letter, then up to 47 of a-z, 0-9 and _")


@dataclass(slots=True, frozen=True)
class CassandraSecurity:
    """Passed through to the driver. Secrets are kept out of repr, and so out of logs."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    auth_provider: Any = field(default=None, repr=False)  # a cassandra.auth.AuthProvider, instead of the above
    tls: bool = False
    ca_file: str | None = None  # none: the system's authorities
    certificate_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    check_hostname: bool = True

    def ssl_context(self) -> ssl.SSLContext | None:
        """Raises OSError or ssl.SSLError for files that cannot be used."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        context.check_hostname = self.check_hostname
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file, self.key_file, self.key_password)
        return context


@dataclass(slots=True, frozen=True)
class CassandraSettings:
    """One process's way to a cluster."""

    hosts: Hosts
    keyspace: str
    security: CassandraSecurity = CassandraSecurity()
    consistency: str = "LOCAL_QUORUM"  # LOCAL_ONE for a single development node
    local_dc: str = ""  # none: the data centre of the hosts given
    request_timeout_s: float = 5.0
    connect_timeout_s: float = 10.0
    in_flight: int = 32  # requests at once: one takes 0.2 ms of the event loop, and a burst must not be felt there

    def __post_init__(self) -> None:
        _check_keyspace(self.keyspace)
        if self.consistency not in CONSISTENCIES:
            raise ValueError(f"{self.consistency!r} is no consistency for a store: one of {', '.join(CONSISTENCIES)}")

    @property
    def shown_hosts(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in self.hosts)
