"""How the gateway is set up: arguments, else the environment (`PERDURE_GATEWAY_…`)."""

from __future__ import annotations

import ipaddress
import ssl
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from perdure.core.limits import GATEWAY_TOKEN_CHARS_MIN, PAYLOAD_BYTES_MAX
from perdure.gateway.callers import Callers, read_tokens

__all__ = ["GatewaySettings", "is_loopback"]

BODY_SLACK_BYTES: Final = 64 * 1024
"""Over the largest payload: room for what wraps it, so that one a little too large is refused by its own error."""


class GatewaySettings(BaseSettings):
    """`port` 0 takes a free one. Without a token only this machine may reach the gateway."""

    model_config = SettingsConfigDict(
        env_prefix="PERDURE_GATEWAY_", populate_by_name=True, extra="ignore", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=3500, ge=0, le=65535)
    api_token: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("PERDURE_GATEWAY_API_TOKEN", "PERDURE_API_TOKEN")
    )
    tokens_file: Path | None = None
    body_bytes_max: int = Field(default=PAYLOAD_BYTES_MAX + BODY_SLACK_BYTES, ge=1024)
    bodies_bytes_max: int = Field(default=32 * 1024 * 1024, ge=1024)
    head_seconds: float = Field(default=10.0, ge=0.1, le=3600, allow_inf_nan=False)
    body_seconds: float = Field(default=30.0, ge=0.1, le=3600, allow_inf_nan=False)
    requests_per_second: float = Field(default=0.0, ge=0, le=1e6, allow_inf_nan=False)
    requests_burst: int = Field(default=100, ge=1, le=1_000_000)
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretStr | None = None
    client_ca_file: Path | None = None

    @cached_property
    def callers(self) -> Callers:
        """Raises ValueError for a file of tokens that is none."""
        named = {} if self.tokens_file is None else read_tokens(self.tokens_file)
        return Callers("" if self.api_token is None else self.api_token.get_secret_value(), named)

    def tls(self) -> ssl.SSLContext | None:
        """None: plain HTTP. Raises ValueError for files that cannot be used."""
        if self.certificate_file is None or self.key_file is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        password = "" if self.key_password is None else self.key_password.get_secret_value()
        try:
            context.load_cert_chain(self.certificate_file, self.key_file, password)
            if self.client_ca_file is not None:
                context.load_verify_locations(self.client_ca_file)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else None
            names = ", ".join(
                f"PERDURE_GATEWAY_{each}" for each in ("CERTIFICATE_FILE", "KEY_FILE", "KEY_PASSWORD", "CLIENT_CA_FILE")
            )
            raise ValueError(
                f"the gateway's files for TLS cannot be used ({why or 'not PEM'}): check {names}"
            ) from None
        return context

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.api_token is not None and not self.api_token.get_secret_value():
            self.api_token = None
        try:
            guarded = self.callers.are_known
        except ValueError as error:
            raise ValueError(f"PERDURE_GATEWAY_TOKENS_FILE: {error}") from None
        if not guarded and not is_loopback(self.host):
            raise ValueError(
                f"the gateway would listen on {self.host} for everyone: set PERDURE_GATEWAY_API_TOKEN, or keep to 127.0.0.1"
            )
        token = "" if self.api_token is None else self.api_token.get_secret_value()
        if token and len(token) < GATEWAY_TOKEN_CHARS_MIN and not is_loopback(self.host):
            raise ValueError(
                f"PERDURE_GATEWAY_API_TOKEN: on {self.host} a token has {GATEWAY_TOKEN_CHARS_MIN} characters or more, such as "
                "`openssl rand -hex 32` makes; shorter ones are taken on 127.0.0.1 only"
            )
        if self.bodies_bytes_max < self.body_bytes_max:
            raise ValueError(
                f"PERDURE_GATEWAY_BODIES_BYTES_MAX is {self.bodies_bytes_max:,}: at least one body of "
                f"PERDURE_GATEWAY_BODY_BYTES_MAX ({self.body_bytes_max:,}) has to have room"
            )
        if (self.certificate_file is None) != (self.key_file is None) or (self.client_ca_file and not self.key_file):
            raise ValueError(
                "the gateway speaks TLS with PERDURE_GATEWAY_CERTIFICATE_FILE and PERDURE_GATEWAY_KEY_FILE: set both or none "
                "(and PERDURE_GATEWAY_CLIENT_CA_FILE only with them)"
            )
        self.tls()
        return self


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
