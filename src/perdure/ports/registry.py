"""A schema registry: ids of writers' schemas to the schemas. Asked for messages in Confluent's framing only.

Adapter: `adapters/registry.py` (the HTTP interface of Confluent's registry). Who asks keeps the answers: an id never gets
another schema.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from perdure.ports.errors import PortError

__all__ = ["RegistryUnavailable", "SchemaRegistry", "SchemaUnknown"]


class RegistryUnavailable(PortError):
    """The registry does not answer, or not with what it should: asking again later may help."""


class SchemaUnknown(PortError):
    """The registry says that it has no Avro schema under this id, or has one that is not read here."""


class SchemaRegistry(ABC):
    """The way to one registry."""

    @abstractmethod
    async def schema(self, schema_id: int) -> Any:
        """The Avro schema of this id as parsed JSON. One that refers to others is not put together: it counts as unknown.

        Raises SchemaUnknown, RegistryUnavailable.
        """

    @abstractmethod
    async def close(self) -> None:
        """Free connections. Twice is harmless."""
