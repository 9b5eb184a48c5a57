"""Every variable in the chart is a setting of the code, and every setting of a service is in the chart."""

import importlib
import json
import os
import pkgutil
import re

import pytest
import yaml
from pydantic_settings import BaseSettings

import perdure
from perdure.assembly import ASKS_REGISTRY
from perdure.cli.run import RoleName
from perdure.codec.versions import newest
from perdure.gateway.settings import GatewaySettings
from perdure.services.layout import Layout
from perdure.services.roles import ROLES
from perdure.services.settings import HEALTH_PORTS, read_client_settings, read_settings
from perdure.services.upgrade import Found
from tests.brokers.certificates import Authority
from tests.deploy.manifests import container_of
from tests.deploy.renderer import CHART
from tests.deploy.value_sets import LEAST, SETS, over
from tests.documents.markdown import ROOT, text_of

NOT_OF_PODS = {
    "PERDURE_ENDPOINT": "a client's: where the engine is",
    "PERDURE_API_TOKEN": "a client's; the gateway's own name for it is PERDURE_GATEWAY_API_TOKEN",
    "PERDURE_ENDPOINT_CA_FILE": "a client's: the authority of the gateway's certificate",
    "PERDURE_DB": "an embedded engine's: its file",
    "PERDURE_HASH_SEED_SET": "of a process to itself, when it begins again with PYTHONHASHSEED=0",
}
OUR_OWN = {"PYTHONHASHSEED", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


def settings_classes():
    for module in pkgutil.walk_packages(perdure.__path__, "perdure."):
        if "settings" in module.name:
            importlib.import_module(module.name)
    found, waiting = set(), [BaseSettings]
    while waiting:
        waiting += (subclasses := waiting.pop().__subclasses__())
        found |= {each for each in subclasses if each.__module__.startswith("perdure.")}
    return found


def variables_of_code():
    """Fields of the settings classes, and every whole PERDURE_ name that is written anywhere in the source."""
    fields = {
        f"{kind.model_config['env_prefix']}{name}".upper() for kind in settings_classes() for name in kind.model_fields
    }
    written = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"\bPERDURE_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    return fields | written


def variables_of_chart(of):
    return {variable for name in SETS for _, variable, _ in of(name).environment()}


def test_the_settings_classes_are_found():
    assert {"ServiceSettings", "GatewaySettings"} <= {each.__name__ for each in settings_classes()}
    assert {"PERDURE_LOG", "PERDURE_GATEWAY_PORT", "PERDURE_APP", "PERDURE_LOG_LEVEL"} <= variables_of_code()


def test_every_setting_is_in_the_chart_and_nothing_else_is(of):
    in_chart = {name for name in variables_of_chart(of) if name.startswith("PERDURE_")}
    of_pods = variables_of_code() - set(NOT_OF_PODS)
    assert sorted(in_chart - of_pods) == [], "the chart sets what nothing reads"
    assert sorted(of_pods - in_chart) == [], "nobody can set these in the chart: put them into templates/_env.tpl"


def test_what_is_left_out_is_still_read_somewhere():
    assert set(NOT_OF_PODS) <= variables_of_code()


def test_variables_of_traces_are_those_that_the_page_tells_of(of):
    others = {name for name in variables_of_chart(of) if not name.startswith("PERDURE_")}
    given = {"SMTP_HOST", "SMTP_PASSWORD"}
    assert {name for name in others if name.startswith("OTEL_")} == others - OUR_OWN - given
    documented = set(re.findall(r"`(OTEL_[A-Z_]+)`", text_of("docs/telemetry.md")))
    assert others - OUR_OWN - given <= documented


def test_no_variable_is_set_twice(manifests):
    for _, container in manifests.containers():
        names = [each["name"] for each in container["env"]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_000_000, "1000000"), (9_007_199_254_740_991, "9007199254740991"), (-25_000_000, "-25000000"), (0.25, "0.25"),
        (1_234_567.5, "1234567.5"), (3, "3"), (0, "0"), (True, "true"), (False, "false"), ("007", "007"), ("1e6", "1e6"), ("", ""),
    ],
)  # fmt: skip
def test_a_value_of_yours_arrives_as_it_was_written(render, value, text):
    manifests = render(over(LEAST, {"workers": {"default": {"env": {"MINE": value}}}}))
    [found] = [each["value"] for _, name, each in manifests.environment() if name == "MINE"]
    assert found == text


def test_no_number_of_the_chart_is_written_with_an_exponent(render):
    """The largest that the schema takes, or larger than anybody needs."""
    much = 12_000_000
    values = {
        "defaults": {
            "drainSeconds": much, "startSeconds": much, "stallSeconds": much + 0.5, "env": {"MINE": much},
            "preStopSeconds": 600, "threads": 10_000, "tolerations": [{"key": "a", "tolerationSeconds": much}],
            "scaling": {"lagThreshold": much},
        },
        "workerDefaults": {
            "resources": {each: {"cpu": 1, "memory": 2_147_483_648} for each in ("requests", "limits")},
            "scaling": {"lagThreshold": much},
        },
        "retention": {"perSecond": 100_000, "historyHours": much, "deadLetterDays": much},
        "gateway": {"requestsPerSecond": 1_000_000, "requestsBurst": 1_000_000, "bodyBytesMax": 100_000_000},
        "podSecurityContext": {"runAsUser": much, "runAsGroup": much, "fsGroup": much, "supplementalGroups": [much]},
        "bootstrap": {"deadlineSeconds": much},
        "subscriptions": {"inline": {"orders": {"topic": "t", "workflow": "w", "instance_id": "key"}}},
    }  # fmt: skip
    manifests = render(over(SETS["subscribed"], values))
    told = json.dumps(manifests.all)
    assert re.findall(r"\d+(?:\.\d+)?[eE][+-]?\d\d\b", told) == []
    assert told.count(str(much)) > 20
    memory = container_of(manifests.component("activity-worker-mail"))["resources"]["limits"]["memory"]
    assert int(memory) == 2_147_483_648


def test_settings_take_what_a_pod_is_given(manifests, monkeypatch, tmp_path):
    for name, workload in manifests.workloads.items():
        _give(container_of(workload), monkeypatch, tmp_path)
        role = container_of(workload)["name"]
        settings = read_client_settings() if role == "upgrade" else read_settings()
        assert settings.kafka_servers and bool(settings.cassandra_hosts) == (role != "upgrade"), name
        if role == "gateway":
            assert GatewaySettings().api_token
        if role in HEALTH_PORTS:
            assert settings.health_port == HEALTH_PORTS[role]
            assert settings.health_host in {"0.0.0.0", "::"}


def test_ages_of_retention_are_those_of_the_settings(of, monkeypatch, tmp_path):
    _give(container_of(of("secured").component("orchestrator")), monkeypatch, tmp_path)
    settings = read_settings()
    assert settings.retain == "COMPLETED=30d,FAILED=90d"
    assert settings.ages == {"COMPLETED": 30 * 86_400, "FAILED": 90 * 86_400}
    assert settings.history_hours == 0.5


def test_a_gateway_takes_its_tokens_its_files_and_its_rate(of, monkeypatch, tmp_path):
    _give(container_of(of("secured").component("gateway")), monkeypatch, tmp_path)
    settings = GatewaySettings()
    assert settings.callers.of(b"a" * 64).name == "ann"
    assert settings.tls() is not None and settings.client_ca_file is not None
    assert (settings.requests_per_second, settings.requests_burst) == (50.0, 200)
    assert (settings.bodies_bytes_max, settings.head_seconds, settings.body_seconds) == (16_777_216, 2.5, 20.0)


def test_a_gateways_limit_of_memory_has_room_for_the_bodies_it_may_hold(of, monkeypatch, tmp_path):
    """A body costs up to ten times its bytes: the text of one with an emoji takes four a character, and it is encoded."""
    container = container_of(of("least").component("gateway"))
    _give(container, monkeypatch, tmp_path)
    limit = container["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    assert int(limit.removesuffix("Mi")) * 2**20 >= 100 * 2**20 + 10 * GatewaySettings().bodies_bytes_max


def test_the_charts_own_values_are_the_codes(of, monkeypatch, tmp_path):
    _give(container_of(of("least").component("gateway")), monkeypatch, tmp_path)
    for name in ("body_bytes_max", "bodies_bytes_max", "head_seconds", "body_seconds"):
        assert getattr(GatewaySettings(), name) == GatewaySettings.model_fields[name].default


def test_named_tokens_are_enough_for_a_gateway(render, monkeypatch, tmp_path):
    values = {"gateway": {"existingSecret": "", "tokens": {"existingSecret": "named-tokens"}}}
    _give(container_of(render(over(LEAST, values)).component("gateway")), monkeypatch, tmp_path)
    assert GatewaySettings().api_token is None and GatewaySettings().callers.are_known


def test_who_asks_the_schema_registry_is_told_where_it_is_and_nobody_else(of):
    roles = yaml.safe_load((CHART / "roles.yaml").read_text())
    assert {name for name, facts in roles.items() if facts.get("registry")} == set(ASKS_REGISTRY)
    told = {name for name, variable, _ in of("subscribed").environment() if variable == "PERDURE_SCHEMA_REGISTRY"}
    assert told == {f"orders-perdure-{role}" for role in ASKS_REGISTRY}


def _give(container, monkeypatch, folder):
    """The environment of its process: secrets hold something, files are there."""
    for variable in [each for each in os.environ if each.startswith(("PERDURE_", "OTEL_"))]:
        monkeypatch.delenv(variable)
    for each in container["env"]:
        value = each.get("value", "from-a-secret-or-file")
        if value.startswith("/etc/perdure/"):
            file = folder / value.removeprefix("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            _fill(file, value.removeprefix("/etc/perdure/").partition("/")[0])
            value = str(file)
        monkeypatch.setenv(each["name"], value)


def _fill(file, folder):
    if folder in {"gateway", "clients"}:
        authority = Authority(file.parent)
        issued = authority.issue("gateway", key_password="from-a-secret-or-file")
        made = {"tls.crt": issued.certificate, "tls.key": issued.key, "ca.crt": authority.file}
        # A pair belongs together: both are made when the first is asked for.
        for name in ("tls.crt", "tls.key") if folder == "gateway" else ("ca.crt",):
            if file.name != "tls.key":
                (file.parent / name).write_bytes(made[name].read_bytes())
    else:
        file.write_text(f"ann {'a' * 64}\n" if folder == "tokens" else "pem")


def test_a_pod_runs_its_role_as_the_command_line_has_it(manifests):
    for workload in manifests.workloads.values():
        container = container_of(workload)
        assert container["command"] == ["perdure"]
        if container["name"] not in {"bootstrap", "upgrade", "grow", "restore"}:
            assert container["args"] == ["run", RoleName(container["name"]).value, "--json"]


@pytest.mark.parametrize("values", ["pools", "small"])
def test_bootstrap_is_a_command_line_that_is_understood(of, monkeypatch, tmp_path, capsys, values):
    from perdure.cli.program import program

    container = container_of(of(values).component("bootstrap"))
    _give(container, monkeypatch, tmp_path)
    with pytest.raises(SystemExit) as ended:
        program([*container["args"], "--print"])
    assert ended.value.code in {0, None}, capsys.readouterr().err
    told = capsys.readouterr().out
    assert ("perdure.activities.mail" in told) == (values == "pools")
    assert f"--partitions {1 if values == 'small' else 4} " in told


def test_the_upgrade_is_a_command_line_that_is_understood_and_gets_its_time(of, monkeypatch, tmp_path):
    from perdure.cli.program import program
    from perdure.services import upgrading

    asked = []

    def noted(settings, *, check, wait_seconds):
        asked.append((settings.kafka_username, check, wait_seconds))
        return Found(newest(), newest(), [])

    job = of("secured").component("upgrade")
    _give(container_of(job), monkeypatch, tmp_path)
    monkeypatch.setattr(upgrading, "upgraded", noted)
    with pytest.raises(SystemExit) as ended:
        program(container_of(job)["args"])
    assert ended.value.code in {0, None}
    assert asked == [("from-a-secret-or-file", False, 240)]
    assert job["spec"]["activeDeadlineSeconds"] > 240 and job["spec"]["backoffLimit"] == 0
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-upgrade"


@pytest.mark.parametrize("command", ["grow", "restore"])
def test_what_is_done_to_a_namespace_is_a_command_line_that_is_understood(of, monkeypatch, tmp_path, command):
    from perdure.cli.program import program
    from perdure.services import moving

    asked = []

    def grown(settings, partitions, *, pass_on, tell):
        asked.append((settings.kafka_servers, settings.cassandra_hosts, settings.epoch, partitions, pass_on))
        return Layout(partitions)

    def restored(settings, tell):
        asked.append((settings.kafka_servers, settings.cassandra_hosts, settings.epoch))
        return 0

    monkeypatch.setattr(moving, "grown", grown)
    monkeypatch.setattr(moving, "restored", restored)
    container = container_of(of("moved").component(command))
    _give(container, monkeypatch, tmp_path)
    with pytest.raises(SystemExit) as ended:
        program(container["args"])
    assert ended.value.code in {0, None}
    settings = read_settings()
    places = (settings.kafka_servers, settings.cassandra_hosts, 1)
    assert asked == [(*places, 24, True) if command == "grow" else places]


def test_a_growth_comes_before_bootstrap_and_a_restoration_after_it_and_no_pod_before_either(of):
    jobs = of("moved").of("Job")
    about = {name.rpartition("-")[2]: each["metadata"]["annotations"] for name, each in jobs.items()}
    hooks = {name: (each["helm.sh/hook"], int(each["helm.sh/hook-weight"])) for name, each in about.items()}
    assert hooks == {
        "grow": ("pre-upgrade", -5), "bootstrap": ("pre-install,pre-upgrade", 0),
        "restore": ("pre-install,pre-upgrade", 5), "upgrade": ("post-upgrade", 0),
    }  # fmt: skip
    assert [each["spec"]["backoffLimit"] for name, each in jobs.items() if name.endswith(("grow", "restore"))] == [0, 0]
    for kind in ("ServiceAccount", "NetworkPolicy"):
        for name in jobs:
            told = of("moved").of(kind)[name]["metadata"]["annotations"]
            assert (
                int(told["helm.sh/hook-weight"]) < -5
                and told["helm.sh/hook"] == jobs[name]["metadata"]["annotations"]["helm.sh/hook"]
            )


def test_nothing_is_done_to_a_namespace_unasked(name, of):
    assert {"grow", "restore"} & {each.rpartition("-")[2] for each in of(name).of("Job")} == (
        {"grow", "restore"} if name == "moved" else set()
    )


def test_the_charts_roles_are_those_of_the_code():
    """A service that the code has and the chart has not, or with another port, is found here."""
    roles = yaml.safe_load((CHART / "roles.yaml").read_text())
    assert {name: facts["port"] for name, facts in roles.items()} == HEALTH_PORTS
    assert set(roles) == set(ROLES)
    assert {name for name, facts in roles.items() if facts.get("app")} == {
        name for name, role in ROLES.items() if role.app_needed
    }
