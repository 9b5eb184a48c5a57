"""Libraries from Maven, resolved once and kept."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.brokers.errors import BrokersUnavailable
from tests.brokers.places import libraries, locked, say

RESOLVE_SECONDS_MAX = 600
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


@dataclass(frozen=True)
class Artefact:
    """A Maven artefact with everything that it needs. `name` is its folder."""

    name: str
    group: str
    artefact: str
    version: str

    def pom(self) -> str:
        return f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>perdure.test</groupId><artifactId>{self.name}</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>{self.group}</groupId><artifactId>{self.artefact}</artifactId>
<version>{self.version}</version></dependency></dependencies></project>
"""


KAFKA = Artefact("kafka-4.1.0", "org.apache.kafka", "kafka_2.13", "4.1.0")
KAFKA_TOOLS = Artefact("kafka-tools-4.1.0", "org.apache.kafka", "kafka-tools", "4.1.0")
LIBRARY_AVRO = Artefact("avro-1.12.0", "org.apache.avro", "avro", "1.12.0")
CASSANDRA = Artefact("cassandra-5.0.5", "org.apache.cassandra", "cassandra-all", "5.0.5")


def tool(name: str, purpose: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BrokersUnavailable(
            f"{name} was not found on PATH, and it {purpose}. Install Java 17 and Maven (Debian: `apt-get install "
            "openjdk-17-jre-headless maven`), or start a Docker engine, or give addresses of running brokers: "
            "PERDURE_TEST_KAFKA=host:port PERDURE_TEST_CASSANDRA=host:port"
        )
    return found


def resolve(artefact: Artefact) -> Path:
    """The folder of the artefact's jars. A second process waits for the first instead of resolving again."""
    target = libraries(artefact.name)
    with locked("artefacts"):
        if not target.is_dir():
            _resolve_into(artefact, target)
    return target


def _resolve_into(artefact: Artefact, target: Path) -> None:
    maven = tool("mvn", f"fetches {artefact.name}")
    say(f"fetching {artefact.name} with Maven (once, about a minute) ...")
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    pom = partial / "pom.xml"
    pom.write_text(artefact.pom())
    command = [maven, "-q", "-B", "-f", str(pom), COPY_GOAL, f"-DoutputDirectory={partial / 'jars'}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RESOLVE_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired as error:
        raise BrokersUnavailable(f"Maven did not fetch {artefact.name} in {RESOLVE_SECONDS_MAX} s") from error
    if done.returncode != 0:
        raise BrokersUnavailable(
            f"Maven could not fetch {artefact.name}:\n{(done.stdout + done.stderr).strip()[-2000:]}"
        )
    # The folder appears under its name only when it is whole: a killed run leaves no half of it.
    (partial / "jars").rename(target)
    shutil.rmtree(partial, ignore_errors=True)
