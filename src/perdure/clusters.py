"""What bootstrap and its checks ask of Kafka and Cassandra beyond the ports. Beside `assembly`, the only importer of adapters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from perdure.assembly import cassandra_settings, kafka_settings
from perdure.ports.errors import StoreUnavailable

if TYPE_CHECKING:
    from perdure.services.settings import ServiceSettings

__all__ = ["check_tables", "create_tables", "kafka_topic_settings", "keyspace_statements"]


def kafka_topic_settings(settings: ServiceSettings) -> dict[str, str]:
    """What every topic is created with."""
    from perdure.adapters.kafka.topics import topic_settings  # noqa: PLC0415

    return topic_settings(kafka_settings(settings, "perdure-bootstrap"))


def keyspace_statements(settings: ServiceSettings, *, development: bool) -> list[str]:
    """The keyspace and its tables as CQL, for whoever creates them by hand."""
    from perdure.adapters import cassandra  # noqa: PLC0415

    versions = range(1, cassandra.SCHEMA_VERSION + 1)
    tables = [each for version in versions for each in cassandra.schema_statements(version)]
    keyspace = cassandra.keyspace_statement(settings.keyspace, _copies(settings, development=development))
    return [keyspace, f"USE {settings.keyspace}", *tables]


async def create_tables(settings: ServiceSettings, *, development: bool) -> None:
    """Keyspace and tables; idempotent. Raises StoreUnavailable, PortError."""
    from perdure.adapters.cassandra import create_schema  # noqa: PLC0415

    await create_schema(cassandra_settings(settings), _copies(settings, development=development))


async def check_tables(settings: ServiceSettings) -> dict[str, str]:
    """The keyspace's replication, as Cassandra tells it. Needs no right to create.

    Raises StoreUnavailable, and PortError where this version's tables are not there.
    """
    from perdure.adapters.cassandra import open_driver  # noqa: PLC0415

    driver = await open_driver(cassandra_settings(settings))
    asked = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"
    try:
        rows = await asyncio.to_thread(driver.session.execute, asked, (settings.keyspace,))
        return dict(rows[0][0])
    except Exception as error:
        raise StoreUnavailable(f"keyspace {settings.keyspace} cannot be looked at ({error})") from error
    finally:
        await driver.close()


def _copies(settings: ServiceSettings, *, development: bool) -> dict[str, int]:
    return {"" if development else settings.cassandra_datacenter or "": settings.replication}
