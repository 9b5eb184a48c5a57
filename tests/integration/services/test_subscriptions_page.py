"""docs/subscriptions.md on real brokers: its files are written, its commands typed, its messages sent."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.integration.services.processes import ROOT
from tests.integration.services.sources import Sources
from tests.integration.services.test_separate_processes import wait_until

pytestmark = [pytest.mark.brokers, pytest.mark.slow]

PAGE = (ROOT / "docs" / "subscriptions.md").read_text(encoding="utf-8")
SPACES = re.compile(r" +")


def file_of(language, name):
    return re.search(rf"^```{language}\n# {name}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]


def examples():
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = each.partition("\n")
            yield shlex.split(command)[1:], output


def same(text):
    """Without the times of an instance, and however wide its columns are: topics have other names here."""
    lines = [SPACES.sub(" ", line).rstrip() for line in text.splitlines()]
    return [line for line in lines if not line.startswith(("created ", "updated "))]


def test_the_example_of_the_page_does_what_the_page_says(bootstrapped, namespace, tmp_path, monkeypatch):
    # Topics of the brokers that tests share: the page's, with the namespace before them.
    def here(text):
        return text.replace("shop.", f"{namespace}-shop.")

    (tmp_path / "orders.py").write_text(file_of("python", "orders.py"), encoding="utf-8")
    (tmp_path / "subscriptions.toml").write_text(here(file_of("toml", "subscriptions.toml")), encoding="utf-8")
    sources = Sources(bootstrapped)
    for topic in ("shop.orders", "shop.approvals"):
        sources.create(here(topic), 2)
    *before, (wait, shown) = examples()
    for command, output in before:
        told = bootstrapped.perdure(*(str(tmp_path / each) if each.endswith(".toml") else each for each in command))
        assert same(told.stdout) == same(here(output)), told.stderr
    commands = [("-m", "perdure", "run", role, "--json") for role in ("orchestrator", "timer", "gateway", "subscriber")]
    services = [bootstrapped.start(*command, folder=tmp_path, PERDURE_APP="orders:app") for command in commands]
    told = [service.ready() for service in services]
    endpoint = {"PERDURE_ENDPOINT": told[2]["gateway"]}
    sources.send(here("shop.orders"), [(0, b"", {"id": "7", "amount": 30}), (1, b"", {"id": "8", "amount": 0})])
    wait_until(lambda: bootstrapped.perdure("get", "order-7", **endpoint).returncode == 0, "order-7 was started")
    sources.send(here("shop.approvals"), [(1, b"7", {"by": "ops"})])
    ended = bootstrapped.perdure(*wait, **endpoint)
    assert same(ended.stdout) == same(shown), ended.stderr
    assert bootstrapped.perdure("get", "order-8", **endpoint).returncode == 3, "when has passed it over"
