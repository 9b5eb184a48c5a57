"""Start orders and approve them: confluent-kafka, JSON, and its own default partitioner.

    pip install confluent-kafka
    python confluent_producer.py --kafka 127.0.0.1:9092 order-7 order-8

librdkafka places keys by CRC32 unless it is told otherwise: most of these commands come to a partition that is not
theirs, and the engine passes them on, those of one order in their order. `--partitioner murmur2_random` spares it that,
and is what to use wherever other programs steer the same instances.
"""

import argparse
import json
import sys

from confluent_kafka import Producer

WORKFLOW = "order_workflow"


def commands(order):
    """(command id, command) in their order. The ids follow from the order: a second run changes nothing."""
    yield f"start/{order}", {"command": "StartWorkflow", "name": WORKFLOW, "input": {"id": order}}
    yield f"approve/{order}", {"command": "RaiseEvent", "name": "approved", "data": {"by": "confluent"}}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("orders", nargs="+")
    arguments.add_argument("--kafka", default="127.0.0.1:9092")
    arguments.add_argument("--namespace", default="perdure")
    arguments.add_argument("--partitioner", default="consistent_random", help="librdkafka's own default")
    asked = arguments.parse_args()

    failed = []
    producer = Producer(
        {"bootstrap.servers": asked.kafka, "enable.idempotence": True, "partitioner": asked.partitioner}
    )
    for order in asked.orders:
        for command_id, command in commands(order):
            producer.produce(
                f"{asked.namespace}.instances",
                key=order,
                value=json.dumps(command),
                headers={"content-type": "application/json", "perdure-command-id": command_id},
                on_delivery=lambda error, _: failed.append(error) if error is not None else None,
            )
            producer.poll(0)
    left = producer.flush(30)
    if failed or left:
        sys.exit(f"{len(failed)} commands failed ({failed[:1]}), {left} have no answer: run this again")
    print(f"{2 * len(asked.orders)} commands are in the log")


if __name__ == "__main__":
    main()
