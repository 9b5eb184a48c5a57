"""Takes steps one after the other on services under load, and passes the verdict that the load's end allows."""

from __future__ import annotations

import time

from cassandra import DriverException

from tests.brokers import BrokersUnavailable
from tests.chaos.acts import Act
from tests.chaos.cast import Cast
from tests.chaos.served import Served, silence_s
from tests.chaos.story import Done, Round
from tests.faults.checker import shown

CALM_SECONDS = 3.0
SERVED_SECONDS = 120.0
"""Until a step counts as never served again. No expectation: those are in the report."""
SETTLE_SECONDS = 120.0
"""For clients, at the end, to get their answers."""
STORE_SECONDS = 60.0
"""For the store to catch up with the log, then."""


class Chaos:
    """Runs of one seed, of which `story` tells. `planted`: role to faults, as in tests/faults/planted.py."""

    def __init__(
        self,
        stage,
        story,
        *,
        planted=None,
        served_s=SERVED_SECONDS,
        settle_s=SETTLE_SECONDS,
        store_s=STORE_SECONDS,
    ):
        self.stage, self.story = stage, story
        self._planted, self._served_s, self._settle_s, self._store_s = planted, served_s, settle_s, store_s
        self._began = time.time()

    def round(self, steps, namespace, folder):
        """One namespace's life. `steps` are taken until there are no more, or one is never served again."""
        told = Round()
        self.story.rounds.append(told)
        with Cast(self.stage, namespace, folder, planted=self._planted, live=True) as cast:
            cast.load.begin()
            wrong = {}
            try:
                time.sleep(CALM_SECONDS)
                told.calm_s, _ = self._served(cast, time.time())
                cast.report.note(f"undisturbed, served takes {told.calm_s:.1f} s")
                for step in steps:
                    self._step(cast, step)
                    cast.note_the_dead()
                    time.sleep(CALM_SECONDS)
            except (AssertionError, OSError, BrokersUnavailable) as error:
                cast.report.note(f"no further steps: {error}")
                wrong["everything_is_served_again"] = [str(error)]
            self._judge(cast, told, wrong)
        self.story.lasted_s = time.time() - self._began
        return told

    def _step(self, cast, step):
        cast.report.note(f"step {len(self.story.done) + 1}, {len(cast.load.told.accepted)} accepted so far: {step}")
        facts_before, began = len(cast.facts()), time.time()
        done = Done(step, began - self._began)
        self.story.done.append(done)
        acts = [Act(cast, trouble) for trouble in step.troubles]
        try:
            for number, act in enumerate(acts):
                time.sleep(step.apart_s if number else 0.0)
                act.begin()
            time.sleep(step.lasts_s)
        finally:
            for act in reversed(acts):
                act.heal()
        since = max(act.since for act in acts)
        done.healed_s = since - self._began
        for act in acts:
            act.whole(alone=len(acts) == 1)
        done.recovery_s, done.last = self._served(cast, since, facts_before)
        done.silence_s = silence_s(cast.facts()[facts_before:], began, since + done.recovery_s)
        cast.report.note(f"{done.recovery_s:.1f} s until served again, last a {done.last}")

    def _served(self, cast, since, seen=0):
        """How many seconds after `since` it was, and what came last. `seen`: so many facts are older."""
        served = Served(since, lambda instance: door_of(cast, instance))
        end = time.monotonic() + self._served_s
        while True:
            facts = cast.facts()
            served.take(facts[seen:])
            seen = len(facts)
            told = cast.load.told.results
            missing = served.missing(told)
            if not missing:
                return served.last(told)
            assert time.monotonic() < end, f"not served again within {self._served_s:g} s: {'; '.join(missing)}"
            time.sleep(0.1)

    def _judge(self, cast, told, wrong):
        cast.settle(self._settle_s)
        try:
            complaints = cast.complaints(self._store_s) | wrong
        except (AssertionError, TimeoutError, DriverException) as error:  # no evidence is no sound run
            complaints = wrong | {"there_is_evidence": [f"{type(error).__name__}: {error}"]}
        if cast.lost:
            complaints["no_service_ends_by_itself"] = cast.lost
        facts = cast.facts()
        told.accepted, told.ended = len(cast.load.told.accepted), len(cast.load.told.results)
        told.instances = len({fact.instance for fact in facts if fact.instance})
        told.records, told.retries = len(facts), cast.load.retries
        told.verdict = shown(complaints)
        told.said = cast.said() if complaints else ""
        self.story.ends_s += [fact.at - self._began for fact in facts if fact.name == "WorkflowCompleted"]


def door_of(cast, instance):
    """How its client came in; None if it is a child."""
    if instance not in cast.load.told.asked:
        return None
    return "http" if instance.startswith(f"load-{cast.namespace}-") else "log"
