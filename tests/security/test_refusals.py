"""Whoever is not let in is told why and what to do, at once, in one line: services, bootstrap and clients alike."""

from __future__ import annotations

import asyncio
import os

import pytest
from typer.testing import CliRunner

import perdure as wf
from perdure.cli.program import program
from perdure.client.errors import EngineUnavailable
from perdure.core.errors import PerdureError
from perdure.services.process import Process
from perdure.services.settings import read_settings
from tests.brokers.secured import MARK

pytestmark = pytest.mark.slow

SERVICE_SECONDS = 60.0
"""The time that a service has to start: it is told before."""


def kafka(cluster, listener):
    return f"kafka://{cluster.brokers.kafka_address(listener)}"


def cassandra(cluster, way):
    return f"cassandra://{cluster.brokers.cassandra_address(way)}/{cluster.namespace}"


def shown_by(cluster, listener):
    return {
        "PERDURE_STORE": f"cassandra://{cluster.brokers.kafka_address(listener)}/{cluster.namespace}",
        "PERDURE_CASSANDRA_CA_FILE": cluster.brokers.file("kafka", "perdure-test-ca"),
    }


PLAIN_KAFKA = {"PERDURE_KAFKA_TLS": "false", "PERDURE_KAFKA_CA_FILE": ""}
NO_USER = {"PERDURE_KAFKA_USERNAME": "", "PERDURE_KAFKA_PASSWORD": "", "PERDURE_KAFKA_MECHANISM": ""}
PLAIN_CASSANDRA = {
    f"PERDURE_CASSANDRA_{each}": "" for each in ("TLS", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE")
}  # fmt: skip

KAFKA = {
    "password": (lambda it: {"PERDURE_KAFKA_PASSWORD": f"{MARK}-wrong"}, "refuses user 'bootstrap' by SCRAM-SHA-512"),
    "unknown user": (lambda it: {"PERDURE_KAFKA_USERNAME": "someone"}, "refuses user 'someone'"),
    "mechanism": (
        lambda it: {"PERDURE_LOG": kafka(it, "ONLY512"), **PLAIN_KAFKA, "PERDURE_KAFKA_MECHANISM": "SCRAM-SHA-256"},
        "does not take SCRAM-SHA-256 on this port: set PERDURE_KAFKA_MECHANISM",
    ),
    "authority": (
        lambda it: {"PERDURE_KAFKA_CA_FILE": it.brokers.file("cassandra", "perdure-test-ca")},
        "set PERDURE_KAFKA_CA_FILE",
    ),
    "expired": (lambda it: {"PERDURE_LOG": kafka(it, "EXPIRED")}, "has expired"),
    "other host": (lambda it: {"PERDURE_LOG": kafka(it, "ELSEWHERE")}, "certificate for another host"),
    "plaintext to TLS": (lambda it: PLAIN_KAFKA, "speaks TLS (PERDURE_KAFKA_TLS=true)"),
    "TLS to plaintext": (lambda it: {"PERDURE_LOG": kafka(it, "SASL")}, "speaks no TLS (PERDURE_KAFKA_TLS=false)"),
    "no user": (lambda it: NO_USER, "asks for a user (PERDURE_KAFKA_USERNAME)"),
    "user where none is asked": (lambda it: {"PERDURE_LOG": kafka(it, "TLS")}, "asks for no user on this port"),
    "no certificate": (
        lambda it: {"PERDURE_LOG": kafka(it, "MUTUAL"), **NO_USER},
        "does not take this client's certificate: check PERDURE_KAFKA_CERTIFICATE_FILE",
    ),
}

CASSANDRA = {
    "password": (
        lambda it: {"PERDURE_CASSANDRA_PASSWORD": f"{MARK}-wrong"},
        "refused user 'bootstrap': check PERDURE_CASSANDRA_USERNAME and PERDURE_CASSANDRA_PASSWORD",
    ),
    "no user": (
        lambda it: {"PERDURE_CASSANDRA_USERNAME": "", "PERDURE_CASSANDRA_PASSWORD": ""},
        "asks for a user: set PERDURE_CASSANDRA_USERNAME",
    ),
    "authority": (
        lambda it: {"PERDURE_CASSANDRA_CA_FILE": it.brokers.file("kafka", "perdure-test-ca")},
        "set PERDURE_CASSANDRA_CA_FILE",
    ),
    # A handshake ends at the certificate, before a word of Cassandra's: Kafka's listeners have the bad ones.
    "expired": (lambda it: shown_by(it, "EXPIRED"), "has expired"),
    "other host": (lambda it: shown_by(it, "ELSEWHERE"), "certificate for another host"),
    "plaintext to TLS": (lambda it: PLAIN_CASSANDRA, "PERDURE_CASSANDRA_TLS=true"),
    "TLS to plaintext": (lambda it: {"PERDURE_STORE": cassandra(it, "PASSWORD")}, "set PERDURE_CASSANDRA_TLS=false"),
    "no certificate": (
        lambda it: {"PERDURE_CASSANDRA_CERTIFICATE_FILE": "", "PERDURE_CASSANDRA_KEY_FILE": ""},
        "PERDURE_CASSANDRA_CERTIFICATE_FILE",  # it says no, or hangs up, whichever comes first
    ),
}


def check(said, part):
    assert part in said.rstrip("\n").rpartition("\n")[2], said
    assert "Traceback" not in said, said
    assert MARK not in said, said


@pytest.mark.parametrize("case", KAFKA)
async def test_all_are_told_why_kafka_does_not_let_them_in(cluster, environment, case):
    change, part = KAFKA[case]
    environment(cluster, "bootstrap", changed=change(cluster))
    check(await asyncio.to_thread(bootstrap_says), part)
    check(await service_says(), part)
    client = wf.aio.DaprWorkflowClient(os.environ["PERDURE_LOG"])
    with pytest.raises(EngineUnavailable) as told:
        await client.get_workflow_state("any")
    await client.close()
    check(str(told.value), part)


@pytest.mark.parametrize("case", CASSANDRA)
async def test_all_are_told_why_cassandra_does_not_let_them_in(cluster, environment, case):
    change, part = CASSANDRA[case]
    cluster.brokers.make_roles("bootstrap")
    environment(cluster, "bootstrap", changed=change(cluster))
    check(await asyncio.to_thread(bootstrap_says), part)
    check(await service_says(), part)


def bootstrap_says():
    done = CliRunner().invoke(program, ["bootstrap", "--check", "--development"])
    assert done.exit_code == 4, done.output
    return done.stderr


async def service_says():
    service = Process("timer", wf.App(), read_settings(), announce=lambda told: pytest.fail(f"it is ready: {told}"))
    with pytest.raises(PerdureError) as told:
        async with asyncio.timeout(SERVICE_SECONDS):
            await service.run()
    return str(told.value)


@pytest.mark.parametrize(
    ("change", "part"),
    [(KAFKA["password"][0], "refuses user"), (CASSANDRA["password"][0], "refused user")],
    ids=["kafka", "cassandra"],
)
def test_a_service_ends_with_4_and_one_line(cluster, change, part):
    cluster.brokers.make_roles("bootstrap")
    service = cluster.run("timer", user="bootstrap", **change(cluster))
    assert service.ended(seconds=120) == 4, service.said
    check(service.said, part)
