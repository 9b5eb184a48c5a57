"""Pods have no right that nothing needs, and secrets are named and never given."""

import json

import pytest
import yaml

from perdure.gateway.settings import GatewaySettings
from perdure.services.settings import ServiceSettings
from tests.deploy.manifests import container_of, selects
from tests.deploy.renderer import CHART, ChartRefused
from tests.deploy.value_sets import KEDA, LEAST, SECURED, over

SECRET_FIELDS = [
    f"{kind.model_config['env_prefix']}{name.upper()}"
    for kind in (ServiceSettings, GatewaySettings)
    for name, field in kind.model_fields.items()
    if "Secret" in str(field.annotation)
]


def test_no_container_can_become_more_than_it_is(manifests):
    for name, container in manifests.containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "privileged": False, "readOnlyRootFilesystem": True,
            "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
        }, name  # fmt: skip


def test_no_pod_is_root_or_talks_to_kubernetes_or_sees_the_node(manifests):
    for name, pod in manifests.pods():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all(spec["securityContext"][each] >= 1000 for each in ("runAsUser", "runAsGroup", "fsGroup"))
        assert spec["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec)
        assert all(set(volume) - {"name"} <= {"emptyDir", "secret", "configMap"} for volume in spec["volumes"])
    assert all(each["automountServiceAccountToken"] is False for each in manifests.of("ServiceAccount").values())
    assert not {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & {each["kind"] for each in manifests.all}


def test_no_service_of_the_namespace_puts_variables_into_a_pod(manifests):
    """A Service orders-perdure-gateway or perdure-kafka would: PERDURE_KAFKA_PORT stops every start."""
    assert all(pod["spec"]["enableServiceLinks"] is False for _, pod in manifests.pods())


def test_only_tmp_can_be_written_to_and_has_a_bound(manifests):
    for name, pod in manifests.pods():
        [container] = pod["spec"]["containers"]
        writable = {each["name"]: each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
        assert writable == {"tmp": "/tmp"}, name
        [tmp] = [each["emptyDir"] for each in pod["spec"]["volumes"] if "emptyDir" in each]
        assert tmp["sizeLimit"]


def test_every_container_has_requests_and_limits(manifests):
    for name, container in manifests.containers():
        assert all(set(container["resources"][each]) == {"cpu", "memory"} for each in ("requests", "limits")), name


def test_by_default_nobody_but_clients_reaches_anything(of):
    for name, policy in of("least").of("NetworkPolicy").items():
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        if name == "orders-perdure-gateway":
            [rule] = policy["spec"]["ingress"]
            [peer] = rule["from"]
            assert selects(peer["podSelector"], {"perdure.dev/client": "true"})
            assert [each["port"] for each in rule["ports"]] == ["http"]
        else:
            assert policy["spec"]["ingress"] == []


def test_a_setting_that_is_secret_comes_from_a_secret(manifests):
    assert len(SECRET_FIELDS) >= 5
    for name, variable, told in manifests.environment():
        if variable in {*SECRET_FIELDS, "OTEL_EXPORTER_OTLP_HEADERS", "SMTP_PASSWORD"}:
            assert set(told) == {"name", "valueFrom"} and set(told["valueFrom"]) == {"secretKeyRef"}, (name, variable)


def test_the_chart_makes_no_secret_and_no_config_map_but_that_of_subscriptions(name, manifests):
    assert not manifests.of("Secret")
    assert list(manifests.of("ConfigMap")) == (["orders-perdure-subscriptions"] if name == "subscribed" else [])


def test_an_upgrade_is_given_nothing_of_the_store(of):
    job = container_of(of("secured").component("upgrade"))
    assert not [each["name"] for each in job["env"] if "STORE" in each["name"] or "CASSANDRA" in each["name"]]
    assert [each["name"] for each in job["volumeMounts"]] == ["tmp", "kafka-tls"]


def test_secrets_that_are_named_are_those_that_the_values_name(of):
    found = set()
    for each in of("keda").all:
        _collect(each, found)
    assert found == {
        ("gateway-token", "token"), ("smtp", "password"), ("dkim", None), ("registry", None),
        ("otlp-headers", "headers"), ("otlp-ca", "ca.crt"), ("registry-ca", "ca.crt"),
        ("registry-user", "username"), ("registry-user", "password"),
        ("named-tokens", "tokens"), ("clients", "ca.crt"),
        *(("gateway-files", key) for key in ("tls.crt", "tls.key", "key-password")),
        *((user, key) for user in ("kafka-user", "timer-kafka", "bootstrap-kafka", "upgrade-kafka") for key in ("username", "password")),
        *((user, key) for user in ("cassandra-user", "timer-cassandra") for key in ("username", "password")),
        *((files, key) for files in ("kafka-files", "cassandra-files", "bootstrap-files", "upgrade-files")
          for key in ("ca.crt", "tls.crt", "tls.key", "key-password")),
    }  # fmt: skip


def _collect(node, found):
    """(secret, key) of each reference below `node`."""
    if isinstance(node, list):
        for each in node:
            _collect(each, found)
    if not isinstance(node, dict):
        return
    if reference := node.get("secretKeyRef"):
        found.add((reference["name"], reference["key"]))
    if "secretName" in node:
        found.update((node["secretName"], each["key"]) for each in node.get("items", [{"key": None}]))
    found.update((each["name"], each["key"]) for each in node.get("secretTargetRef", []))
    found.update((each["name"], None) for each in node.get("imagePullSecrets", []))
    for each in node.values():
        _collect(each, found)


@pytest.mark.parametrize(
    "values",
    [
        {"kafka": {"sasl": {"password": "s3cret"}}},
        {"kafka": {"sasl": {"username": "me"}}},
        {"cassandra": {"auth": {"password": "s3cret"}}},
        {"gateway": {"apiToken": "s3cret"}},
        {"schemaRegistry": {"password": "s3cret"}},
        {"schemaRegistry": {"url": "https://me:s3cret@registry"}},
        {"gateway": {"token": "s3cret"}},
        {"gateway": {"tokens": "ann s3cret"}},
        {"gateway": {"tokens": {"named": {"ann": "s3cret"}}}},
        {"gateway": {"tls": {"keyPassword": "s3cret"}}},
        {"upgrade": {"credentials": {"kafka": {"password": "s3cret"}}}},
        {"otlp": {"headers": "authorization=s3cret"}},
        {"otlp": {"endpoint": "https://me:s3cret@collector"}},
        {"kafka": {"servers": ["me:s3cret@kafka:9092"]}},
        {"cassandra": {"hosts": ["me:s3cret@cassandra:9042"]}},
        {"defaults": {"env": {"SMTP_PASSWORD": "s3cret"}}},
        {"workers": {"default": {"env": {"STRIPE_API_KEY": "s3cret"}}}},
        {"services": {"orchestrator": {"env": {"GITHUB_TOKEN": "s3cret"}}}},
        {"services": {"timer": {"env": {"PERDURE_KAFKA_USERNAME": "me"}}}},
        {"defaults": {"env": {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=s3cret"}}},
        {"defaults": {"secretEnv": {"SMTP_PASSWORD": {"value": "s3cret"}}}},
    ],
    ids=json.dumps,
)
def test_a_secret_cannot_be_given_as_a_value(render, values):
    with pytest.raises(ChartRefused) as refused:
        render(over(LEAST, values))
    assert "values don't meet the specifications of the schema" in str(refused.value)


def test_a_secrets_bytes_never_reach_a_manifest(render):
    """Each word of the values is somewhere, but for names of keys: what is told of a secret is where it is."""
    told = yaml.safe_dump(render(over(KEDA, SECURED)).all)
    assert "kafka-user" in told
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    for path, value in _leaves(defaults):
        sounds = any(word in path[-1].lower() for word in ("password", "secret", "token", "headers"))
        assert not sounds or value in {"", "token", "headers", "password"} or path[-1].endswith("Key"), path


def _leaves(node, path=()):
    if isinstance(node, dict):
        for name, each in node.items():
            yield from _leaves(each, (*path, name))
    elif not isinstance(node, list):
        yield path, node


@pytest.mark.parametrize(
    "context",
    [{"runAsNonRoot": False}, {"runAsUser": 0}, {"seccompProfile": {"type": "Unconfined"}}, {"sysctls": []}],
    ids=json.dumps,
)
def test_rights_of_pods_cannot_be_widened(render, context):
    with pytest.raises(ChartRefused, match="podSecurityContext"):
        render(over(LEAST, {"podSecurityContext": context}))
