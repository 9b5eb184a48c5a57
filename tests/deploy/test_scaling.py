"""What scales watches topics and groups that there are, within bounds that mean something."""

import shutil

import pytest

from perdure.core.names import Topics
from perdure.ports.log import TopicSpec
from perdure.services.plan import access_of
from tests.deploy.manifests import Manifests, container_of
from tests.deploy.renderer import CHART, rendered
from tests.deploy.value_sets import KEDA, LEAST, over
from tests.roles.activities.world import World
from tests.roles.timers.virtual import run_virtually
from tests.roles.timers.world import CountingLog

GROUPS = {
    each.name: each.principal
    for each in access_of(Topics("perdure"))
    if (each.kind, each.operations) == ("group", "Read")  # others only look who is a member
}


def kafka_trigger(scaled):
    return next(each["metadata"] for each in scaled["spec"]["triggers"] if each["type"] == "kafka")


def test_each_deployment_has_one_scaler_and_no_count_of_its_own(of):
    both = ["ScaledObject", "HorizontalPodAutoscaler"]
    for name, kinds in (("keda", both), ("hpa", both[1:]), ("subscribed", both), ("followed", both)):
        scalers = [each for kind in kinds for each in of(name).of(kind).values()]
        targets = [each["spec"]["scaleTargetRef"]["name"] for each in scalers]
        assert sorted(targets) == sorted(of(name).of("Deployment"))
        assert all("replicas" not in each["spec"] for each in of(name).of("Deployment").values())


def test_nothing_scales_by_default(of):
    assert {"ScaledObject", "HorizontalPodAutoscaler"} & {each["kind"] for each in of("least").all} == set()


def test_lag_is_that_of_the_group_that_the_role_is_a_member_of(of):
    topics = Topics("perdure")
    for scaled in of("keda").of("ScaledObject").values():
        role = container_of(of("keda").workloads[scaled["spec"]["scaleTargetRef"]["name"]])["name"]
        trigger = kafka_trigger(scaled)
        group, _, queue = trigger["consumerGroup"].partition(".mail")
        assert GROUPS[group] == role
        queue = "mail" if trigger["consumerGroup"].endswith(".mail") else ""
        topic = {"orchestrator": topics.instances, "timer": topics.timers, "activity-worker": topics.activities(queue)}
        assert trigger["topic"] == topic[role]
        assert trigger["bootstrapServers"] == "kafka-0.kafka:9093,kafka-1.kafka:9094"


@pytest.mark.parametrize("queue", ["", "mail"])
def test_a_pools_group_is_the_one_that_its_workers_join(of, monkeypatch, queue):
    joined = []
    join = CountingLog.join

    async def noted(log, group, topics, listener):
        joined.append((group, topics))
        return await join(log, group, topics, listener)

    async def start_one():
        world = await World().open()
        await world.log.create_topics([TopicSpec(f"t.activities.{queue}", 1)] if queue else [])
        worker = await world.start(queue=queue)
        await worker.stop()

    monkeypatch.setattr(CountingLog, "join", noted)
    run_virtually(start_one())
    trigger = kafka_trigger(of("keda").of("ScaledObject")[f"orders-perdure-activity-worker-{queue or 'default'}"])
    of_namespace_t = {key: trigger[key].replace("perdure", "t") for key in ("consumerGroup", "topic")}
    assert joined == [(of_namespace_t["consumerGroup"], [of_namespace_t["topic"]])]


def test_the_first_task_wakes_a_worker(of):
    """An activation threshold of n lets the first n tasks wait for more. So it is 0, and idle workers leave no lag:
    tests/roles/activities/test_worker.py."""
    for scaled in of("keda").of("ScaledObject").values():
        assert kafka_trigger(scaled)["activationLagThreshold"] == "0"
        assert (
            kafka_trigger(scaled)["offsetResetPolicy"] == "earliest"
        )  # else a group that is new counts nothing as lag


@pytest.mark.parametrize("partitions", [1, 2, 4, 16, 64])
def test_there_are_no_more_orchestrators_than_partitions_or_than_the_least(render, partitions):
    replicas = min(3, max(partitions, 2))
    services = {name: {"replicas": replicas} for name in ("orchestrator", "timer")}
    found = render(over(KEDA, {"topics": {"partitions": partitions}, "services": services}))
    scaled = found.of("ScaledObject")["orders-perdure-orchestrator"]["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (replicas, max(partitions, replicas))


def test_services_stay_between_their_least_and_the_partitions(of):
    for scaled in of("keda").of("ScaledObject").values():
        assert scaled["spec"]["maxReplicaCount"] <= 4
        role = container_of(of("keda").workloads[scaled["spec"]["scaleTargetRef"]["name"]])["name"]
        assert scaled["spec"]["minReplicaCount"] == (0 if role == "activity-worker" else 3)
    for each in of("hpa").of("HorizontalPodAutoscaler").values():
        assert each["spec"]["minReplicas"] >= 1
        assert each["spec"]["maxReplicas"] <= (10 if each["metadata"]["name"].endswith("gateway") else 4)


def test_cpu_counts_only_where_a_pod_always_runs(of):
    """KEDA does not activate by CPU: beside a count of 0 it would say nothing."""
    for scaled in of("keda").of("ScaledObject").values():
        kinds = [each["type"] for each in scaled["spec"]["triggers"]]
        assert kinds == (["kafka", "cpu"] if scaled["spec"]["minReplicaCount"] else ["kafka"])


def test_keda_comes_to_kafka_by_the_secrets_that_are_named(of):
    [authentication] = of("keda").of("TriggerAuthentication").values()
    given = {each["parameter"]: (each["name"], each["key"]) for each in authentication["spec"]["secretTargetRef"]}
    assert given == {
        "username": ("kafka-user", "username"), "password": ("kafka-user", "password"), "ca": ("kafka-files", "ca.crt"),
        "cert": ("kafka-files", "tls.crt"), "key": ("kafka-files", "tls.key"), "keyPassword": ("kafka-files", "key-password"),
    }  # fmt: skip
    for scaled in of("keda").of("ScaledObject").values():
        trigger = next(each for each in scaled["spec"]["triggers"] if each["type"] == "kafka")
        assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
        assert (trigger["metadata"]["tls"], trigger["metadata"]["sasl"]) == ("enable", "scram_sha512")


def test_without_users_and_tls_keda_needs_no_authentication(render):
    found = render(over(LEAST, {"autoscaling": {"enabled": True, "keda": {"enabled": True}}}))
    assert not found.of("TriggerAuthentication")
    for scaled in found.of("ScaledObject").values():
        assert all("authenticationRef" not in each for each in scaled["spec"]["triggers"])


def test_one_entry_makes_a_service_with_everything_that_the_others_have(tmp_path):
    """What the next service of the engine needs here: its entry in roles.yaml."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    with (chart / "roles.yaml").open("a") as file:
        file.write("relay:\n  port: 9499\n  replicasMin: 2\n  topic: inbox\n  group: relay\n")
    resources = {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}
    values = over(KEDA, {"services": {"relay": {"resources": resources}}})
    found = Manifests(rendered(values, tmp_path, chart))
    name = "orders-perdure-relay"
    kinds = {each["kind"] for each in found.all if each["metadata"]["name"] == name}
    assert kinds == {"Deployment", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy", "ScaledObject"}
    container = container_of(found.workloads[name])
    assert container["args"] == ["run", "relay", "--json"]
    assert container["ports"] == [{"name": "probes", "containerPort": 9499, "protocol": "TCP"}]
    assert kafka_trigger(found.of("ScaledObject")[name])["topic"] == "perdure.inbox"
