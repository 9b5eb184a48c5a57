"""Limits of Cassandra's nodes against what the engine writes, on settings as each version tells them."""

import pytest
from structlog.testing import capture_logs

from perdure.adapters.cassandra.limits import ROW_BYTES_MAX, compare
from perdure.core.limits import RECORD_BYTES_MAX
from perdure.services import bootstrapping, start_checks
from perdure.services.settings import read_settings
from tests.services.worlds import World

LATEST = {  # Cassandra 5.0
    "max_mutation_size": "16384KiB", "max_mutation_size_in_kb": "16384", "commitlog_segment_size": "32MiB",
    "native_transport_max_frame_size": "16MiB", "native_transport_max_message_size": "16777216B",
    "batch_size_fail_threshold": "50KiB", "column_value_size_fail_threshold": None, "cluster_name": "Test",
}  # fmt: skip
OLD = {  # Cassandra 4.0
    "max_mutation_size_in_kb": "null", "commitlog_segment_size_in_mb": "32",
    "native_transport_max_frame_size_in_mb": "256", "batch_size_fail_threshold_in_kb": "50",
}  # fmt: skip


@pytest.mark.parametrize("live", [LATEST, OLD, {}], ids=["5.0", "4.0", "none"])
def test_what_cassandra_comes_with_fits(live):
    assert compare("c1:9042", live) == ([], [])


@pytest.mark.parametrize(
    ("live", "says"),
    [
        (LATEST | {"max_mutation_size": "4MiB"}, "max_mutation_size is 4MiB and has to be 4160KiB or more"),
        (LATEST | {"max_mutation_size": "4194304B"}, "max_mutation_size is 4194304B and has to be 4160KiB"),
        (LATEST | {"max_mutation_size": None, "max_mutation_size_in_kb": None, "commitlog_segment_size": "8MiB"},
         "commitlog_segment_size is 8MiB and has to be 8320KiB or more"),
        (OLD | {"commitlog_segment_size_in_mb": "8"}, "commitlog_segment_size is 8MiB and has to be 8320KiB"),
        (OLD | {"max_mutation_size_in_kb": "1024"}, "max_mutation_size is 1024KiB and has to be 4160KiB"),
        (LATEST | {"native_transport_max_frame_size": "1MiB"}, "native_transport_max_frame_size is 1MiB"),
        (OLD | {"native_transport_max_frame_size_in_mb": "1"}, "native_transport_max_frame_size is 1MiB"),
        (LATEST | {"native_transport_max_message_size": "65536B"}, "native_transport_max_message_size is 65536B"),
        (LATEST | {"column_value_size_fail_threshold": "1MiB"}, "column_value_size_fail_threshold is 1MiB"),
        (LATEST | {"batch_size_fail_threshold": "10KiB"}, "batch_size_fail_threshold is 10KiB and has to be"),
    ],
)  # fmt: skip
def test_a_node_whose_limits_are_too_low_is_named(live, says):
    wrong, notes = compare("c1:9042", live)
    assert [fault.startswith(f"Cassandra node c1:9042: {says}") for fault in wrong] == [True]
    assert notes == []


def test_the_least_that_is_asked_for_is_enough_and_a_byte_less_is_not():
    assert compare("c", {"max_mutation_size": f"{ROW_BYTES_MAX}B"}) == ([], [])
    assert compare("c", {"max_mutation_size": f"{ROW_BYTES_MAX - 1}B"})[0]
    assert ROW_BYTES_MAX > RECORD_BYTES_MAX


def test_a_value_that_is_no_size_is_worth_a_note():
    wrong, notes = compare("c1:9042", {"max_mutation_size": "plenty"})
    assert (wrong, "max_mutation_size is 'plenty'" in notes[0]) == ([], True)


class NoTopics:
    """Outside: none exists yet."""

    def __init__(self, _options):
        pass

    async def facts(self, _names):
        return {}


async def test_a_service_tells_at_its_start_what_the_store_would_refuse(monkeypatch):
    world = World()

    async def opened(*_):
        ports = await world.open_ports(*_)
        ports.store_limits = told
        return ports

    async def told():
        return ["Cassandra node c1:9042: max_mutation_size is 1MiB"], ["Cassandra node c2:9042: may not be read"]

    monkeypatch.setattr(start_checks, "kafka_cassandra_ports", opened)
    monkeypatch.setattr(start_checks, "KafkaTopics", NoTopics)
    with capture_logs() as logs:
        ports = await start_checks.checked_ports(read_settings(), "orchestrator", "o")
    await ports.close()
    await world.ports.close()
    assert [(each["log_level"], each.get("difference") or each.get("note")) for each in logs] == [
        ("warning", "Cassandra node c1:9042: max_mutation_size is 1MiB"),
        ("info", "Cassandra node c2:9042: may not be read"),
    ]


async def test_a_check_of_bootstrap_names_what_the_store_would_refuse_and_notes_what_it_could_not_read(monkeypatch):
    async def looked_at(_settings):
        fault, note = "Cassandra node c1:9042: max_mutation_size is 1MiB", "Cassandra node c2:9042: may not be read"
        return {"class": "SimpleStrategy", "replication_factor": "1"}, ([fault], [note])

    monkeypatch.setattr(bootstrapping, "check_tables", looked_at)
    with capture_logs() as logs:
        faults = await bootstrapping._tables_checked(read_settings(), development=True)
    assert faults[0] == "Cassandra node c1:9042: max_mutation_size is 1MiB"
    assert [each["note"] for each in logs] == ["Cassandra node c2:9042: may not be read"]
