"""Brokers, and deployments on them: a namespace, its services, a client.

The client is this process. It uses the log as transport, so that no gateway stands between it and the engine.
"""

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from loadtest.kafka.services import ROLES, Services
from loadtest.processes import Meter, server_of
from loadtest.workflows import app
from perdure.assembly import cassandra_settings, kafka_cassandra_ports, kafka_settings
from perdure.client.client import AsyncWorkflowClient
from perdure.client.log_transport import LogTransport
from perdure.core.names import Topics
from perdure.ports.log import Outgoing, TopicSpec
from perdure.services.settings import ServiceSettings
from tests.brokers.private import private_cassandra, private_kafka

OWN = "bench"
SENT_AT_ONCE = 1_000


@contextlib.contextmanager
def brokers(options):
    """(address of Kafka, address of Cassandra, folder): the given ones, else private ones that end with this."""
    with tempfile.TemporaryDirectory(dir=options.folder or ".", prefix=".bench-") as name:
        folder = Path(name).resolve()
        if options.kafka:
            yield options.kafka, options.cassandra, folder
            return
        with private_kafka(folder / "brokers") as kafka, private_cassandra(folder / "brokers") as cassandra:
            yield kafka.address, cassandra.address, folder


class Deployment:
    """One namespace and its services. `partitions` and `orchestrators` are its shape."""

    def __init__(self, lab, namespace, partitions, orchestrators):
        self.lab = lab
        self.shape = (partitions, orchestrators)
        self.partitions = partitions
        self.orchestrators = orchestrators
        environ = {
            "PERDURE_LOG": f"kafka://{lab.kafka}",
            "PERDURE_STORE": f"cassandra://{lab.cassandra}/{lab.keyspace}",
            "PERDURE_NAMESPACE": namespace,
            "PERDURE_PARTITIONS": str(partitions),
            "PERDURE_REPLICATION": "1",
        }
        self.services = Services(environ, lab.folder)
        self.settings = ServiceSettings(
            log=environ["PERDURE_LOG"], store=environ["PERDURE_STORE"], namespace=namespace, partitions=partitions,
            replication=1,
        )  # fmt: skip
        self._ports = None

    async def start(self):
        await self.services.bootstrap(self.partitions)
        await self.services.start([ROLES[0]] * self.orchestrators + list(ROLES[1:]))
        self._ports = await kafka_cassandra_ports(self.settings, "client", OWN)
        ports = self._ports
        self.transport = LogTransport(
            ports.log, ports.store, Topics(self.settings.namespace), ports.entropy, ports.clock
        )
        await self.transport.open()
        self.client = AsyncWorkflowClient(self.transport, app=app)

    def meter(self):
        """Of every process that runs now."""
        running = [(each.role, each.pid) for each in self.services.running if each.process.returncode is None]
        return Meter([("client", os.getpid()), *running, *self.lab.broker_processes])

    async def create_topic(self, topic, partitions):
        """One of somebody else's."""
        await self._ports.log.create_topics([TopicSpec(topic, partitions)])

    async def send(self, topic, partitions, values):
        records = [Outgoing(topic, number % partitions, b"", value) for number, value in enumerate(values)]
        for begin in range(0, len(records), SENT_AT_ONCE):
            await self._ports.log.append(records[begin : begin + SENT_AT_ONCE])

    async def end(self):
        if self._ports is not None:
            await self.transport.close()
            await self._ports.close()
        await self.services.end()


class Lab:
    """What scenarios get. `divide`: of the work; `say`: progress."""

    def __init__(self, kafka, cassandra, folder, options, say):
        self.kafka, self.cassandra, self.folder = kafka, cassandra, folder
        self.options = options
        self.say = say
        self.divide = options.divide or (10 if options.small else 1)
        self.keyspace = f"bench{os.getpid()}x{os.urandom(2).hex()}"
        self._namespaces = []
        self._open = None
        pids = {"kafka": server_of(_port(kafka)), "cassandra": server_of(_port(cassandra))}
        self.broker_processes = [(name, pid) for name, pid in pids.items() if pid is not None]
        self.uncounted = [name for name, pid in pids.items() if pid is None]

    async def deployment(self, partitions=None, orchestrators=1, *, fresh=False):
        """The open one if it has this shape, else a new one; only one is open at a time."""
        shape = (partitions or self.options.partitions, orchestrators)
        if self._open is not None and (fresh or self._open.shape != shape):
            await self.close()
        if self._open is None:
            self._namespaces.append(f"{self.keyspace}n{len(self._namespaces)}")
            self.say(f"{shape[0]} partitions, {shape[1]} orchestrators ...")
            self._open = Deployment(self, self._namespaces[-1], *shape)
            await self._open.start()
        return self._open

    async def close(self):
        opened, self._open = self._open, None
        if opened is not None:
            await opened.end()
            self._settings = opened.settings

    async def sweep(self):
        """On brokers that stay: what this bench has made goes."""
        if not self.options.kafka or not self._namespaces:
            return
        admin = AIOKafkaAdminClient(**kafka_settings(self._settings, OWN).client_options())
        await admin.start()
        try:
            made = tuple(f"{namespace}{end}" for namespace in self._namespaces for end in ".-")
            await admin.delete_topics([topic for topic in await admin.list_topics() if topic.startswith(made)])
        finally:
            await admin.close()
        await asyncio.to_thread(_drop_keyspace, cassandra_settings(self._settings))


def _port(address):
    return int(address.rpartition(":")[2])


def _drop_keyspace(settings):
    from cassandra.cluster import Cluster  # noqa: PLC0415 - with --kafka only

    hosts = [host for host, _ in settings.hosts]
    cluster = Cluster(hosts, port=settings.hosts[0][1], protocol_version=5)
    try:
        cluster.connect().execute(f'DROP KEYSPACE IF EXISTS "{settings.keyspace}"', timeout=60)
    finally:
        cluster.shutdown()
