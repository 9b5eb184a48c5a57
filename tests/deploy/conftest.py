"""The chart, rendered once for each set of values, and how to look at it."""

import pytest

from tests.deploy.manifests import Manifests
from tests.deploy.renderer import rendered
from tests.deploy.value_sets import SETS

FOUND: dict[str, Manifests] = {}


@pytest.fixture(params=SETS)
def name(request):
    return request.param


@pytest.fixture
def manifests(name, of):
    return of(name)


@pytest.fixture
def of(tmp_path_factory):
    """Manifests of a named set."""

    def make(name):
        if name not in FOUND:
            FOUND[name] = Manifests(rendered(SETS[name], tmp_path_factory.mktemp(name)))
        return FOUND[name]

    return make


@pytest.fixture
def render(tmp_path_factory):
    """Manifests of values that one test is about."""
    return lambda values: Manifests(rendered(values, tmp_path_factory.mktemp("own")))
