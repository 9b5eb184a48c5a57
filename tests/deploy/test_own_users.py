"""Each service, each pool and each Job can be a user of its own on Kafka and Cassandra, by reference to its Secrets."""

import yaml

from perdure.core.names import Topics
from perdure.services.plan import access_of
from tests.deploy.manifests import COMPONENT
from tests.deploy.value_sets import KEDA, SUBSCRIBED, over
from tests.documents.markdown import ROOT

SIDES = ("kafka", "kafkaTls", "cassandra", "cassandraTls")
NOT_OF_PODS = {"client", "producer", "scaler"}
"""Programs of somebody's, and KEDA."""

SERVICES = ("orchestrator", "timer", "gateway", "subscriber")
POOLS = {f"activity-worker-{pool}": pool for pool in ("default", "mail")}


def own(user, sides=SIDES):
    return {"credentials": {side: f"{user}-{side}" for side in sides}}


def secrets_below(node):
    """Every name of a Secret that a pod's template refers to."""
    if isinstance(node, list):
        return set().union(*map(secrets_below, node))
    if not isinstance(node, dict):
        return set()
    found = set().union(*map(secrets_below, node.values()))
    if reference := node.get("secretKeyRef"):
        found.add(reference["name"])
    return found | ({node["secretName"]} if "secretName" in node else set())


def secrets_of(manifests):
    return {
        workload["metadata"]["labels"][COMPONENT]: secrets_below(workload["spec"]["template"])
        for workload in manifests.workloads.values()
    }


def test_whoever_is_given_secrets_of_its_own_refers_to_those_and_nobody_else_does(render):
    values = over(
        SUBSCRIBED,
        {
            "services": {each: own(each) for each in SERVICES},
            "workers": {pool: own(name) for name, pool in POOLS.items()},
            "bootstrap": own("bootstrap"),
            "upgrade": own("upgrade", SIDES[:2]),
            **{each: {"enabled": True} | own(each) for each in ("grow", "restore")},
        },
    )
    found = secrets_of(render(values))
    assert set(found) == {*SERVICES, *POOLS, "bootstrap", "upgrade", "grow", "restore"}
    shared = {"kafka-user", "kafka-files", "cassandra-user", "cassandra-files"}
    for component, secrets in found.items():
        sides = SIDES[:2] if component == "upgrade" else SIDES
        mine = {f"{component}-{side}" for side in sides}
        theirs = {f"{other}-{side}" for other in found for side in SIDES} - mine
        assert mine <= secrets, component
        assert secrets.isdisjoint(theirs | shared), component


def test_whoever_is_given_none_is_the_user_of_all_and_a_pool_the_one_of_all_pools(render):
    values = over(
        KEDA, {"workerDefaults": own("workers", ("kafka",)), "workers": {"mail": own("mail", ("cassandra",))}}
    )
    found = secrets_of(render(values))
    users = {"kafka-user", "cassandra-user", "workers-kafka", "mail-cassandra"}
    assert found["orchestrator"] & users == {"kafka-user", "cassandra-user"}
    assert found["activity-worker-default"] & users == {"workers-kafka", "cassandra-user"}
    assert found["activity-worker-mail"] & users == {"workers-kafka", "mail-cassandra"}


def test_the_example_gives_every_principal_that_the_chart_runs_a_user_of_its_own(render):
    first, users = (
        yaml.safe_load((ROOT / "deploy" / "example" / f"{name}.yaml").read_text()) for name in ("values", "own-users")
    )
    jobs = {each: {"enabled": True} for each in ("upgrade", "grow", "restore")}
    everything = {"services": {"subscriber": {"enabled": True}}, **jobs}
    manifests = render(over(first, users, everything))
    told = {component.removesuffix("-default"): secrets for component, secrets in secrets_of(manifests).items()}
    assert set(told) == {right.principal for right in access_of(Topics("perdure"))} - NOT_OF_PODS
    for principal, secrets in told.items():
        on_cassandra = {f"cassandra-{principal}"} if principal != "upgrade" else set()
        assert {each for each in secrets if each.startswith("kafka-") and each != "kafka-ca"} == {f"kafka-{principal}"}
        assert {each for each in secrets if each.startswith("cassandra-")} == on_cassandra
    [authentication] = manifests.of("TriggerAuthentication").values()
    assert {each["name"] for each in authentication["spec"]["secretTargetRef"]} == {"kafka-scaler", "kafka-ca"}
