"""A schema registry that tests let answer, hang or be away."""

import asyncio

from perdure.ports.registry import RegistryUnavailable, SchemaRegistry, SchemaUnknown

__all__ = ["FakeRegistry"]


class FakeRegistry(SchemaRegistry):
    """`schemas` by id. `gate` closed: questions wait. `away`: there is nobody; `slow_s`: how long that takes to show."""

    def __init__(self, schemas=None):
        self.schemas = dict(schemas or {})
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False
        self.slow_s = 0.0
        self.asked = []
        self.at_once = self.at_once_max = 0
        self.broken = {}  # ids for which it has no answer, though it has for others

    async def schema(self, schema_id):
        self.asked.append(schema_id)
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            await self.gate.wait()
            await asyncio.sleep(self.slow_s)
        finally:
            self.at_once -= 1
        if self.away or schema_id in self.broken:
            raise RegistryUnavailable("the registry fake:8081 answers HTTP 500")
        if schema_id not in self.schemas:
            raise SchemaUnknown(f"the registry fake:8081 has no schema {schema_id}")
        return self.schemas[schema_id]

    async def close(self):
        return
