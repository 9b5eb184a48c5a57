"""One Kafka node in KRaft mode."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.brokers import java
from tests.brokers.artefacts import KAFKA, resolve
from tests.brokers.errors import BrokersUnavailable
from tests.brokers.places import free_ports

IMAGE = "apache/kafka:4.1.0"

# Short sessions let a test see a member thrown out within its deadline; the sweep ends a dead owner's transaction.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "300",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "auto.create.topics.enable": "false",
    "log.index.size.max.bytes": "1048576",
    "num.network.threads": "2",
    "num.io.threads": "4",
}

LOGGING = """<Configuration><Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


Doors = Mapping[int, int]
"""Ports that a node listens on besides its own, each to the port that it tells clients there: a proxy's."""


def settings(
    port: int,
    controller_port: int,
    host: str = "127.0.0.1",
    changed: dict[str, str] | None = None,
    doors: Doors | None = None,
) -> dict[str, str]:
    """Server properties. `changed`: what one test wants otherwise."""
    listeners = {"PLAINTEXT": (port, port)}
    listeners |= {f"DOOR{number}": door for number, door in enumerate((doors or {}).items())}
    inside = [f"{name}://{host}:{listened}" for name, (listened, _) in listeners.items()]
    names = dict.fromkeys((*listeners, "CONTROLLER"), "PLAINTEXT")
    return {
        **SETTINGS,
        **(changed or {}),
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": ",".join([*inside, f"CONTROLLER://127.0.0.1:{controller_port}"]),
        "advertised.listeners": ",".join(f"{name}://127.0.0.1:{told}" for name, (_, told) in listeners.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in names.items()),
    }


def prepare(
    folder: Path, log: Path, changed: dict[str, str] | None = None, doors: Doors | None = None
) -> tuple[list[str], int]:
    """Writes and formats what a new node needs. Returns its command and its port."""
    port, controller_port = free_ports(2)
    return formatted(folder, settings(port, controller_port, changed=changed, doors=doors)), port


def formatted(folder: Path, properties: dict[str, str], *options: str) -> list[str]:
    """Writes and formats a new node of these server properties. `options`: of the formatting. Returns its command."""
    jars = f"{resolve(KAFKA)}/*"
    file, logging = folder / "server.properties", folder / "log4j2.xml"
    lines = properties | {"log.dirs": str(folder / "data")}
    file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    logging.write_text(LOGGING)
    cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
    start = [*java.command("runs Kafka"), "-Xms256m", "-Xmx512m", "-cp", jars, f"-Dlog4j2.configurationFile={logging}"]
    # One word: an id may begin with a dash, which alone would be taken for an option.
    storage = [*start, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(file), *options]
    done = subprocess.run(storage, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise BrokersUnavailable(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")
    return [*start, "kafka.Kafka", str(file)]


def container_arguments(port: int, changed: dict[str, str] | None = None, doors: Doors | None = None) -> list[str]:
    """Arguments of `docker run`: the image turns KAFKA_A_B into a.b."""
    arguments = [word for each in (port, *(doors or {})) for word in ("-p", f"127.0.0.1:{each}:{each}")]
    controller_port = port + 1 if port < 65_535 else port - 1
    for name, value in settings(port, controller_port, host="0.0.0.0", changed=changed, doors=doors).items():
        arguments += ["-e", f"KAFKA_{name.upper().replace('.', '_')}={value}"]
    return [*arguments, IMAGE]
