"""What the chart's ScaledObjects mean: how many processes for which lag, as KEDA and the autoscaler of Kubernetes have it.

KEDA decides between none and one: a lag above the activation threshold wakes one, and `cooldownPeriod` without such a
lag ends all, where none are allowed. Above one it is the autoscaler: lag over threshold, rounded up, not more than the
partitions; as many as run if that is within a tenth of what the lag needs; up at once, down to the most that was wanted
within the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from tests.deploy.manifests import Manifests, container_of
from tests.deploy.renderer import rendered
from tests.deploy.value_sets import LEAST, over

PARTITIONS = 4
LAG_OF_AN_ORCHESTRATOR = 40  # these far less than the chart's defaults: a test has no 10,000 commands
LAG_OF_A_WORKER = 10
LAG_OF_A_TIMER = 20
COOLDOWN_SECONDS = 3
TOLERANCE = 0.1
"""Of Kubernetes' autoscaler: a need that differs by no more from what runs changes nothing."""


@dataclass(frozen=True)
class Rule:
    """Of one ScaledObject."""

    role: str
    topic: str
    group: str
    threshold: int
    activation: int
    least: int
    most: int
    cooldown_s: int


@dataclass
class Scaled:
    """One ScaledObject at work: `count` for each look at the lag."""

    rule: Rule
    _active_at: float = -math.inf
    _wanted: list[tuple[float, int]] = field(default_factory=list)

    def count(self, lag: int, running: int, now: float) -> int:
        """How many there should be."""
        rule = self.rule
        if lag > rule.activation:
            self._active_at = now
        elif rule.least == 0 and now - self._active_at >= rule.cooldown_s:
            self._wanted.clear()
            return 0
        if running == 0 and rule.least == 0:
            return 1 if lag > rule.activation else 0
        needed = running if self._near(lag, running) else math.ceil(lag / rule.threshold)
        wanted = min(max(needed, rule.least, 1), rule.most, PARTITIONS)
        self._wanted = [(at, count) for at, count in self._wanted if now - at < rule.cooldown_s] + [(now, wanted)]
        return max(wanted, min(running, max(count for _, count in self._wanted)))

    def _near(self, lag: int, running: int) -> bool:
        return abs(lag / (self.rule.threshold * running) - 1) <= TOLERANCE if running else False


def rules_of(namespace, folder):
    """By role, from the chart with an operator's values. One orchestrator or timer service is less than the chart allows, and harder."""
    folder.mkdir()
    scaling = {"cooldownSeconds": COOLDOWN_SECONDS}
    values = over(
        LEAST,
        {
            "topics": {"namespace": namespace, "partitions": PARTITIONS},
            "services": {
                "orchestrator": {
                    "replicas": 2,
                    "scaling": scaling | {"max": 3, "lagThreshold": LAG_OF_AN_ORCHESTRATOR},
                },
                "timer": {"replicas": 2, "scaling": scaling | {"max": 3, "lagThreshold": LAG_OF_A_TIMER}},
            },
            "workerDefaults": {"scaling": scaling | {"lagThreshold": LAG_OF_A_WORKER}},
            "autoscaling": {"enabled": True, "keda": {"enabled": True}},
        },
    )
    manifests = Manifests(rendered(values, folder))
    found = {}
    for scaled in manifests.of("ScaledObject").values():
        role = container_of(manifests.workloads[scaled["spec"]["scaleTargetRef"]["name"]])["name"]
        found[role] = _rule(role, scaled["spec"])
    return {
        "orchestrator": replace(found["orchestrator"], least=1),
        "timer": replace(found["timer"], least=1),
        "activity-worker": found["activity-worker"],
    }


def _rule(role, spec):
    trigger = next(each["metadata"] for each in spec["triggers"] if each["type"] == "kafka")
    assert trigger["offsetResetPolicy"] == "earliest"  # what scaler.py takes a group for that has stored nothing
    return Rule(
        role, trigger["topic"], trigger["consumerGroup"], int(trigger["lagThreshold"]),
        int(trigger["activationLagThreshold"]), spec["minReplicaCount"], spec["maxReplicaCount"], spec["cooldownPeriod"],
    )  # fmt: skip
