"""What manifests say of each other is true: names, labels, ports, files."""

import pytest

from perdure.core.names import Topics
from perdure.services.probes import ANSWER_SECONDS_MAX, Probes
from perdure.services.process import CUT_OFF_SECONDS
from perdure.services.settings import HEALTH_PORTS
from tests.deploy.manifests import COMPONENT, container_of, port_of, selects


def test_names_are_unique_and_short_enough(manifests):
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests.all]
    assert len(names) == len(set(names))
    for each in manifests.all:
        assert len(each["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in each["metadata"]["labels"].values())


def test_a_deployment_selects_its_own_pods_and_nobody_elses(manifests):
    pods = dict(manifests.pods())
    for name, deployment in manifests.of("Deployment").items():
        chosen = [
            other for other, pod in pods.items() if selects(deployment["spec"]["selector"], pod["metadata"]["labels"])
        ]
        assert chosen == [name]


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "NetworkPolicy"])
def test_a_budget_and_a_policy_are_of_one_workload_each(manifests, kind):
    pods = dict(manifests.pods())
    for name, each in manifests.of(kind).items():
        selector = each["spec"].get("selector") or each["spec"]["podSelector"]
        assert [other for other, pod in pods.items() if selects(selector, pod["metadata"]["labels"])] == [name]


def test_every_service_has_a_budget_and_every_pod_a_policy_unless_they_are_turned_off(name, manifests):
    assert set(manifests.of("PodDisruptionBudget")) == set(manifests.of("Deployment"))
    assert set(manifests.of("NetworkPolicy")) == (set() if name == "bare" else set(manifests.workloads))


def test_a_budget_always_lets_one_pod_go_and_keeps_the_others(manifests):
    for name, budget in manifests.of("PodDisruptionBudget").items():
        assert budget["spec"]["maxUnavailable"] == 1 and "minAvailable" not in budget["spec"], name


def test_pods_are_spread_over_zones_and_nodes_by_their_own_labels(manifests):
    for deployment in manifests.of("Deployment").values():
        pod = deployment["spec"]["template"]
        spread = pod["spec"]["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        assert all(selects(each["labelSelector"], pod["metadata"]["labels"]) for each in spread)


def test_a_gateways_service_leads_to_the_gateways_port(manifests):
    gateways = [
        each for each in manifests.of("Deployment").values() if each["metadata"]["labels"][COMPONENT] == "gateway"
    ]
    assert len(manifests.of("Service")) == len(gateways)
    for service in manifests.of("Service").values():
        [gateway] = gateways
        assert service["spec"]["selector"].items() <= gateway["spec"]["template"]["metadata"]["labels"].items()
        [port] = service["spec"]["ports"]
        variables = {each["name"]: each.get("value") for each in container_of(gateway)["env"]}
        assert str(port_of(container_of(gateway), port["targetPort"])) == variables["PERDURE_GATEWAY_PORT"]
        assert port["appProtocol"] == ("https" if "PERDURE_GATEWAY_KEY_FILE" in variables else "http")


def test_an_ingress_leads_to_a_service_and_a_port_that_are_there(of):
    [ingress] = of("exposed").of("Ingress").values()
    [rule] = ingress["spec"]["rules"]
    [path] = rule["http"]["paths"]
    backend = path["backend"]["service"]
    ports = of("exposed").of("Service")[backend["name"]]["spec"]["ports"]
    assert backend["port"]["name"] in {each["name"] for each in ports}
    assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": "workflows-tls"}]


def test_policies_open_ports_that_containers_have(manifests):
    for name, policy in manifests.of("NetworkPolicy").items():
        container = container_of(manifests.workloads[name])
        for rule in policy["spec"]["ingress"]:
            assert rule["from"]
            for each in rule["ports"]:
                assert port_of(container, each["port"])


def test_policies_let_out_to_names_kafka_cassandra_the_collector_and_what_was_asked_for(of):
    def ports(policy):
        return [[each["port"] for each in rule["ports"]] for rule in policy["spec"]["egress"]]

    secured, pools, subscribed = (of(name).of("NetworkPolicy") for name in ("secured", "pools", "subscribed"))
    for role in ("gateway", "subscriber"):
        assert ports(subscribed[f"orders-perdure-{role}"]) == [[53, 53], [9093, 9094], [9042], [443], [8443]]
    assert ports(secured["orders-perdure-upgrade"]) == [[53, 53], [9093, 9094]]
    assert ports(secured["orders-perdure-timer"]) == [[53, 53], [9093, 9094], [9042], [443]]
    assert ports(secured["orders-perdure-orchestrator"]) == [[53, 53], [9093, 9094], [9042], [443], [8443]]
    assert ports(secured["orders-perdure-bootstrap"]) == [[53, 53], [9093, 9094], [9042]]
    assert ports(pools["orders-perdure-activity-worker-mail"]) == [[53, 53], [9092], [9042], [587]]
    assert ports(pools["orders-perdure-activity-worker-default"]) == [[53, 53], [9092], [9042]]
    for job in ("grow", "restore"):
        assert ports(of("moved").of("NetworkPolicy")[f"orders-perdure-{job}"])[1:] == [[9093, 9094], [9042]]


def test_names_are_asked_for_on_the_ports_that_are_given_by_both_protocols(of):
    for name, policy in of("moved").of("NetworkPolicy").items():
        rule, *_ = policy["spec"]["egress"]
        [peer] = rule["to"]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "openshift-dns"}, name
        assert [(each["protocol"], each["port"]) for each in rule["ports"]] == [
            ("UDP", 5353), ("TCP", 5353), ("UDP", 53), ("TCP", 53),
        ]  # fmt: skip


def test_every_pod_runs_as_an_account_that_is_there_and_its_own(manifests):
    accounts = manifests.of("ServiceAccount")
    used = [pod["spec"]["serviceAccountName"] for _, pod in manifests.pods()]
    assert sorted(used) == sorted(accounts)


def test_every_mount_has_a_volume_and_every_volume_a_mount(manifests):
    for name, pod in manifests.pods():
        mounted = [each["name"] for each in container_of({"spec": {"template": pod}})["volumeMounts"]]
        assert sorted(mounted) == sorted(each["name"] for each in pod["spec"]["volumes"]), name


def test_every_file_that_a_variable_names_is_mounted(manifests):
    for name, workload in manifests.workloads.items():
        container, volumes = container_of(workload), workload["spec"]["template"]["spec"]["volumes"]
        files = set()
        for mount in container["volumeMounts"]:
            [volume] = [each for each in volumes if each["name"] == mount["name"]]
            items = (volume.get("secret") or volume.get("configMap", {})).get("items", [])
            files |= {f"{mount['mountPath']}/{each['path']}" for each in items}
        named = {each["value"] for each in container["env"] if each.get("value", "").startswith("/etc/perdure/")}
        assert named == files, name


async def test_probes_ask_what_the_services_answer_and_wait_as_long_as_they_do(manifests):
    async def nothing():
        return ""

    answering = Probes("127.0.0.1", 0, unready=nothing, metrics=nothing)
    for name, deployment in manifests.of("Deployment").items():
        container = container_of(deployment)
        role = container["name"]
        probes = {each: container[f"{each}Probe"] for each in ("startup", "liveness", "readiness")}
        assert {each: probe["httpGet"]["path"] for each, probe in probes.items()} == {
            "startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz",
        }  # fmt: skip
        for probe in probes.values():
            status, _, _ = await answering._response("GET", probe["httpGet"]["path"])
            assert status == 200
            assert port_of(container, probe["httpGet"]["port"]) == HEALTH_PORTS[role], name
        assert probes["readiness"]["timeoutSeconds"] > ANSWER_SECONDS_MAX
        annotations = deployment["spec"]["template"]["metadata"].get("annotations", {})
        if "prometheus.io/path" in annotations:
            assert (await answering._response("GET", annotations["prometheus.io/path"]))[0] == 200
            assert annotations["prometheus.io/port"] == str(HEALTH_PORTS[role])


def test_a_pod_is_given_longer_than_its_drain_before_it_is_killed(manifests):
    for name, deployment in manifests.of("Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        [container] = pod["containers"]
        drain = float(next(each["value"] for each in container["env"] if each["name"] == "PERDURE_DRAIN_SECONDS"))
        pause = container.get("lifecycle", {"preStop": {"exec": {"command": ["sleep", "0"]}}})["preStop"]["exec"][
            "command"
        ][1]
        assert pod["terminationGracePeriodSeconds"] > drain + CUT_OFF_SECONDS + float(pause), name


def test_three_of_each_run_unless_something_scales_them(name, of):
    for each in of(name).of("Deployment").values():
        assert ("replicas" in each["spec"]) == (name not in {"keda", "hpa", "subscribed", "followed"})
    assert {each["spec"]["replicas"] for each in of("least").of("Deployment").values()} == {3}


def test_a_pool_is_a_deployment_of_its_own_image_app_and_queue(of):
    found = of("pools")
    mail, default = found.component("activity-worker-mail"), found.component("activity-worker-default")
    images = [container_of(each)["image"] for each in (mail, default, found.component("orchestrator"))]
    assert images == ["registry.example/mail:7", "registry.example/orders:1.4.2", "registry.example/orders:1.4.2"]
    said = {each["name"]: each.get("value") for each in container_of(mail)["env"]}
    assert (said["PERDURE_APP"], said["PERDURE_TASK_QUEUE"], said["PERDURE_THREADS"]) == ("mail:app", "mail", "64")
    assert "PERDURE_TASK_QUEUE" not in {each["name"] for each in container_of(default)["env"]}
    assert container_of(found.component("bootstrap"))["args"] == ["bootstrap", "--queue=mail"]
    assert Topics("perdure").activities("mail") == "perdure.activities.mail"


def test_an_image_is_a_version_or_a_digest(manifests):
    for name, container in manifests.containers():
        assert "@sha256:" in container["image"] or container["image"].rpartition(":")[2] not in {"", "latest"}, name
