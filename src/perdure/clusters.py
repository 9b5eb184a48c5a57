"""What bootstrap and its checks ask of Kafka and Cassandra beyond the ports, and a client's way to Kafka alone.

Beside `assembly`, the only importer of adapters.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import cassandra_settings, kafka_log, kafka_settings
from perdure.client.connecting_transport import ConnectingTransport
from perdure.core.names import Topics
from perdure.ports.errors import StoreUnavailable

if TYPE_CHECKING:
    from perdure.assembly import Findings
    from perdure.services.settings import ServiceSettings

__all__ = ["check_tables", "client_transport", "create_tables", "kafka_topic_settings", "keyspace_statements"]


def client_transport(address: str) -> ConnectingTransport:
    """To Kafka at `address`, with the environment's namespace and security. Connects nothing. Raises SettingsWrong."""
    from perdure.services.settings import read_client_settings  # noqa: PLC0415
    from perdure.services.write_version import learn_write_version  # noqa: PLC0415

    settings = read_client_settings(address)
    clock, entropy = SystemClock(), SystemEntropy()
    client_id = f"perdure-client-{entropy.bytes(6).hex()}"
    topics = Topics(settings.namespace)
    return ConnectingTransport(lambda: kafka_log(settings, client_id), topics, entropy, clock, learn_write_version)


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


async def check_tables(settings: ServiceSettings) -> tuple[dict[str, str], Findings]:
    """The keyspace's replication, as Cassandra tells it, and its nodes' limits. Needs no right to create.

    Raises StoreUnavailable, and PortError where this version's tables are not there.
    """
    from perdure.adapters.cassandra import check_limits, open_driver  # noqa: PLC0415

    driver = await open_driver(cassandra_settings(settings))
    asked = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"
    try:
        rows = await asyncio.to_thread(driver.session.execute, asked, (settings.keyspace,))
        return dict(rows[0][0]), await check_limits(driver)
    except Exception as error:
        raise StoreUnavailable(f"keyspace {settings.keyspace} cannot be looked at ({error})") from error
    finally:
        await driver.close()


def _copies(settings: ServiceSettings, *, development: bool) -> dict[str, int]:
    return {"" if development else settings.cassandra_datacenter or "": settings.replication}
