"""Manifests fit Kubernetes' and KEDA's own schemas (schemas/README.md), where an unknown field is an error."""

import copy
import json
from functools import cache
from pathlib import Path

import jsonschema_rs
import pytest

from tests.deploy.value_sets import SETS

FOLDER = Path(__file__).parent / "schemas"
KUBERNETES = sorted(FOLDER.glob("kubernetes-*.json"))


@cache
def validators(path):
    held = json.loads(path.read_text())
    definitions = held["$defs"]
    return {
        kind: jsonschema_rs.Draft202012Validator({"$ref": f"#/$defs/{place}", "$defs": definitions})
        for kind, place in held["kinds"].items()
    }


def faults(manifest, path):
    validator = validators(FOLDER / "keda.json" if manifest["apiVersion"].startswith("keda.sh/") else path)
    found = validator[manifest["kind"]].iter_errors(manifest)
    return [
        f"{manifest['kind']} {manifest['metadata']['name']}: {each.instance_path}: {each.message}" for each in found
    ]


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.stem)
def test_every_manifest_fits_its_schema(manifests, path):
    assert [fault for each in manifests.all for fault in faults(each, path)] == []


def test_the_sets_of_values_make_every_kind_that_there_is_a_schema_for(of):
    made = {each["kind"] for name in SETS for each in of(name).all}
    assert made == {kind for path in FOLDER.glob("*.json") for kind in validators(path)}


def _misspell_a_field(deployment):
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}


def _count_in_words(deployment):
    deployment["spec"]["replicas"] = "three"


def _forget_the_selector(deployment):
    del deployment["spec"]["selector"]


def _ask_another_group(deployment):
    deployment["apiVersion"] = "apps/v1beta1"


@pytest.mark.parametrize("spoil", [_misspell_a_field, _count_in_words, _forget_the_selector, _ask_another_group])
@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.stem)
def test_a_spoilt_manifest_does_not(of, path, spoil):
    spoilt = copy.deepcopy(of("least").component("timer"))
    assert faults(spoilt, path) == []
    spoil(spoilt)
    assert faults(spoilt, path)


def test_a_spoilt_scaled_object_does_not(of):
    spoilt = copy.deepcopy(next(iter(of("keda").of("ScaledObject").values())))
    assert faults(spoilt, KUBERNETES[0]) == []
    spoilt["spec"]["triggers"][0]["metadata"]["lagThreshold"] = 100  # KEDA takes text alone
    assert faults(spoilt, KUBERNETES[0])
