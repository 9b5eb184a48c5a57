"""Start orders, approve them, and wait for their ends by following history: aiokafka, fastavro, and the schemas.

    pip install aiokafka fastavro
    python aiokafka_fastavro.py --kafka 127.0.0.1:9092 --schemas ../../schemas order-7 order-8

Nothing of Perdure is imported: `schemas/README.md` is all that is known here. An order's number is its instance id, and
its command ids follow from that, so that this program may be run again at any time: what was accepted is not done twice.
"""

import argparse
import asyncio
import io
import json
from pathlib import Path

import fastavro
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

WORKFLOW = "order_workflow"
ENDS = {"WorkflowCompleted", "WorkflowFailed", "WorkflowTerminated"}


def load(folder):
    """The schema of each record by the header that its messages begin with; older versions are among them."""
    found = {}
    for path in sorted(Path(folder).glob("*/*.avsc")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        canonical = fastavro.schema.to_parsing_canonical_form(schema)
        fingerprint = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
        found[b"\xc3\x01" + fingerprint] = fastavro.parse_schema(json.loads(canonical))
    return found


def command(folder, record, /, **fields):
    """A message in Avro's single-object encoding; fields that are left out take the schema's defaults."""
    schema = json.loads((Path(folder) / "command" / f"{record}.avsc").read_text(encoding="utf-8"))
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    out = io.BytesIO()
    out.write(b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")))
    fastavro.schemaless_writer(out, schema, fields)
    return out.getvalue()


async def send(producer, topic, schemas, order):
    """Both at once: they are decided in this order, for they have one key and one producer."""
    asked = {"id": order}
    start = command(schemas, "StartWorkflow", name=WORKFLOW, input=json.dumps(asked), command_id=f"start/{order}")
    event = command(
        schemas, "RaiseEvent", name="approved", data=json.dumps({"by": "aiokafka"}), command_id=f"approve/{order}"
    )
    for value in (start, event):
        await producer.send(topic, value, key=order.encode())


async def follow(consumer, schemas, orders):
    """Print each end, until all of these have one."""
    known, left = load(schemas), set(orders)
    while left:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                order = (record.key or b"").decode()
                schema = known.get(record.value[:10])
                if order not in left or schema is None:
                    continue  # somebody else's, a marker (its key is empty), or a record of a later version
                kind = schema["name"].rpartition(".")[2]
                if kind in ENDS:
                    event = fastavro.schemaless_reader(io.BytesIO(record.value[10:]), schema, None)
                    print(order, kind, event.get("output") or event.get("error_message"), flush=True)
                    left.discard(order)


async def main():
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("orders", nargs="+")
    arguments.add_argument("--kafka", default="127.0.0.1:9092")
    arguments.add_argument("--namespace", default="perdure")
    arguments.add_argument("--schemas", default="schemas")
    asked = arguments.parse_args()

    consumer = AIOKafkaConsumer(bootstrap_servers=asked.kafka, isolation_level="read_committed", group_id=None)
    # aiokafka places keys as the Java client does: these commands go straight to their partition.
    producer = AIOKafkaProducer(bootstrap_servers=asked.kafka, enable_idempotence=True)
    async with consumer, producer:
        history = f"{asked.namespace}.history"
        count = len(await producer.partitions_for(history))
        places = [TopicPartition(history, number) for number in range(count)]
        consumer.assign(places)
        # From before the first start, so that no end is missed. A program that keeps its position does better still
        # (follow_history.py): this one would not see the end of an order that it had started in an earlier life.
        for place, end in (await consumer.end_offsets(places)).items():
            consumer.seek(place, end)
        for order in asked.orders:
            await send(producer, f"{asked.namespace}.instances", asked.schemas, order)
        await producer.flush()
        await follow(consumer, asked.schemas, asked.orders)


if __name__ == "__main__":
    asyncio.run(main())
