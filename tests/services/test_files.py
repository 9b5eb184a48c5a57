"""The compose file, the images and the pages beside them say what the settings and the roles say.

`compose_spec.json` is the Compose specification's schema (Apache-2.0), as docker-compose 1.29.2 ships it.
"""

import ast
import json
import re
import subprocess
import sys

import jsonschema_rs
import pytest
import yaml

from perdure.gateway.settings import GatewaySettings
from perdure.services.roles import ROLES
from perdure.services.settings import HEALTH_PORTS, ServiceSettings, read_settings
from tests.documents.markdown import ROOT, text_of

FOLDERS = {role: f"services/{role.replace('-', '_')}" for role in ROLES}
OTHER_VARIABLES = {"PERDURE_APP", "PERDURE_LOG_FORMAT", "PERDURE_LOG_LEVEL", "PERDURE_GATEWAY_API_TOKEN"}


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(text_of("docker-compose.yml"))


def known_variables():
    gateway = {f"PERDURE_GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields}
    return {f"PERDURE_{name.upper()}" for name in ServiceSettings.model_fields} | gateway | OTHER_VARIABLES


def test_the_compose_file_fits_its_schema(compose):
    schema = json.loads(text_of("tests/services/compose_spec.json"))
    validator = jsonschema_rs.validator_for(schema)
    assert [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(compose)] == []
    compose["services"]["timer"]["comand"] = "typo"
    assert not validator.is_valid(compose)
    del compose["services"]["timer"]["comand"]


def test_every_role_is_a_service_built_from_its_own_folder(compose):
    for role, folder in FOLDERS.items():
        assert compose["services"][role]["build"] == {"context": ".", "dockerfile": f"{folder}/Dockerfile"}
        assert (ROOT / folder / "Dockerfile").is_file()


@pytest.mark.parametrize("role", [*ROLES, "bootstrap"])
def test_the_environment_of_a_service_is_one_that_its_settings_take(compose, role, environment):
    given = compose["services"][role]["environment"]
    assert {name for name in given if name.startswith("PERDURE_")} <= known_variables()
    for name, value in given.items():
        environment.setenv(name, re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(value)))
    settings = read_settings()
    for server in (*settings.kafka_servers, *(host for host, _ in settings.cassandra_hosts)):
        assert server.partition(":")[0] in compose["services"]
    if role == "gateway":
        assert GatewaySettings().host == "0.0.0.0"


def test_services_wait_for_bootstrap_and_bootstrap_for_the_brokers(compose):
    for role in ROLES:
        assert compose["services"][role]["depends_on"] == {"bootstrap": {"condition": "service_completed_successfully"}}
    waits = compose["services"]["bootstrap"]["depends_on"]
    assert waits == {name: {"condition": "service_healthy"} for name in ("kafka", "cassandra")}


def test_a_service_is_given_longer_than_its_drain_before_it_is_killed(compose):
    drain = ServiceSettings(log="kafka://a:1", store="cassandra://a:1/k").drain_seconds
    for role in ROLES:
        assert int(compose["services"][role]["stop_grace_period"].removesuffix("s")) > drain + 4


@pytest.mark.parametrize("role", ROLES)
def test_an_image_is_slim_not_root_and_probes_the_port_that_it_sets(role):
    text = text_of(f"{FOLDERS[role]}/Dockerfile")
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["python:3.13-slim-bookworm"] * 2
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    assert f"PERDURE_HEALTH_PORT={HEALTH_PORTS[role]}" in text
    assert f"127.0.0.1:{HEALTH_PORTS[role]}/readyz" in text
    assert "PYTHONHASHSEED=0" in text
    assert set(re.findall(r"PERDURE_[A-Z_]+", text)) <= known_variables()
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / each).exists() for each in source.split()), source


@pytest.mark.parametrize("role", ROLES)
def test_the_main_of_an_image_is_short_and_is_the_command(role):
    text = text_of(f"{FOLDERS[role]}/main.py")
    assert len(text.splitlines()) <= 12
    assert f'"run", "{role}"' in text
    ast.parse(text)
    told = subprocess.run(
        [sys.executable, str(ROOT / FOLDERS[role] / "main.py"), "--help"], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "--app" in told.stdout


@pytest.mark.parametrize("role", ROLES)
def test_a_readme_says_topics_state_scaling_and_what_to_do_when(role):
    text = text_of(f"{FOLDERS[role]}/README.md")
    for part in ("| Reads |", "| Writes |", "| State |", "| Scales on |", "## When", f"perdure run {role}"):
        assert part in text, part


def test_every_setting_is_documented():
    documented = set(re.findall(r"`(PERDURE_[A-Z_]+)`", text_of("docs/services.md")))
    assert documented >= {f"PERDURE_{name.upper()}" for name in ServiceSettings.model_fields}
    assert documented <= known_variables()
