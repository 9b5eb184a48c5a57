"""What docker-compose.yml starts, as processes: the commands and environments of its services and of their images.

No engine is needed: only addresses, ports and paths are those of the test's own brokers and of this checkout.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from tests.integration.services.processes import ROOT, Cluster, Service
from tests.integration.services.test_separate_processes import completed

ROLES = ("orchestrator", "activity-worker", "timer", "gateway", "subscriber")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]

pytestmark = [pytest.mark.brokers, pytest.mark.slow]


class Image:
    """What a Dockerfile says of the processes started from it."""

    def __init__(self, file):
        text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
        self.environ = dict(re.findall(r"(\w+)=(\S+)", "".join(re.findall(r"^ENV (.*)$", text, re.MULTILINE))))
        self.command = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1])
        self.health = json.loads(re.search(r"^HEALTHCHECK .* CMD (.*)$", text, re.MULTILINE)[1])
        self.main = ROOT / re.search(r"^COPY (\S+) /opt/perdure/main\.py$", text, re.MULTILINE)[1]


class Composed:
    """A service of the compose file on the brokers of a cluster."""

    def __init__(self, name, cluster):
        described = COMPOSE[name]
        self.image = Image(described["build"]["dockerfile"])
        given = {key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(each)) for key, each in described["environment"].items()}
        self.environ = {**self.image.environ, **given}
        assert self.environ["PERDURE_LOG"] == "kafka://kafka:9092"
        assert self.environ["PERDURE_STORE"] == "cassandra://cassandra:9042/perdure"
        mounted = described.get("volumes", [])
        assert all((ROOT / each.split(":")[0]).is_dir() for each in mounted), mounted
        ours = ("PERDURE_LOG", "PERDURE_STORE", "PERDURE_NAMESPACE", "PERDURE_PARTITIONS", "LEDGER", "PATH")
        self.environ |= {key: cluster.environ[key] for key in ours}
        # /app is the folder whose part ./examples is mounted there; ports are free ones, to share a machine.
        self.environ |= {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PERDURE_HEALTH_PORT": "0"}
        if name == "gateway":
            self.environ["PERDURE_GATEWAY_PORT"] = "0"
        entry = described.get("entrypoint", self.image.command)
        self.command = [*entry, *described.get("command", [])]

    def arguments(self):
        """After the interpreter: `perdure` is its console script, /opt/perdure/main.py the file that was copied there."""
        if self.command[0] == "perdure":
            return ["-m", "perdure", *self.command[1:]]
        assert self.command[:2] == ["python", "/opt/perdure/main.py"]
        return [str(self.image.main), *self.command[2:]]

    def is_healthy(self, probes):
        """By the image's own check."""
        interpreter, flag, code = self.image.health
        assert (interpreter, flag) == ("python", "-c")
        at = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{probes.rpartition(':')[2]}", code)
        assert at != code
        return subprocess.run([sys.executable, flag, at], env=self.environ, timeout=60, check=False).returncode == 0


@pytest.fixture
def composed(cluster: Cluster):
    """`composed(name)` is a service; those that `begin` are ended."""
    begun = []

    def make(name):
        made = Composed(name, cluster)

        def begin():
            begun.append(Service([*made.arguments(), "--json"], made.environ, Path(ROOT / "tests")))
            return begun[-1]

        made.begin = begin
        return made

    yield make
    for service in begun:
        if service.process.poll() is None:
            service.process.kill()
        service.ended()


def test_the_services_of_the_compose_file_run_a_workflow(composed, tmp_path):
    first = composed("bootstrap")
    made = subprocess.run(
        [sys.executable, *first.arguments()], env=first.environ, cwd=tmp_path, capture_output=True, text=True, timeout=180,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    services = {name: composed(name) for name in ROLES}
    begun = {name: each.begin() for name, each in services.items()}
    told = {name: each.ready() for name, each in begun.items()}
    for name, each in services.items():
        assert told[name]["service"] == name
        assert each.is_healthy(told[name]["probes"]), name
    url = told["gateway"]["gateway"].replace("0.0.0.0", "127.0.0.1")
    token = {"dapr-api-token": services["gateway"].environ["PERDURE_GATEWAY_API_TOKEN"]}
    order = {"id": "o1", "items": [{"price": 2}], "step_s": 0.0}
    with httpx.Client(base_url=url, headers=token, timeout=60) as http:
        begun_one = http.post("/v1/workflows/order_workflow/start", params={"instance_id": "o1"}, json=order)
        assert begun_one.status_code == 202, begun_one.text
        assert completed(http, "o1")["runtimeStatus"] == "COMPLETED"
    for name, service in begun.items():
        assert service.end() == 0, (name, service.said)
