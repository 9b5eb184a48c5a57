"""What an operator may set about Kafka, and the options that aiokafka's clients get from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

from aiokafka.helpers import create_ssl_context

from perdure.ports.errors import LogUnavailable

__all__ = ["KafkaSecurity", "KafkaSettings", "parse_servers"]

SCHEME = "kafka://"


def parse_servers(address: str) -> tuple[str, ...]:
    """`kafka://host:port,host:port` as ("host:port", "host:port"). Raises ValueError, naming what is wrong."""
    if not address.startswith(SCHEME):
        raise ValueError(f"{address!r} is no address of Kafka: write {SCHEME}host:port,host:port")
    servers = tuple(server.strip() for server in address.removeprefix(SCHEME).rstrip("/").split(","))
    for server in servers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"{server!r} in {address!r} is no host:port")
    return servers


@dataclass(slots=True, frozen=True)
class KafkaSecurity:
    """Passed through to aiokafka. Secrets are kept out of repr, and so out of logs."""

    protocol: str = "PLAINTEXT"  # PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
    mechanism: str = "PLAIN"  # PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, GSSAPI, OAUTHBEARER
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    kerberos_service: str = "kafka"
    kerberos_domain: str | None = None
    token_provider: Any = field(default=None, repr=False)  # aiokafka.abc.AbstractTokenProvider, for OAUTHBEARER
    ca_file: str | None = None  # none: the system's authorities
    certificate_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)

    def options(self) -> dict[str, Any]:
        """Keyword arguments of every client. Raises OSError or ssl.SSLError for files that cannot be used."""
        return {
            "security_protocol": self.protocol,
            "ssl_context": self._ssl_context(),
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "sasl_kerberos_service_name": self.kerberos_service,
            "sasl_kerberos_domain_name": self.kerberos_domain,
            "sasl_oauth_token_provider": self.token_provider,
        }

    def _ssl_context(self) -> SSLContext | None:
        if not self.protocol.endswith("SSL"):
            return None
        context: SSLContext = create_ssl_context(
            cafile=self.ca_file,
            certfile=self.certificate_file,
            keyfile=self.key_file,
            password=self.key_password,
        )
        return context


@dataclass(slots=True, frozen=True)
class KafkaSettings:
    """One process's way to a cluster. Times are milliseconds."""

    servers: tuple[str, ...]
    security: KafkaSecurity = KafkaSecurity()
    client_id: str = "perdure"
    replication: int = 3
    insync_min: int = 2
    session_timeout_ms: int = 6_000  # a dead or hanging member's partitions move after it
    heartbeat_interval_ms: int = 500  # a member learns of a rebalance by a heartbeat
    transaction_timeout_ms: int = 5_000  # a dead owner's open transaction blocks its readers at most so long
    request_timeout_ms: int = 15_000  # longer than a session: joining a group waits for the slowest member
    answer_timeout_ms: int = 10_000  # for a commit (then its outcome is unknown), an append, a look-up
    fetch_wait_ms: int = 100  # a request for records holds up a partition that wants to join it; see membership
    lazy_commit_interval_ms: int = 1_000
    metadata_age_ms: int = 30_000  # partitions that were added are noticed so late; aiokafka's is five minutes
    retry_backoff_ms: int = 5  # aiokafka's 100 makes a tenth of all commits take 100 ms
    transaction_backoff_ms: float = 2.0  # aiokafka's 20 may bound a producer to 25 transactions a second
    batch_bytes_max: int = 1_000_000  # aiokafka's 16 KiB makes a round trip of every few records

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments that producers, consumers and plain clients share. Raises LogUnavailable: files for TLS are read
        for each client, and may be there again for the next, as where certificates are renewed.
        """
        try:
            security = self.security.options()
        except OSError as error:
            raise LogUnavailable(f"the files for TLS cannot be used now ({error.strerror or error})") from error
        return {
            "bootstrap_servers": list(self.servers),
            "client_id": self.client_id,
            "request_timeout_ms": self.request_timeout_ms,
            "retry_backoff_ms": self.retry_backoff_ms,
            "metadata_max_age_ms": self.metadata_age_ms,
            **security,
        }

    @property
    def answer_timeout_s(self) -> float:
        return self.answer_timeout_ms / 1000
