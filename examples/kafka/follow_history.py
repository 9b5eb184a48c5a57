"""A table of all instances in SQLite, kept up to date from history, exactly once.

    pip install aiokafka fastavro
    python follow_history.py --kafka 127.0.0.1:9092 --schemas ../../schemas instances.db

**Law.** What is made of a record and the position behind it are one transaction. So this program may be killed at any
moment: what it had not committed it reads again, what it had it does not. Kafka is told no position at all.

What it has to know of the contract: markers are skipped, a start replaces what was known of an id, a purge forgets it,
and a record that these schemas cannot read is kept aside, for it may belong to an instance of the table (`unread`).
"""

import argparse
import asyncio
import io
import json
import sqlite3
import sys
from pathlib import Path

import fastavro
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import OffsetOutOfRangeError

TABLES = """
create table if not exists positions (partition integer primary key, next_offset integer not null);
create table if not exists instances (
    instance_id text primary key,
    run text not null,
    generation integer not null,
    events integer not null,  -- of this generation
    name text not null,
    status text not null,
    suspended integer not null default 0,
    stalled integer not null default 0,
    begun integer not null,
    created_at_us integer not null,
    updated_at_us integer not null,
    input text not null,
    output text not null default '',
    custom_status text not null default '',
    error text not null default ''
);
create table if not exists unread (
    partition integer, offset integer, instance_id text, value blob, primary key (partition, offset)
);
"""


class Table:
    """What the events make of an instance. Callers hold a transaction."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(TABLES)

    def positions(self):
        return dict(self.db.execute("select partition, next_offset from positions"))

    def begin_at(self, positions):
        """Of partitions that have none yet: all at once, so that their number tells of a growth."""
        rows = ", ".join(f"({partition:d}, {offset:d})" for partition, offset in positions.items())
        self.db.execute(f"insert or ignore into positions values {rows}")

    def move(self, partition, next_offset):
        self.db.execute("insert or replace into positions values (?, ?)", (partition, next_offset))

    def apply(self, instance_id, kind, event):
        if kind == "WorkflowStarted":
            self._start(instance_id, event)
            return
        place = (instance_id, event["run"], event["generation"])
        where = "where instance_id = ? and run = ? and generation = ?"
        self.db.execute(
            f"update instances set events = events + 1, updated_at_us = ? {where}", (event["at_us"], *place)
        )
        change = CHANGES.get(kind)
        if change is not None:
            fields = change(event)
            assignments = ", ".join(f"{name} = ?" for name in fields)
            self.db.execute(f"update instances set {assignments} {where}", (*fields.values(), *place))
        if kind == "WorkflowPurged":
            self.db.execute(f"delete from instances {where}", place)
        self.db.execute(f"update instances set status = {STATUS} {where}", place)

    def _start(self, instance_id, event):
        """Of a run, or of its next generation: the created time is the run's."""
        begun = event["generation"] > 0 or event["start_at_us"] == 0
        self.db.execute(
            "insert or replace into instances (instance_id, run, generation, events, name, status, begun, "
            "created_at_us, updated_at_us, input) values (?, ?, ?, 1, ?, ?, ?, ?, ?, ?)",
            (
                instance_id, event["run"], event["generation"], event["name"], "RUNNING" if begun else "PENDING", begun,
                event["created_at_us"], event["at_us"], event["input"],
            ),
        )  # fmt: skip

    def keep_aside(self, record, instance_id):
        place = (record.partition, record.offset, instance_id, record.value)
        self.db.execute("insert or replace into unread values (?, ?, ?, ?)", place)


ENDED = "('COMPLETED', 'FAILED', 'TERMINATED')"
STATUS = f"""case when status in {ENDED} then status when stalled then 'STALLED' when suspended then 'SUSPENDED'
    when begun then 'RUNNING' else 'PENDING' end"""
CHANGES = {
    "WorkflowBegun": lambda event: {"begun": 1},
    "WorkflowCompleted": lambda event: {"status": "COMPLETED", "output": event["output"]},
    "WorkflowFailed": lambda event: {
        "status": "FAILED",
        "error": f"{event['error_type']}: {event['error_message']}",
    },
    "WorkflowTerminated": lambda event: {"status": "TERMINATED", "output": event["output"]},
    "WorkflowSuspended": lambda event: {"suspended": 1},
    "WorkflowResumed": lambda event: {"suspended": 0},
    "WorkflowStalled": lambda event: {"stalled": 1},
    "WorkflowRecovered": lambda event: {"stalled": 0},
    "CustomStatusSet": lambda event: {"custom_status": event["value"]},
}


class Reader:
    """Bytes to events, by the schemas of a folder: those of every version ever written."""

    def __init__(self, folder):
        self.schemas = {}
        for path in sorted(Path(folder).glob("event/*.avsc")):
            canonical = fastavro.schema.to_parsing_canonical_form(json.loads(path.read_text(encoding="utf-8")))
            fingerprint = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
            # The newest version of a record reads the older ones: a field that came later takes its default.
            newest = json.loads((path.parent / f"{path.name.partition('.')[0]}.avsc").read_text(encoding="utf-8"))
            plain = fastavro.schema.to_parsing_canonical_form(newest)
            self.schemas[b"\xc3\x01" + fingerprint] = (json.loads(canonical), json.loads(plain) | _defaults(newest))

    def read(self, value):
        """(kind, fields); None if no schema fits."""
        found = self.schemas.get(value[:10])
        if found is None:
            return None
        written, wanted = found
        fields = fastavro.schemaless_reader(io.BytesIO(value[10:]), written, wanted)
        return wanted["name"].rpartition(".")[2], fields


def _defaults(schema):
    """Its fields as they are: the canonical form has lost their defaults. Times stay plain numbers."""
    return {"fields": [{**field, "type": _plain(field["type"])} for field in schema["fields"]]}


def _plain(kind):
    return kind["type"] if isinstance(kind, dict) and "logicalType" in kind else kind


def take(table, reader, partition, records):
    """A few records of one partition, and the position behind them: all or nothing."""
    db = table.db
    db.execute("begin immediate")
    try:
        for record in records:
            instance_id = (record.key or b"").decode("utf-8", "replace")
            if not instance_id:
                continue  # a marker: it ends a commit of the engine, and says nothing of an instance
            found = reader.read(record.value or b"")
            if found is not None:
                table.apply(instance_id, *found)
            elif (record.value or b"").startswith(b"\xc3\x01"):
                table.keep_aside(record, instance_id)
        table.move(partition, records[-1].offset + 1)
    except BaseException:
        db.execute("rollback")
        raise
    db.execute("commit")


async def run(asked):
    table, reader = Table(asked.database), Reader(asked.schemas)
    topic = f"{asked.namespace}.history"
    places = [TopicPartition(topic, number) for number in range(await count_of(asked.kafka, topic))]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=asked.kafka, group_id=None, isolation_level="read_committed", auto_offset_reset="none",
        enable_auto_commit=False,
    )  # fmt: skip
    positions = table.positions()
    if positions and len(positions) != len(places):
        sys.exit("the namespace has other partitions now, and instances have moved: make a new table")
    async with consumer:
        consumer.assign(places)
        first = await consumer.beginning_offsets(places)
        table.begin_at({place.partition: offset for place, offset in first.items()})
        positions = table.positions()
        for place in places:
            consumer.seek(place, positions[place.partition])
        ends = await consumer.end_offsets(places) if asked.once else {}
        while not ends or [place for place in places if await consumer.position(place) < ends[place]]:
            for place, records in (await consumer.getmany(timeout_ms=500, max_records=asked.most)).items():
                take(table, reader, place.partition, records)


async def count_of(kafka, topic):
    """Partitions of a topic; it never changes."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
        return len(found["partitions"])
    finally:
        await admin.close()


def main():
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("database")
    arguments.add_argument("--kafka", default="127.0.0.1:9092")
    arguments.add_argument("--namespace", default="perdure")
    arguments.add_argument("--schemas", default="schemas")
    arguments.add_argument("--once", action="store_true", help="end where history ends now")
    arguments.add_argument("--most", type=int, default=500, help="records in one transaction")
    try:
        asyncio.run(run(arguments.parse_args()))
    except OffsetOutOfRangeError:
        sys.exit(
            "history that this table has not seen is gone: make a new one, from the gateway's list and from here on"
        )


if __name__ == "__main__":
    main()
