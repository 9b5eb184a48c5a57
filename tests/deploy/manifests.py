"""Rendered manifests, and questions about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Manifest = dict[str, Any]
NAME, INSTANCE, COMPONENT = (f"app.kubernetes.io/{each}" for each in ("name", "instance", "component"))


class Manifests:
    def __init__(self, found: list[Manifest]) -> None:
        self.all = found

    def of(self, kind: str) -> dict[str, Manifest]:
        """By name."""
        return {each["metadata"]["name"]: each for each in self.all if each["kind"] == kind}

    @property
    def workloads(self) -> dict[str, Manifest]:
        """Whatever makes pods."""
        return self.of("Deployment") | self.of("Job")

    def component(self, name: str) -> Manifest:
        return next(each for each in self.workloads.values() if each["metadata"]["labels"][COMPONENT] == name)

    def pods(self) -> Iterator[tuple[str, Manifest]]:
        """(workload's name, template of its pods)"""
        for name, workload in self.workloads.items():
            yield name, workload["spec"]["template"]

    def containers(self) -> Iterator[tuple[str, Manifest]]:
        for name, pod in self.pods():
            assert not pod["spec"].get("initContainers")
            for each in pod["spec"]["containers"]:
                yield name, each

    def environment(self) -> Iterator[tuple[str, str, Manifest]]:
        """(workload, variable, what it is)"""
        for name, container in self.containers():
            for each in container["env"]:
                yield name, each["name"], each


def container_of(workload: Manifest) -> Manifest:
    [found] = workload["spec"]["template"]["spec"]["containers"]
    return found


def selects(selector: Manifest, labels: Manifest) -> bool:
    assert set(selector) == {"matchLabels"} and selector["matchLabels"], selector
    return selector["matchLabels"].items() <= labels.items()


def port_of(container: Manifest, port: str | int) -> int:
    """The number that a port's name, or a number, means there. Raises StopIteration."""
    return next(each["containerPort"] for each in container["ports"] if port in (each["name"], each["containerPort"]))
