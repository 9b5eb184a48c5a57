"""How the gateway is set up: arguments, else the environment (`PERDURE_GATEWAY_…`)."""

from __future__ import annotations

import ipaddress
from typing import Final, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from perdure.core.limits import PAYLOAD_BYTES_MAX

__all__ = ["GatewaySettings", "is_loopback"]

BODY_SLACK_BYTES: Final = 64 * 1024
"""Over the largest payload: room for what wraps it, so that one a little too large is refused by its own error."""


class GatewaySettings(BaseSettings):
    """`port` 0 takes a free one. Without a token only this machine may reach the gateway."""

    model_config = SettingsConfigDict(env_prefix="PERDURE_GATEWAY_", populate_by_name=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=3500, ge=0, le=65535)
    api_token: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("PERDURE_GATEWAY_API_TOKEN", "PERDURE_API_TOKEN")
    )
    body_bytes_max: int = Field(default=PAYLOAD_BYTES_MAX + BODY_SLACK_BYTES, ge=1024)

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.api_token is not None and not self.api_token.get_secret_value():
            self.api_token = None
        if self.api_token is None and not is_loopback(self.host):
            raise ValueError(
                f"the gateway would listen on {self.host} for everyone: set PERDURE_GATEWAY_API_TOKEN, or keep to 127.0.0.1"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
