"""What cannot work is refused before anything is sent, in a sentence that says what to do."""

import json

import pytest

from tests.deploy.renderer import ChartRefused
from tests.deploy.value_sets import EXPOSED, LEAST, over

GUARDED = ("orchestrator", "timer", "gateway")


def without(path):
    """LEAST with that setting empty."""
    first, _, rest = path.partition(".")
    empty = {"servers": [], "hosts": []}.get(rest, "")
    return over(LEAST, {first: {rest: empty} if rest else ""})


def refused(render, values):
    with pytest.raises(ChartRefused) as told:
        render(values)
    return str(told.value)


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("image.repository", "image.repository is not set: build an image with your App in it"),
        ("kafka.servers", "kafka.servers is empty: name the brokers"),
        ("cassandra.hosts", "cassandra.hosts is empty: name the nodes"),
        ("cassandra.datacenter", "cassandra.datacenter is not set"),
        ("gateway.existingSecret", "gateway.existingSecret is not set: name a Secret with the API token"),
        ("app", "runs your code: set app=module:app"),
    ],
)
def test_what_has_no_default_is_asked_for(render, missing, sentence):
    assert sentence in refused(render, without(missing))


@pytest.mark.parametrize("service", GUARDED)
@pytest.mark.parametrize("replicas", [0, 1])
def test_fewer_than_two_of_a_service_are_refused(render, service, replicas):
    said = refused(render, over(LEAST, {"services": {service: {"replicas": replicas}}}))
    assert f"services.{service}.replicas is {replicas}: run at least 2 of the {service}" in said


@pytest.mark.parametrize("keda", [True, False])
@pytest.mark.parametrize("service", GUARDED)
def test_a_scaler_may_not_go_below_two_of_a_service_either(render, service, keda):
    values = {
        "services": {service: {"scaling": {"min": 1}}},
        "autoscaling": {"enabled": True, "keda": {"enabled": keda}},
    }
    assert f"services.{service}.scaling.min is 1: run at least 2" in refused(render, over(LEAST, values))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"services": {"orchestrator": {"replicas": 5}}},
            "services.orchestrator.replicas is 5: the orchestrator shares 4",
        ),
        ({"workers": {"default": {"replicas": 9}}}, "workers.default.replicas is 9: the activity-worker shares 4"),
        ({"topics": {"partitions": 1}}, "shares 1 partitions (topics.partitions)"),
        ({"workers": {"other": {}}}, "workers.default and workers.other serve the same task queue"),
        (
            {"services": {"orchestrators": {}}},
            "services.orchestrators is no service of this chart: there are gateway, orc",
        ),
        ({"services": {"activity-worker": {}}}, "activity workers are pools below workers"),
        ({"kafka": {"tls": {"existingSecret": "x"}}}, "kafka.tls.existingSecret is set, but TLS is off"),
        (
            {"services": {"timer": {"credentials": {"kafkaTls": "x"}}}},
            "services.timer.credentials.kafkaTls is set, but TLS is off: set kafka.tls.enabled=true",
        ),
        (
            {"workers": {"default": {"credentials": {"cassandraTls": "x"}}}},
            "workers.default.credentials.cassandraTls is set, but TLS is off",
        ),
        (
            {"bootstrap": {"credentials": {"cassandraTls": "x"}}},
            "bootstrap.credentials.cassandraTls is set, but TLS is",
        ),
        ({"grow": {"credentials": {"cassandraTls": "x"}}}, "grow.credentials.cassandraTls is set, but TLS is off"),
        ({"restore": {"credentials": {"kafkaTls": "x"}}}, "restore.credentials.kafkaTls is set, but TLS is off"),
        (
            {"gateway": {"service": {"type": "LoadBalancer"}}},
            "gateway.service.type is LoadBalancer, but no policy lets anybody from outside in: name who may ask in",
        ),
        ({"gateway": {"service": {"type": "NodePort"}}}, "gateway.service.type is NodePort, but no policy lets"),
        ({"upgrade": {"credentials": {"kafkaTls": "x"}}}, "upgrade.credentials.kafkaTls is set, but TLS is off"),
        (
            {"autoscaling": {"keda": {"credentials": {"kafkaTls": "x"}}}},
            "autoscaling.keda.credentials.kafkaTls is set, but TLS is off",
        ),
        ({"cassandra": {"tls": {"enabled": True, "keyKey": "tls.key"}}}, "needs both cassandra.tls.certificateKey and"),
        ({"schemaRegistry": {"caSecret": "x"}}, "schemaRegistry has Secrets but no address"),
        (
            {"schemaRegistry": {"caSecret": "x", "url": "http://r"}},
            "does not begin with https://: it would not be used",
        ),
        (
            {"gateway": {"tls": {"clientCaSecret": "x"}}},
            "the gateway speaks plain HTTP: set gateway.tls.existingSecret",
        ),
        (
            {"workers": {"default": {"env": {"ACCOUNT": 12345678901234567890}}}},
            "workers.default.env.ACCOUNT is a number that Helm rounds: write it in quotes",
        ),
        ({"image": {"tag": "latest"}}, "image.tag is latest"),
        ({"workers": {"default": {"image": {"tag": "latest"}}}}, "image.tag is latest"),
        ({"gateway": {"ingress": {"enabled": True, "host": "x.y"}}}, "name its pods in networkPolicy.gatewayFrom"),
        ({"defaults": {"mounts": [{"name": "a", "path": "/a"}]}}, "names no secret and no configMap, or both"),
        (
            {"defaults": {"mounts": [{"name": "a", "path": "/a", "secret": "s", "configMap": "c"}]}},
            "names no secret and no configMap, or both",
        ),
        (
            {"autoscaling": {"enabled": True}, "workers": {"default": {"scaling": {"min": 0}}}},
            "workers.default.scaling.min is 0: only KEDA goes down to nothing",
        ),
        (
            {"autoscaling": {"enabled": True}, "services": {"gateway": {"scaling": {"min": 20}}}},
            "services.gateway.scaling.min is 20 and its max 10",
        ),
        (
            {"autoscaling": {"enabled": True}, "services": {"timer": {"scaling": {"max": 5}}}},
            "services.timer.scaling.max is 5: the timer shares 4 partitions",
        ),
    ],
    ids=json.dumps,
)
def test_what_contradicts_itself_or_cannot_work_is_refused(render, values, sentence):
    assert sentence in refused(render, over(LEAST, values))


def test_an_ingress_for_every_name_is_refused(render):
    said = refused(render, over(EXPOSED, {"gateway": {"ingress": {"host": ""}}}))
    assert "gateway.ingress.host is not set" in said


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"kafak": {}}, "kafak"),
        ({"services": {"timer": {"replica": 3}}}, "replica"),
        ({"kafka": {"servers": "kafka:9092"}}, "servers"),
        ({"kafka": {"servers": ["kafka"]}}, "servers"),
        ({"kafka": {"sasl": {"mechanism": "GSSAPI"}}}, "mechanism"),
        ({"cassandra": {"keyspace": "Perdure"}}, "keyspace"),
        ({"topics": {"partitions": 0}}, "partitions"),
        ({"topics": {"namespace": "a b"}}, "namespace"),
        ({"app": "orders"}, "app"),
        ({"image": {"repository": "registry.example/orders:1"}}, "repository"),
        ({"workers": {"Mail": {}}}, "Mail"),
        ({"workers": {"mail": {"queue": "a b"}}}, "queue"),
        ({"defaults": {"drainSeconds": 0}}, "drainSeconds"),
        ({"otlp": {"endpoint": "collector:4317"}}, "endpoint"),
        ({"log": {"level": "LOUD"}}, "level"),
    ],
    ids=json.dumps,
)
def test_a_misspelt_or_wrong_value_is_named(render, values, name):
    said = refused(render, over(LEAST, values))
    assert "values don't meet the specifications of the schema" in said
    assert name in said  # releases of Helm word the rest differently


def test_two_replicas_are_enough_and_one_partition_has_a_standby(of):
    counts = {name: each["spec"]["replicas"] for name, each in of("small").of("Deployment").items()}
    assert sorted(counts.values()) == [1, 2, 2, 2]


def test_keda_may_leave_no_worker_at_all(of):
    least = {name: each["spec"]["minReplicaCount"] for name, each in of("keda").of("ScaledObject").items()}
    assert [least[f"orders-perdure-activity-worker-{pool}"] for pool in ("default", "mail")] == [0, 0]
