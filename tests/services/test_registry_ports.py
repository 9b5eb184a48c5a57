"""Who reads what others wrote in Confluent's framing has a schema registry, where one is set; nobody else asks one."""

import pytest

from perdure import assembly
from perdure.adapters import cassandra
from perdure.assembly import ASKS_REGISTRY, kafka_cassandra_ports
from perdure.services.roles import ROLES
from perdure.services.settings import read_settings


class Closing:
    """A connection of which nothing is asked but its end."""

    closed = False
    groups = None

    def requests(self):
        return self

    async def close(self):
        self.closed = True


@pytest.fixture
def connections(monkeypatch):
    opened = [Closing(), Closing()]

    async def log(settings, client_id):
        return opened[0]

    async def driver(settings):
        return opened[1]

    monkeypatch.setattr(assembly, "kafka_log", log)
    monkeypatch.setattr(cassandra, "open_driver", driver)
    return opened


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_that_reads_framed_records_has_the_registry_that_is_set(role, connections, environment):
    environment.setenv("PERDURE_SCHEMA_REGISTRY", "http://127.0.0.1:8081")
    ports = await kafka_cassandra_ports(read_settings(), role, "me")
    assert (ports.registry is not None) == (role in ASKS_REGISTRY)
    await ports.close()
    assert all(each.closed for each in connections)


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_has_a_registry_where_none_is_set(role, connections, environment):
    ports = await kafka_cassandra_ports(read_settings(), role, "me")
    assert ports.registry is None
    await ports.close()


def test_the_gateway_is_among_them_for_it_maps_the_messages_of_letters_anew():
    assert set(ASKS_REGISTRY) == {"orchestrator", "subscriber", "gateway"}
