"""Kafka and Cassandra that ask everybody who they are, as an operator runs them: passwords, certificates, rights.

Kafka has one listener for every way in (LISTENERS), StandardAuthorizer, and one super user, `admin`, for set-up only;
without a right nobody may do anything. What it allows and refuses, and by which rule, it writes to `rights.log`.
Cassandra has PasswordAuthenticator and CassandraAuthorizer, a port without TLS and one that also asks for the client's
certificate; its audit log, a `rights.log` of its own, tells every request and whose it is. Both run on the machine's
Java, also where Docker answers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perdure.core.names import Topics
from perdure.services.plan import access_of
from tests.brokers import cassandra, kafka
from tests.brokers.artefacts import CASSANDRA, resolve
from tests.brokers.certificates import Authority, Certificate
from tests.brokers.places import free_ports, run_folder

__all__ = ["ADMIN", "LISTENERS", "MARK", "SECURED", "Certificates", "make_certificates", "secrets_of"]

ADMIN = "admin"

MARK = "hush"
"""In every password made here: what a search for leaked secrets looks for."""

LISTENERS = {
    "SASL": "SASL_PLAINTEXT",
    "SASLTLS": "SASL_SSL",
    "ONLY512": "SASL_PLAINTEXT",  # one mechanism of the three
    "TLS": "SSL",
    "MUTUAL": "SSL",  # asks for the client's certificate, whose common name is the user
    "EXPIRED": "SSL",
    "ELSEWHERE": "SSL",
}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

KAFKA_LOGBACK = """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%d %p %m \\(%c\\)%n</pattern></encoder></appender>
<appender name="rights" class="ch.qos.logback.core.FileAppender"><file>{rights}</file>
<encoder><pattern>%m%n</pattern></encoder></appender>
<root level="WARN"><appender-ref ref="out"/></root>
<logger name="kafka.authorizer.logger" level="DEBUG" additivity="false"><appender-ref ref="rights"/></logger>
</configuration>
"""

CASSANDRA_LOGBACK = """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%d %-5level %msg %logger{{20}}%n</pattern></encoder></appender>
<appender name="rights" class="ch.qos.logback.core.FileAppender"><file>{rights}</file>
<encoder><pattern>%m%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="out"/></root>
<logger name="org.apache.cassandra.audit" additivity="false"><appender-ref ref="rights"/></logger>
</configuration>
"""


@dataclass(frozen=True)
class Certificates:
    authority: Authority
    server: Certificate
    expired: Certificate
    elsewhere: Certificate

    def of_listener(self, name: str) -> Certificate:
        return {"EXPIRED": self.expired, "ELSEWHERE": self.elsewhere}.get(name, self.server)


def make_certificates(folder: Path) -> Certificates:
    authority = Authority(folder)
    return Certificates(
        authority,
        authority.issue("server"),
        authority.issue("expired", expired=True),
        authority.issue("elsewhere", host="kafka.elsewhere.example"),
    )


def secrets_of(name: str) -> dict[str, Any]:
    """What a broker of SECURED was made with: `passwords` by user, `ports`, `certificates` (a folder)."""
    return json.loads((run_folder(name) / "secured.json").read_text())


def _keep(folder: Path, **made: object) -> None:
    (folder / "secured.json").write_text(json.dumps(made))


def _passwords() -> dict[str, str]:
    """The roles of the plan, and two more: somebody of another namespace, and somebody without a right."""
    roles = {right.principal: None for right in access_of(Topics("any"))}
    names = [ADMIN, *roles, "outsider", "nobody"]
    return {name: f"{MARK}-{name}-{os.urandom(6).hex()}" for name in names}


class SecuredKafka:
    """As a module of a broker: see `tests.brokers.running`."""

    @staticmethod
    def prepare(folder: Path, log: Path) -> tuple[list[str], int]:
        controller_port, *numbers = free_ports(1 + len(LISTENERS))
        ports = dict(zip(LISTENERS, numbers, strict=True))
        certificates, users = make_certificates(folder / "certificates"), _passwords()
        properties = kafka_properties(ports, controller_port, users, certificates)
        scram = [
            word
            for name, password in users.items()
            for mechanism in MECHANISMS[1:]
            for word in ("--add-scram", f"{mechanism}=[name={name},password={password},iterations=4096]")
        ]
        command = kafka.formatted(folder, properties, *scram)
        logback = folder / "logback.xml"
        logback.write_text(KAFKA_LOGBACK.format(rights=folder / "rights.log"))
        # Kafka's own artefacts log through an API that they bring no logger for: Cassandra's do.
        place = command.index("-cp") + 1
        command[place] = os.pathsep.join([command[place], *map(str, resolve(CASSANDRA).glob("logback-c*.jar"))])
        command.insert(1, f"-Dlogback.configurationFile={logback}")
        _keep(folder, ports=ports, passwords=users, certificates=str(folder / "certificates"))
        return command, ports["SASL"]


def kafka_properties(
    ports: Mapping[str, int], controller_port: int, users: Mapping[str, str], certificates: Certificates
) -> dict[str, str]:
    authority = str(certificates.authority.file)
    names = "".join(f' user_{name}="{password}"' for name, password in users.items())
    admin = f'username="{ADMIN}" password="{users[ADMIN]}"'
    plain = f"org.apache.kafka.common.security.plain.PlainLoginModule required {admin}{names};"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    told = {
        **kafka.SETTINGS,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": ",".join(
            f"{name}://127.0.0.1:{port}" for name, port in {**ports, "CONTROLLER": controller_port}.items()
        ),
        "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
        "listener.security.protocol.map": ",".join(
            f"{name}:{protocol}" for name, protocol in {**LISTENERS, "CONTROLLER": "SASL_PLAINTEXT"}.items()
        ),
        "inter.broker.listener.name": "SASL",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": plain,
        "listener.name.only512.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{ADMIN}",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        "ssl.keystore.type": "PEM",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority,
        "listener.name.mutual.ssl.client.auth": "required",
    }
    for name, protocol in LISTENERS.items():
        if protocol.startswith("SASL"):
            told[f"listener.name.{name.lower()}.plain.sasl.jaas.config"] = plain
            for mechanism in MECHANISMS[1:]:
                told[f"listener.name.{name.lower()}.{mechanism.lower()}.sasl.jaas.config"] = scram
        if protocol.endswith("SSL"):
            told[f"listener.name.{name.lower()}.ssl.keystore.location"] = str(certificates.of_listener(name).both)
    return told


class SecuredCassandra:
    """Its first user is cassandra with the password cassandra. Its port is without TLS, `ports["MUTUAL"]` with."""

    @staticmethod
    def prepare(folder: Path, log: Path) -> tuple[list[str], int]:
        command, port = cassandra.prepare(folder, log)
        [tls_port] = free_ports(1)
        certificates = make_certificates(folder / "certificates")
        yaml = folder / "cassandra.yaml"
        text = yaml.read_text().replace("AllowAllAuthenticator", "PasswordAuthenticator")
        text = text.replace("AllowAllAuthorizer", "CassandraAuthorizer")
        yaml.write_text(text + cassandra_security(tls_port, certificates))
        (folder / "logback.xml").write_text(CASSANDRA_LOGBACK.format(rights=folder / "rights.log"))
        ports = {"PASSWORD": port, "MUTUAL": tls_port}
        _keep(folder, ports=ports, passwords=_passwords(), certificates=str(folder / "certificates"))
        return command, port


def cassandra_security(tls_port: int, certificates: Certificates) -> str:
    return f"""native_transport_port_ssl: {tls_port}
client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: true
  keystore: {certificates.server.both}
  truststore: {certificates.authority.file}
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
role_manager: CassandraRoleManager
audit_logging_options:
  enabled: true
  logger:
    - class_name: FileAuditLogger
permissions_validity: 20ms
permissions_update_interval: 20ms
roles_validity: 100ms
credentials_validity: 100ms
"""


SECURED = {"secured-kafka": SecuredKafka, "secured-cassandra": SecuredCassandra}
