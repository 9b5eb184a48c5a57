"""What the environment tells a service (`PERDURE_…`), read once at start.

Law: no secret leaves this module but by `get_secret_value` in `perdure.assembly`. Addresses that carry a user or a
password are refused without being repeated, and errors are written from the rules' own texts, never from the input.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from perdure.cli.exits import UsageError
from perdure.core.ages import read_ages
from perdure.core.limits import AGE_DAYS_MAX
from perdure.gateway.settings import GatewaySettings
from perdure.roles.orchestrator.settings import DEAD_LETTER_DAYS

__all__ = [
    "HEALTH_PORTS",
    "PARTITIONS_DEFAULT",
    "LogClientSettings",
    "ServiceSettings",
    "SettingsWrong",
    "read_client_settings",
    "read_gateway_settings",
    "read_settings",
]

PARTITIONS_DEFAULT: Final = 4
"""Enough for four orchestrators; each partition costs a producer, and commits of its own (docs/performance.md).
More can be added later, while no orchestrator runs (`perdure grow`)."""

HEALTH_PORTS: Final = {
    "orchestrator": 9401,
    "activity-worker": 9402,
    "timer": 9403,
    "gateway": 9404,
    "subscriber": 9405,
}
"""Where a role's probes listen unless PERDURE_HEALTH_PORT says otherwise: different, to share a machine."""

PREFIX: Final = "PERDURE_"
_CHECKED_PREFIXES: Final = ("PERDURE_KAFKA_", "PERDURE_CASSANDRA_", "PERDURE_SCHEMA_")
_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:@/,\[\]]+):([0-9]{1,5})")
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_REGISTRY: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s:@/?#\[\]]+)(:[0-9]{1,5})?(/[^\s?#@]*)?")
_KEYSPACE: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class SettingsWrong(UsageError):
    """The environment lacks something, or holds something that cannot be: the text names each and what to do."""


class ServiceSettings(BaseSettings):
    """One process's surroundings. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True)

    log: str = Field(description="kafka://host:port,host:port")
    store: str = Field(description="cassandra://host:port,host:port/keyspace")
    namespace: str = "perdure"
    epoch: int = Field(default=0, ge=0, lt=1 << 15)
    partitions: int = Field(default=PARTITIONS_DEFAULT, ge=1, le=10_000)
    replication: int = Field(default=3, ge=1)

    kafka_tls: bool = False
    kafka_ca_file: Path | None = None
    kafka_certificate_file: Path | None = None
    kafka_key_file: Path | None = None
    kafka_key_password: SecretStr | None = None
    kafka_mechanism: Mechanism | None = None
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None

    cassandra_datacenter: str | None = None
    cassandra_tls: bool = False
    cassandra_ca_file: Path | None = None
    cassandra_certificate_file: Path | None = None
    cassandra_key_file: Path | None = None
    cassandra_key_password: SecretStr | None = None
    cassandra_username: str | None = None
    cassandra_password: SecretStr | None = None

    schema_registry: str | None = None
    schema_registry_ca_file: Path | None = None
    schema_registry_username: str | None = None
    schema_registry_password: SecretStr | None = None
    schema_registry_seconds: float = Field(default=30.0, ge=0, le=600)
    retain: str = ""
    retain_per_second: float = Field(default=50.0, gt=0, le=100_000)
    history_hours: float = Field(default=24.0, ge=0, le=24 * AGE_DAYS_MAX)
    dead_letter_days: float = Field(default=DEAD_LETTER_DAYS, ge=0, le=AGE_DAYS_MAX)

    health_host: str = "127.0.0.1"
    health_port: int | None = Field(default=None, ge=0, le=65535)
    drain_seconds: float = Field(default=25.0, gt=0)
    start_seconds: float = Field(default=60.0, gt=0)
    stall_seconds: float = Field(default=30.0, gt=0)
    threads: int = Field(default=16, ge=1, le=10_000)
    task_queue: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,64}$")
    subscriptions: Path | None = None

    @property
    def kafka_servers(self) -> tuple[str, ...]:
        return tuple(_servers(self.log.removeprefix("kafka://")))

    @property
    def cassandra_hosts(self) -> tuple[tuple[str, int], ...]:
        servers = _servers(self.store.removeprefix("cassandra://").partition("/")[0])
        return tuple((host.strip("[]"), int(port)) for host, _, port in (each.rpartition(":") for each in servers))

    @property
    def keyspace(self) -> str:
        return self.store.rpartition("/")[2]

    @property
    def insync_min(self) -> int:
        """Replicas that have a record before it counts as written: one may be missing."""
        return max(1, self.replication - 1)

    @property
    def ages(self) -> dict[str, float]:
        """Seconds by status."""
        return read_ages(self.retain)

    @field_validator("retain")
    @classmethod
    def _retain_tells_ages(cls, given: str) -> str:
        try:
            read_ages(given)
        except ValueError as error:
            raise ValueError(f"cannot be: {error}") from None
        return given

    @field_validator("log")
    @classmethod
    def _log_is_kafka(cls, given: str) -> str:
        servers = given.removeprefix("kafka://").rstrip("/")
        _refuse_credentials(given, "PERDURE_KAFKA_USERNAME and PERDURE_KAFKA_PASSWORD")
        if not given.startswith("kafka://") or not _servers(servers):
            raise ValueError("is no address of Kafka: write kafka://host:port, more servers after commas")
        return f"kafka://{servers}"

    @field_validator("store")
    @classmethod
    def _store_is_cassandra(cls, given: str) -> str:
        _refuse_credentials(given, "PERDURE_CASSANDRA_USERNAME and PERDURE_CASSANDRA_PASSWORD")
        servers, _, keyspace = given.removeprefix("cassandra://").partition("/")
        if not given.startswith("cassandra://") or not _servers(servers) or not _KEYSPACE.fullmatch(keyspace):
            raise ValueError(
                "is no address of Cassandra: write cassandra://host:port/keyspace, more servers after commas, the "
                "keyspace of lower-case letters, digits and _"
            )
        return given

    @field_validator("schema_registry")
    @classmethod
    def _registry_is_an_address(cls, given: str | None) -> str | None:
        if given is None:
            return None
        _refuse_credentials(given, "PERDURE_SCHEMA_REGISTRY_USERNAME and PERDURE_SCHEMA_REGISTRY_PASSWORD")
        if not _REGISTRY.fullmatch(given):
            raise ValueError(
                "is no address of a schema registry: write http://host:port or https://host:port, and its path"
            )
        return given.rstrip("/")

    @field_validator("namespace")
    @classmethod
    def _namespace_names_topics(cls, given: str) -> str:
        if not _NAMESPACE.fullmatch(given):
            raise ValueError("cannot begin the names of topics: take letters, digits, - and _, at most 64 of them")
        return given

    @model_validator(mode="after")
    def _security_is_whole(self) -> Self:
        for side in ("kafka", "cassandra"):
            self._check_pair(side, "username", "password")
            self._check_pair(side, "certificate_file", "key_file")
            if getattr(self, f"{side}_key_password") is not None and getattr(self, f"{side}_key_file") is None:
                raise ValueError(f"{_variable(side, 'key_password')} is set without {_variable(side, 'key_file')}")
            for name in ("ca_file", "certificate_file", "key_file"):
                self._check_file(side, name)
        self._check_registry()
        if self.kafka_mechanism is not None and self.kafka_username is None:
            raise ValueError(
                "PERDURE_KAFKA_MECHANISM is set without PERDURE_KAFKA_USERNAME and PERDURE_KAFKA_PASSWORD: set them, too"
            )
        return self

    def _check_registry(self) -> None:
        self._check_pair("schema_registry", "username", "password")
        for name in ("ca_file", "username"):
            if getattr(self, f"schema_registry_{name}") is not None and self.schema_registry is None:
                raise ValueError(
                    f"{_variable('schema_registry', name)} is set without PERDURE_SCHEMA_REGISTRY: set it, too"
                )
        if self.schema_registry_ca_file is not None:
            if not (self.schema_registry or "").startswith("https://"):
                raise ValueError("PERDURE_SCHEMA_REGISTRY_CA_FILE is set, but PERDURE_SCHEMA_REGISTRY is not https://")
            self._check_readable("schema_registry", "ca_file")

    def _check_pair(self, side: str, one: str, other: str) -> None:
        for name, missing in ((one, other), (other, one)):
            if getattr(self, f"{side}_{name}") is not None and getattr(self, f"{side}_{missing}") is None:
                raise ValueError(f"{_variable(side, name)} is set without {_variable(side, missing)}: set both or none")

    def _check_file(self, side: str, name: str) -> None:
        path: Path | None = getattr(self, f"{side}_{name}")
        if path is None:
            return
        if not getattr(self, f"{side}_tls"):
            raise ValueError(f"{_variable(side, name)} is set, but TLS is off: set {_variable(side, 'tls')}=true")
        self._check_readable(side, name)

    def _check_readable(self, side: str, name: str) -> None:
        path: Path = getattr(self, f"{side}_{name}")
        if not path.is_file() or not os.access(path, os.R_OK):
            raise ValueError(f"{_variable(side, name)} names no file that can be read: {path}")


class LogClientSettings(ServiceSettings):
    """Of a client over the log: of PERDURE_STORE nothing is asked."""

    store: str = ""

    @field_validator("store")
    @classmethod
    def _store_is_cassandra(cls, given: str) -> str:
        return given


Settings = TypeVar("Settings", bound=ServiceSettings)


def read_settings(**given: object) -> ServiceSettings:
    """From the environment; `given` comes before it, None excepted. Raises SettingsWrong, telling all that is wrong."""
    return _read(ServiceSettings, given)


def read_client_settings(address: str | None = None) -> LogClientSettings:
    """What the environment says of Kafka, at `address` (kafka://host:port,host:port) or PERDURE_LOG. Raises SettingsWrong."""
    return _read(LogClientSettings, {"log": address})


def _read(kind: type[Settings], given: Mapping[str, Any]) -> Settings:
    unknown = sorted(
        name for name in os.environ if name.startswith(_CHECKED_PREFIXES) and name not in _variables()
    )  # fmt: skip
    faults = [f"{name} is no setting of Perdure: see docs/services.md for those there are" for name in unknown]
    try:
        settings = kind(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults += [_told(each["loc"], each["type"], each["msg"]) for each in error.errors(include_input=False)]
        raise SettingsWrong("; ".join(faults)) from None
    if faults:
        raise SettingsWrong("; ".join(faults))
    return settings


def read_gateway_settings() -> GatewaySettings:
    """The gateway's own, read before anything is connected. Raises SettingsWrong."""
    try:
        return GatewaySettings()
    except ValidationError as error:
        faults = [
            _told((f"gateway_{each['loc'][0]}",) if each["loc"] else (), each["type"], each["msg"])
            for each in error.errors(include_input=False)
        ]
        raise SettingsWrong("; ".join(faults)) from None


def _told(location: tuple[int | str, ...], kind: str, message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    name = str(location[0])
    variable = PREFIX + name.upper()
    if kind == "missing":
        example = {"log": "kafka://127.0.0.1:9092", "store": "cassandra://127.0.0.1:9042/perdure"}[name]
        return f"{variable} is not set: say where it is, such as {variable}={example}"
    joint = " " if message.startswith("Value error, ") else ": "
    return f"{variable}{joint}{text}"


def _variable(side: str, name: str) -> str:
    return f"{PREFIX}{side}_{name}".upper()


def _variables() -> set[str]:
    return {PREFIX + name.upper() for name in ServiceSettings.model_fields}


def _servers(text: str) -> list[str]:
    """host:port each; empty if any is not."""
    servers = [each.strip() for each in text.rstrip("/").split(",")]
    found = [_SERVER.fullmatch(each) for each in servers]
    return servers if all(each is not None and 0 < int(each[2]) < 65_536 for each in found) else []


def _refuse_credentials(address: str, variables: str) -> None:
    if "@" in address:
        raise ValueError(f"holds a user or a password: addresses are logged, so set {variables} instead")
