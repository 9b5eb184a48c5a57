"""Writers' schemas, as a registry has them. An id never gets another schema, so each is asked for once."""

from __future__ import annotations

from typing import Final

from perdure.ports.log import Record
from perdure.ports.registry import RegistryUnavailable, SchemaRegistry, SchemaUnknown
from perdure.roles.subscriptions.avro import AvroSchema, SchemaUnfit
from perdure.roles.subscriptions.mapping import Misfit, schema_id_of
from perdure.roles.subscriptions.subscription import Subscription

__all__ = ["WriterSchemas"]

KEPT_MAX: Final = 1_000
"""Schemas in memory; the one that was asked for first goes first."""


class WriterSchemas:
    """Of one process. `registry` may be None: then whoever needs it waits for a setting."""

    def __init__(self, registry: SchemaRegistry | None) -> None:
        self._registry = registry
        self._kept: dict[int, AvroSchema] = {}

    async def of(self, record: Record, subscription: Subscription) -> AvroSchema | None:
        """For `mapped`; None where no registry is asked.

        Raises Misfit, and RegistryUnavailable where the answer may be another later.
        """
        schema_id = schema_id_of(record, subscription)
        if schema_id is None:
            return None
        known = self._kept.get(schema_id)
        if known is None:
            known = self._kept[schema_id] = await self._asked(schema_id)
            if len(self._kept) > KEPT_MAX:
                del self._kept[next(iter(self._kept))]
        return known

    async def _asked(self, schema_id: int) -> AvroSchema:
        if self._registry is None:
            raise RegistryUnavailable(
                f"a message names the schema {schema_id} of a registry, and no registry is known: set PERDURE_SCHEMA_REGISTRY"
            )
        try:
            return AvroSchema(await self._registry.schema(schema_id))
        except SchemaUnknown as error:
            raise Misfit("value", f"names a schema that the registry does not have: {error}") from None
        except SchemaUnfit as error:
            raise Misfit("value", f"has the schema {schema_id}: {error}") from None
