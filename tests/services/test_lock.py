"""requirements.lock is what images install: everything that pyproject.toml asks for, with what that needs, by hashes."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from perdure.services.roles import ROLES
from tests.documents.markdown import ROOT, text_of

LOCK = text_of("requirements.lock")
PROJECT = tomllib.loads(text_of("pyproject.toml"))["project"]
ASKED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["otlp"]]

IMAGES = ["deploy/Dockerfile", *sorted(str(each.relative_to(ROOT)) for each in ROOT.glob("services/*/Dockerfile"))]


def locked(text=LOCK):
    """The pinned version by name, of those whose marker holds here; and the hashes of each."""
    versions, hashes = {}, {}
    for entry in re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n?", "", text, flags=re.MULTILINE)):
        words = [each.strip() for each in entry.split("\\\n")]
        asked = Requirement(words[0])
        [pin] = asked.specifier
        assert pin.operator == "==", words[0]
        if asked.marker is None or asked.marker.evaluate():
            versions[canonicalize_name(asked.name)] = Version(pin.version)
        hashes[words[0]] = [each for each in words[1:] if re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each)]
    return versions, hashes


def missing(asked, versions):
    """Requirements that the lock does not fulfil."""
    return [
        each
        for each in asked
        if canonicalize_name(Requirement(each).name) not in versions
        or versions[canonicalize_name(Requirement(each).name)] not in Requirement(each).specifier
    ]


def test_all_that_the_project_asks_for_is_locked_in_a_version_that_it_takes():
    versions, _ = locked()
    assert missing(ASKED, versions) == []
    assert missing(["aiokafka>=99"], versions) == ["aiokafka>=99"]
    assert missing(["nobody-has-this"], versions) == ["nobody-has-this"]


def test_every_entry_has_its_hashes_and_names_no_place():
    _, hashes = locked()
    assert [entry for entry, known in hashes.items() if not known] == []
    assert "://" not in LOCK


def test_what_a_locked_package_needs_is_locked_too():
    """As far as the versions here are the locked ones: another one may need other things."""
    versions, _ = locked()
    here = {canonicalize_name(each.metadata["Name"]): each for each in distributions()}
    same = [here[name] for name, pin in versions.items() if name in here and Version(here[name].version) == pin]
    assert same
    wanted = [Requirement(each) for found in same for each in found.requires or []]
    wanted = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    assert [str(each) for each in wanted if canonicalize_name(each.name) not in versions] == []


def test_every_role_has_an_image_and_each_is_looked_at():
    assert len(IMAGES) == len(ROLES) + 1


@pytest.mark.parametrize("place", IMAGES)
def test_an_image_installs_by_hashes_and_nothing_else(place):
    installs = re.findall(r"pip install (.+)", text_of(place))
    assert installs == [
        "--no-cache-dir --require-hashes -r requirements.lock", "--no-cache-dir --no-deps .",
    ]  # fmt: skip
    assert (ROOT / "requirements.lock").is_file()
