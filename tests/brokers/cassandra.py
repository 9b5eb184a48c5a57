"""One Cassandra node."""

from __future__ import annotations

from pathlib import Path

from tests.brokers import java
from tests.brokers.artefacts import CASSANDRA, resolve
from tests.brokers.places import free_ports

IMAGE = "cassandra:5.0.5"

YAML = """cluster_name: perdure-test
num_tokens: 4
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
data_file_directories: [{data}/data]
commitlog_directory: {data}/commitlog
saved_caches_directory: {data}/saved_caches
hints_directory: {data}/hints
cdc_raw_directory: {data}/cdc_raw
commitlog_sync: periodic
commitlog_sync_period: 10000ms
auto_snapshot: false
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:{storage_port}"
listen_address: 127.0.0.1
storage_port: {storage_port}
native_transport_port: {port}
rpc_address: 127.0.0.1
start_native_transport: true
disk_access_mode: mmap_index_only
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
concurrent_reads: 8
concurrent_writes: 8
"""

LOGBACK = """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%d %-5level %msg %logger{20}%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="out"/></root></configuration>
"""

# The modules that Cassandra's own jvm17-server.options opens, as module/packages.
EXPORTS = {
    "java.base": "jdk.internal.misc jdk.internal.ref sun.nio.ch java.lang.ref",
    "java.management.rmi": "com.sun.jmx.remote.internal.rmi",
    "java.rmi": "sun.rmi.registry sun.rmi.server",
    "java.sql": "java.sql",
    "jdk.unsupported": "sun.misc",
}
OPENS = {
    "java.base": "java.lang.module jdk.internal.loader jdk.internal.ref jdk.internal.reflect jdk.internal.math "
    "jdk.internal.module jdk.internal.util.jar sun.nio.ch java.io java.lang java.lang.reflect java.util "
    "java.util.concurrent java.util.concurrent.atomic java.nio",
    "jdk.management": "com.sun.management.internal",
}


def module_options(option: str, modules: dict[str, str]) -> list[str]:
    return [
        argument
        for module, packages in modules.items()
        for package in packages.split()
        for argument in (option, f"{module}/{package}=ALL-UNNAMED")
    ]


def prepare(folder: Path, log: Path) -> tuple[list[str], int]:
    """Writes what a new node needs. Returns its command and its port for clients."""
    libraries = resolve(CASSANDRA)
    port, storage_port, jmx_port = free_ports(3)
    data = folder / "data"
    data.mkdir()
    yaml, logback = folder / "cassandra.yaml", folder / "logback.xml"
    yaml.write_text(YAML.format(data=data, port=port, storage_port=storage_port))
    logback.write_text(LOGBACK)
    agent = next(libraries.glob("jamm-*.jar"))
    properties = {
        "cassandra.config": yaml.as_uri(),
        "cassandra.storagedir": data,
        "logback.configurationFile": logback,
        "cassandra-foreground": "yes",
        "cassandra.jmx.local.port": jmx_port,
        "cassandra.skip_wait_for_gossip_to_settle": 0,
        "cassandra.ring_delay_ms": 100,
        "cassandra.superuser_setup_delay_ms": 0,
    }
    command = [
        *java.command("runs Cassandra"),
        f"-javaagent:{agent}",
        "-Xms512m",
        "-Xmx1g",
        "-XX:+UseG1GC",
        "-Djdk.attach.allowAttachSelf=true",
    ]
    command += module_options("--add-exports", EXPORTS) + module_options("--add-opens", OPENS)
    command += [f"-D{name}={value}" for name, value in properties.items()]
    return [*command, "-cp", f"{folder}:{libraries}/*", "org.apache.cassandra.service.CassandraDaemon"], port


def container_arguments(port: int) -> list[str]:
    """Arguments of `docker run`. The image listens on 9042."""
    options = "-Xms512m -Xmx1g -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=100"
    return ["-p", f"127.0.0.1:{port}:9042", "-e", f"JVM_EXTRA_OPTS={options}", IMAGE]
