"""The services as their operator starts them on secured brokers: each as its own user, over TLS."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from cassandra.cluster import Session

import perdure as wf
from perdure.adapters.cassandra import CassandraSecurity, CassandraSettings
from perdure.adapters.cassandra.connecting import connect
from perdure.adapters.kafka import KafkaLog, KafkaSecurity, KafkaSettings
from perdure.codec.avro import encode
from perdure.core.commands import StartWorkflow
from perdure.ports.errors import StoreUnavailable
from perdure.ports.log import TopicSpec
from tests.brokers.secured import ADMIN, secrets_of
from tests.integration.services.processes import Cluster, Service
from tests.security.rights import Giver, rights_in

HERE = Path(__file__).parent


def start_record(workflow, payload):
    """A StartWorkflow as a producer on Kafka writes it."""
    return encode(StartWorkflow(command_id=f"from-a-producer-{payload}", name=workflow, input=payload))


class SecuredBrokers:
    """How to come in."""

    def __init__(self):
        self.kafka = secrets_of("secured-kafka")
        self.cassandra = secrets_of("secured-cassandra")
        self._admin = None

    def kafka_address(self, listener):
        return f"127.0.0.1:{self.kafka['ports'][listener]}"

    def cassandra_address(self, way):
        return f"127.0.0.1:{self.cassandra['ports'][way]}"

    def file(self, side, name):
        """A PEM file of that broker's certificates."""
        return str(Path(getattr(self, side)["certificates"]) / f"{name}.pem")

    def giver(self):
        security = KafkaSecurity("SASL_PLAINTEXT", "PLAIN", ADMIN, self.kafka["passwords"][ADMIN])
        return Giver(KafkaSettings((self.kafka_address("SASL"),), security, "test-admin").client_options())

    def let_admins_in(self):
        """Both listen before they know their users."""
        try:
            asyncio.run(self.giver().give([]))
            self.statements()
        except (KafkaError, StoreUnavailable):
            return False
        return True

    def statements(self, *statements):
        """Carried out in Cassandra as its super user."""
        with self.cassandra_admin() as session:
            for statement in statements:
                session.execute(statement, timeout=30)

    @contextmanager
    def cassandra_admin(self) -> Iterator[Session]:
        host, _, port = self.cassandra_address("PASSWORD").partition(":")
        security = CassandraSecurity("cassandra", "cassandra")
        cluster, session = connect(CassandraSettings(((host, int(port)),), "any", security))
        try:
            yield session
        finally:
            cluster.shutdown()

    def cassandra_settings(self, role, keyspace):
        """Of a session as that role."""
        host, _, port = self.cassandra_address("PASSWORD").partition(":")
        security = CassandraSecurity(role, self.cassandra["passwords"][role])
        return CassandraSettings(((host, int(port)),), keyspace, security)

    def make_roles(self, *roles):
        passwords = self.cassandra["passwords"]
        self.statements(
            *(
                f"CREATE ROLE IF NOT EXISTS \"{each}\" WITH PASSWORD = '{passwords[each]}' AND LOGIN = true"
                for each in roles
            )
        )

    @property
    def passwords(self):
        return {*self.kafka["passwords"].values(), *self.cassandra["passwords"].values()}


class SecuredCluster(Cluster):
    """Processes of one namespace. `said_by_all` is everything that any of them has printed."""

    app = "family:app"

    def __init__(self, brokers, namespace, ledger):
        super().__init__(brokers.kafka_address("SASLTLS"), brokers.cassandra_address("MUTUAL"), namespace, ledger)
        self.brokers = brokers
        self.namespace = namespace
        self.commands = []
        self.environ |= {
            "PYTHONPATH": os.pathsep.join([self.environ["PYTHONPATH"], str(HERE)]),
            "PERDURE_KAFKA_TLS": "true",
            "PERDURE_KAFKA_CA_FILE": brokers.file("kafka", "perdure-test-ca"),
            "PERDURE_KAFKA_MECHANISM": "SCRAM-SHA-512",
            "PERDURE_CASSANDRA_TLS": "true",
            "PERDURE_CASSANDRA_CA_FILE": brokers.file("cassandra", "perdure-test-ca"),
            "PERDURE_CASSANDRA_CERTIFICATE_FILE": brokers.file("cassandra", "server"),
            "PERDURE_CASSANDRA_KEY_FILE": brokers.file("cassandra", "server-key"),
        }

    def as_user(self, user):
        """Settings of a process that runs as this user."""
        return {
            "PERDURE_KAFKA_USERNAME": user,
            "PERDURE_KAFKA_PASSWORD": self.brokers.kafka["passwords"][user],
            "PERDURE_CASSANDRA_USERNAME": user,
            "PERDURE_CASSANDRA_PASSWORD": self.brokers.cassandra["passwords"][user],
        }

    def perdure(self, *arguments, user="bootstrap", **environ):
        done = super().perdure(*arguments, **{**self.as_user(user), **environ})
        self.commands.append(done.stdout + done.stderr)
        return done

    def run(self, role, *arguments, user="", **environ):
        return super().run(role, *arguments, **{**self.as_user(user or role), **environ})

    @property
    def said_by_all(self):
        return "".join([*self.commands, *(each.said + "".join(each.output) for each in self.services)])

    @cache
    def plan(self):
        done = self.perdure("bootstrap", "--print", "--json", "--development")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def rights(self):
        """Of every user that the plan names, one operation each."""
        return rights_in(self.plan()["access"])

    def needed(self):
        """All rights but one: the layout is written by `perdure upgrade` only where an older release has bootstrapped."""
        older = ("upgrade", "Write", f"{self.namespace}.layout")
        return {each for each in self.rights() if (each.user, each.operation, each.name) != older}

    def give(self, rights):
        asyncio.run(self.brokers.giver().give(rights))

    def take(self, rights):
        asyncio.run(self.brokers.giver().take(rights))

    def start(self, *command, **environ):
        """As every process of a cluster; None for a variable leaves it out."""
        wanted = {**self.environ, **environ}
        service = Service(command, {name: value for name, value in wanted.items() if value is not None})
        self.services.append(service)
        return service

    def start_command(self, *arguments, user="bootstrap", **environ):
        """A command that is not waited for."""
        return self.start("-m", "perdure", *arguments, **{**self.as_user(user), **environ})

    @contextmanager
    def client(self, user="client", **environ):
        """Over the log, as this user, in this process."""
        kept = dict(os.environ)
        wanted = {**self.environ, **self.as_user(user), **environ}
        for name, value in wanted.items():
            if name.startswith("PERDURE_") and value is not None:
                os.environ[name] = value
        try:
            with wf.DaprWorkflowClient(wanted["PERDURE_LOG"]) as client:
                yield client
        finally:
            os.environ.clear()
            os.environ.update(kept)

    def security(self, user, mechanism="SCRAM-SHA-256"):
        authority, password = self.environ["PERDURE_KAFKA_CA_FILE"], self.brokers.kafka["passwords"][user]
        return KafkaSecurity("SASL_SSL", mechanism, user, password, ca_file=authority)

    async def send(self, user, records):
        """As a program of somebody's: `records` are (key, value) by the last part of the topic's name; what begins with
        a dash is no topic of the namespace.
        """
        settings = KafkaSettings((self.brokers.kafka_address("SASLTLS"),), self.security(user), f"test-{user}")
        producer = AIOKafkaProducer(**settings.client_options(), acks="all", enable_idempotence=True)
        try:
            await producer.start()
            sent = [
                await producer.send(self.namespace + (topic if topic.startswith("-") else f".{topic}"), value, key=key)
                for topic, each in records.items()
                for key, value in each
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def make_topic(self, name):
        """One of somebody's, made by the super user."""
        servers = (self.brokers.kafka_address("SASLTLS"),)
        log = KafkaLog(KafkaSettings(servers, self.security(ADMIN), "test-admin", replication=1, insync_min=1))
        try:
            await log.create_topics([TopicSpec(name, 1)])
        finally:
            await log.close()

    def make_roles(self):
        """In Cassandra, with what the plan grants to bootstrap; the rest needs the keyspace."""
        plan = self.plan()
        self.brokers.make_roles(*{each["principal"] for each in plan["access"]})
        self.brokers.statements(*(each for each in plan["grants"] if "bootstrap" in each))

    def bootstrap(self):
        """As an operator does it: rights, then topics and tables, then the grants on them."""
        self.give(self.rights())
        self.make_roles()
        done = self.perdure("bootstrap", "--development")
        assert done.returncode == 0, done.stderr
        self.brokers.statements(*(each for each in self.plan()["grants"] if "bootstrap" not in each))
