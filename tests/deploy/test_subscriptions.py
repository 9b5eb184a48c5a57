"""A subscriber in the chart: its file is what the values say, and it scales by the lag of what it reads."""

import json

import pytest

from perdure.core.names import Topics
from perdure.roles.subscriptions.feed import group_of
from perdure.roles.subscriptions.subscription import fields_of
from perdure.services.subscribing import read_subscription_file
from tests.deploy.manifests import container_of
from tests.deploy.renderer import ChartRefused
from tests.deploy.value_sets import KEDA, LEAST, SUBSCRIBED, over

NAME = "orders-perdure-subscriber"
ON = {"services": {"subscriber": {"enabled": True}}}
INLINE = SUBSCRIBED["subscriptions"]["inline"]


def test_no_subscriber_runs_unless_it_is_asked_for(name, manifests):
    assert (NAME in manifests.of("Deployment")) == (name in {"subscribed", "followed"})


@pytest.mark.parametrize("keda", [True, False])
def test_fewer_than_two_subscribers_are_refused(render, keda):
    for values in ({"replicas": 1}, {"scaling": {"min": 1}}):
        scaled = {"autoscaling": {"enabled": "scaling" in values, "keda": {"enabled": keda}}}
        with pytest.raises(ChartRefused, match="is 1: run at least 2 of the subscriber"):
            render(over(LEAST, ON, {"services": {"subscriber": values}}, scaled))


def test_the_file_of_a_subscriber_is_what_the_values_say(of, tmp_path):
    [held] = of("subscribed").of("ConfigMap").values()
    file = tmp_path / "subscriptions.toml"
    file.write_text(held["data"]["subscriptions.toml"])
    found = {each.name: fields_of(each) for each in read_subscription_file(file, Topics("perdure"))}
    assert found.keys() == INLINE.keys()
    for name, said in INLINE.items():
        told = dict(found[name])
        if "schema" in said:
            assert told.pop("schema") == json.loads(said["schema"])
        assert told == {"input": "value", "format": "json", "begin": "now"} | {
            field: value for field, value in said.items() if field != "schema"
        }


@pytest.mark.parametrize(
    ("name", "config_map", "file"),
    [
        ("subscribed", "orders-perdure-subscriptions", "subscriptions.toml"),
        ("followed", "shop-subscriptions", "shop.toml"),
    ],
)
def test_a_subscriber_follows_the_file_of_its_config_map(of, name, config_map, file):
    pod = of(name).of("Deployment")[NAME]["spec"]["template"]
    told = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert told["PERDURE_SUBSCRIPTIONS"] == f"/etc/perdure/subscriptions/{file}"
    [volume] = [each["configMap"] for each in pod["spec"]["volumes"] if "configMap" in each]
    assert (volume["name"], volume["items"]) == (config_map, [{"key": file, "path": file}])


def test_nobody_else_is_given_the_file(of):
    told = {name for name, variable, _ in of("subscribed").environment() if variable == "PERDURE_SUBSCRIPTIONS"}
    assert told == {NAME}


def test_without_a_file_none_is_named(render):
    told = {each["name"] for each in container_of(render(over(LEAST, ON)).of("Deployment")[NAME])["env"]}
    assert "PERDURE_SUBSCRIPTIONS" not in told


def test_another_file_starts_the_pods_anew_and_the_same_one_does_not(of, render):
    def told(found):
        return found.of("Deployment")[NAME]["spec"]["template"]["metadata"]["annotations"]["perdure.dev/subscriptions"]

    others = render(over(SUBSCRIBED, {"subscriptions": {"inline": {"orders": {"when": "`true`"}}}}))
    same = render(over(SUBSCRIBED, {"log": {"level": "DEBUG"}}))
    assert told(others) != told(of("subscribed")) == told(same)


def test_a_subscriber_scales_by_the_lag_of_each_subscription_from_where_it_begins(of):
    scaled = of("subscribed").of("ScaledObject")[NAME]["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (2, 10)
    watched = {
        each["metadata"]["consumerGroup"]: (each["metadata"]["topic"], each["metadata"]["offsetResetPolicy"])
        for each in scaled["triggers"]
        if each["type"] == "kafka"
    }
    topics = Topics("perdure")
    assert watched == {
        group_of(topics, "orders"): ("shop.orders", "earliest"),
        group_of(topics, "approvals_2"): ("shop.approvals", "latest"),
        group_of(topics, "returns"): ("shop.returns", "latest"),
    }
    assert {each["metadata"].get("lagThreshold") for each in scaled["triggers"]} == {"1000", None}
    assert scaled["triggers"][-1]["type"] == "cpu"


def test_where_no_topic_is_known_a_subscriber_scales_by_cpu(of):
    assert NAME in of("followed").of("HorizontalPodAutoscaler")
    assert NAME not in of("followed").of("ScaledObject")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"subscriptions": {"existingConfigMap": "x"}}, "nobody follows them: set services.subscriber.enabled=true"),
        ({"subscriptions": {"inline": INLINE}}, "nobody follows them: set services.subscriber.enabled=true"),
        (
            over(ON, {"subscriptions": {"inline": INLINE, "existingConfigMap": "x"}}),
            "a namespace follows one file, so give one of them",
        ),
        (
            over(ON, {"subscriptions": {"inline": INLINE, "watched": {"orders": {"topic": "t"}}}}),
            "subscriptions.watched.orders is in subscriptions.inline, too",
        ),
        (
            over(ON, {"subscriptions": {"inline": {"a": {"topic": "t", "instance_id": "key"}}}}),
            "subscriptions.inline.a either starts a workflow or raises an event",
        ),
        (over(ON, {"subscriptions": {"inline": {"a b": INLINE["orders"]}}}), "a b"),
        (over(ON, {"subscriptions": {"inline": {"a": {"topic": "t"}}}}), "instance_id"),
        (over(ON, {"subscriptions": {"inline": {"a": INLINE["orders"] | {"wen": "x"}}}}), "wen"),
        (over(ON, {"subscriptions": {"inline": {"a": INLINE["orders"] | {"schema": {}}}}}), "schema"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_subscriptions_that_cannot_be_are_refused(render, values, sentence):
    with pytest.raises(ChartRefused) as told:
        render(over(LEAST, values))
    assert sentence in str(told.value)


def test_keda_reads_other_topics_by_the_same_user(of):
    for each in of("subscribed").of("ScaledObject")[NAME]["spec"]["triggers"]:
        assert each["type"] == "cpu" or each["authenticationRef"]["name"] == "orders-perdure-kafka"
    assert KEDA["kafka"]["sasl"]["existingSecret"] == "kafka-user"
