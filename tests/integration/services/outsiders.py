"""Programs that know Kafka and the contract, and nothing of ours: the examples as processes, and records by hand.

An example runs without `site`, and with a folder on its path that has every library of this environment but ours: an
installation of ours is out of its reach, editable or not.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from pathlib import Path

from aiokafka import AIOKafkaProducer

from tests.brokers.artefacts import KAFKA, KAFKA_TOOLS, LIBRARY_AVRO, resolve, tool
from tests.faults.follower import Follower
from tests.integration.services.processes import ROOT, Cluster

EXAMPLES = ROOT / "examples/kafka"
SCHEMAS = ROOT / "schemas"
PARTITIONS = 4
SECONDS = 90


@cache
def libraries():
    """The environment's packages without ours."""
    folder = tempfile.mkdtemp(prefix="outside")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not path.name.lstrip("_").startswith(("perdure", "editable_impl_perdure")):
            (Path(folder) / path.name).symlink_to(path)
    return folder


def environ_of_an_outsider():
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PERDURE_", "PYTHON"))}
    return {**kept, "PYTHONPATH": libraries(), "PYTHONUNBUFFERED": "1"}


def done(*command, environ=None):
    """A process, to its end."""
    return subprocess.run(
        list(map(str, command)), cwd=EXAMPLES, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def python(*arguments, fails=False, **environ):
    """A Python that has libraries, and not us."""
    ran = done(sys.executable, "-S", *arguments, environ={**environ_of_an_outsider(), **environ})
    assert (ran.returncode != 0) == fails, ran.stderr
    return ran


def example(name):
    """The module of an example, for a test that uses a piece of it."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def java(folder, *arguments):
    """The Java example, compiled into the folder and run to its end."""
    jars = os.pathsep.join(f"{resolve(artefact)}/*" for artefact in (KAFKA, LIBRARY_AVRO))
    source = EXAMPLES / "java/StartOrders.java"
    compiled = done(
        tool("javac", "compiles the Java example"), "-Xlint:all", "-Werror", "-cp", jars, "-d", folder, source
    )
    assert compiled.returncode == 0, compiled.stderr
    path = f"{jars}{os.pathsep}{folder}"
    ran = done(tool("java", "runs the Java example"), "-cp", path, "StartOrders", *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def shell(folder, *arguments):
    """The shell example, with Kafka's console producer as a distribution has it on its PATH."""
    jars = os.pathsep.join(f"{resolve(artefact)}/*" for artefact in (KAFKA_TOOLS, KAFKA))
    command = folder / "kafka-console-producer.sh"
    command.write_text(f'#!/bin/sh\nexec java -cp "{jars}" org.apache.kafka.tools.ConsoleProducer "$@"\n')
    command.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    ran = done("sh", EXAMPLES / "start_order.sh", *arguments, environ={**os.environ, "PATH": path})
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


class Served:
    """A namespace whose four services run, and somebody who reads what they say from the first record on."""

    def __init__(self, kafka_address, cassandra_address, namespace, folder):
        self.kafka, self.namespace, self.folder = kafka_address, namespace, folder
        self.cluster = Cluster(kafka_address, cassandra_address, namespace, folder / "ledger")
        self.cluster.environ["PERDURE_PARTITIONS"] = str(PARTITIONS)
        self.history, self.dead = f"{namespace}.history", f"{namespace}.dead-letters"
        self._follower = Follower(kafka_address, {self.history: PARTITIONS, self.dead: PARTITIONS})

    def begin(self):
        done = self.cluster.perdure("bootstrap", "--development")
        assert done.returncode == 0, done.stderr
        self._follower.start()
        roles = ("orchestrator", "activity-worker", "timer", "gateway")
        services = {role: self.cluster.run(role) for role in roles}
        self.told = {role: service.ready() for role, service in services.items()}
        return self

    def end(self):
        self._follower.stop()
        self.cluster.close()

    @property
    def options(self):
        """What every Python example is told."""
        return ("--kafka", self.kafka, "--namespace", self.namespace)

    def records(self, topic):
        if self._follower.failure is not None:
            raise self._follower.failure
        return list(self._follower.records[topic])

    def letters(self):
        """Dead letters, as (record, reason)."""
        self._follower.catch_up()
        return [(each, dict(each.headers)["perdure-reason"].decode()) for each in self.records(self.dead)]

    def produce(self, *records, topic="instances"):
        """(partition, key, value, headers) each, partition None for the key's own. Returns (partition, offset) each."""

        async def sent():
            async with AIOKafkaProducer(
                bootstrap_servers=self.kafka, enable_idempotence=True, linger_ms=5, max_batch_size=256 * 1024
            ) as producer:
                futures = [
                    await producer.send(f"{self.namespace}.{topic}", value, key, partition, headers=list(headers))
                    for partition, key, value, headers in records
                ]
                return [(each.partition, each.offset) for each in await asyncio.gather(*futures)]

        return asyncio.run(sent())
