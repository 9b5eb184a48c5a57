"""What Cassandra holds of a namespace, read with the driver and decoded by hand. See the adapter's schema/001_tables.cql."""

from __future__ import annotations

import struct
from typing import NamedTuple

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.io.libevreactor import LibevConnection
from cassandra.policies import ConstantReconnectionPolicy, RoundRobinPolicy
from cassandra.query import tuple_factory

PLAIN = 1


class Row(NamedTuple):
    """Of the table instances."""

    run: str
    generation: int
    last_seq: int
    status: str


class Stored(NamedTuple):
    """`events`: (instance, run, generation) to seq to bytes; `torn` names rows of one history that disagree."""

    rows: dict
    events: dict
    torn: list


class Reader:
    """A session of its own; close it."""

    def __init__(self, address, keyspace):
        host, _, port = address.rpartition(":")
        profile = ExecutionProfile(
            load_balancing_policy=RoundRobinPolicy(),
            consistency_level=ConsistencyLevel.LOCAL_QUORUM,
            row_factory=tuple_factory,
            request_timeout=30,
        )
        self._cluster = Cluster(
            [host], int(port), execution_profiles={EXEC_PROFILE_DEFAULT: profile}, connection_class=LibevConnection,
            protocol_version=5, reconnection_policy=ConstantReconnectionPolicy(0.5, None),
        )  # fmt: skip
        self._session = self._cluster.connect()  # with a keyspace it would wait for that without an end
        self._keyspace = keyspace

    def read(self):
        events, torn = {}, []
        for instance, run, generation, first, codec, blob in self._session.execute(
            f"SELECT instance_id, run, generation, first_seq, codec, events FROM {self._keyspace}.history"
        ):
            assert codec == PLAIN, f"codec {codec} is not known to the checker"
            held = events.setdefault((instance, run, generation), {})
            for seq, value in enumerate(_parted(blob), first):
                if held.setdefault(seq, value) != value:
                    torn.append(f"{instance}/{run}/{generation}/{seq}")
        rows = {
            instance: Row(*columns)
            for instance, *columns in self._session.execute(
                f"SELECT instance_id, run, generation, last_seq, status FROM {self._keyspace}.instances"
            )
        }
        return Stored(rows, events, torn)

    def close(self):
        self._cluster.shutdown()


def _parted(blob):
    place = 0
    while place < len(blob):
        (length,) = struct.unpack_from(">I", blob, place)
        yield blob[place + 4 : place + 4 + length]
        place += 4 + length
