"""Processes that come and go with the load, down to none: what the chart's scalers do, without a cluster."""

from __future__ import annotations

import signal
import time

from perdure.services.settings import ServiceSettings
from tests.faults.scene import Scene
from tests.scaling.rules import PARTITIONS, rules_of
from tests.scaling.scaler import Scaler

PENDING = 3  # timers whose time comes while nobody is there
WORKER, OWNER, TIMER = "activity-worker", "orchestrator", "timer"
DRAIN_SECONDS = ServiceSettings.model_fields["drain_seconds"].default


class Dance(Scene):
    """A scene that begins without a worker."""

    members = ("orchestrator", "timer", "gateway")
    partitions = PARTITIONS

    def __init__(self, kafka, cassandra, namespace, folder, **more):
        super().__init__(kafka, cassandra, namespace, folder, **more)
        self.drains = {}
        self.cut_off = []  # what those said who did not leave in peace
        self._leaving = []
        self._address = kafka
        self.rules = rules_of(namespace, folder / "rendered")

    def _begin(self):
        super()._begin()
        self.scaler = Scaler(self._address, self.rules, self)
        self._closing.append(self.scaler.close)
        self.scaler.start()

    # -- what the scaler does -----------------------------------------------------------------------------------

    def reach(self, role, count, lag):
        """Start what is missing; tell what is too much to go, the youngest first, and none before it is ready."""
        some = self.services[role]
        before = len(some)
        while len(some) < count:
            self.launch(role)
        while len(some) > count and some[-1].output:
            self.tell_to_go(role)
        if len(some) != before:
            self.report.note(f"lag {lag} of {role}: {before} -> {len(some)}")
        self.look_after()

    def tell_to_go(self, role, service=None):
        """The youngest, unless it is said who."""
        service = service or self.services[role][-1]
        self.services[role].remove(service)
        service.process.send_signal(signal.SIGTERM)
        self._leaving.append((role, service, time.monotonic()))

    def look_after(self):
        """Who has left, how long that took, and that it was in peace."""
        for each in [each for each in self._leaving if each[1].process.poll() is not None]:
            self._leaving.remove(each)
            role, service, since = each
            self.drains.setdefault(role, []).append(time.monotonic() - since)
            if service.ended() != 0:
                self.report.note(f"{role} {service.process.pid} ended with {service.process.returncode}")
                self.cut_off.append(service.said)

    def all_have_left(self):
        """In peace: who had not drained within PERDURE_DRAIN_SECONDS says so and ends otherwise than with 0."""

        def nobody():
            self.look_after()
            return not self._leaving

        self.wait_for(nobody, "everybody who was told to go has left")
        assert not self.cut_off, self.cut_off

    def farewells(self):
        return "\n".join(
            f"  {role}: {len(seconds)} told to go, {min(seconds):.1f} to {max(seconds):.1f} s until they had left, {DRAIN_SECONDS:g} allowed"
            for role, seconds in self.drains.items()
        )

    # -- what the dance is about --------------------------------------------------------------------------------

    def pending(self):
        """(place, task) to when it is due, of the timers that have not fired."""
        due = {}
        for each in self.facts():
            if each.name == "TimerCreated":
                due[each.place, each.fields["task_id"]] = each.fields["fire_at_us"] / 1e6
            elif each.name == "TimerFired":
                due.pop((each.place, each.fields["task_id"]), None)
        return due

    def until(self, found, what):
        """Of the scaler, at its looks."""

        def looked():
            assert self.scaler.failure is None, self.scaler.failure
            return found(self.scaler)

        self.wait_for(looked, what)

    def to_nothing(self):
        """Everybody leaves but the gateway, timers first: then some of theirs come due while nobody is there."""
        self.scaler.hold()
        while self.services[TIMER]:
            self.ready_first(TIMER)
            self.tell_to_go(TIMER)
        self.all_have_left()
        self.wait_for(lambda: len(self.pending()) >= PENDING, f"{PENDING} timers are set")
        for role in (OWNER, WORKER):
            while self.services[role]:
                self.ready_first(role)
                self.tell_to_go(role)
        self.all_have_left()
        left = self.pending()
        self.report.note(f"nobody is there; {len(left)} timers are pending")
        assert len(left) >= PENDING
        self.wait_for(lambda: time.time() > max(left.values()), "all of them are due")
        return left

    def roll(self, roles):
        """Every process of these makes room for a new one that is ready, one after the other, as a Deployment's update does it."""
        self.scaler.hold()
        for role in roles:
            for each in list(self.services[role]):
                self.start(role)
                self.tell_to_go(role, each)
                self.all_have_left()
        self.report.note(
            f"new processes in place of {', '.join(f'{len(self.services[role])} {role}' for role in roles)}"
        )
        self.scaler.resume()

    def ready_first(self, role):
        self.wait_for(lambda: self.services[role][-1].output, f"the last {role} is ready")

    def back(self, left):
        """One of each, as a Deployment has it; more, and workers, by the scaler."""
        self.start(TIMER)
        self.start(OWNER)
        self.scaler.forget()
        self.scaler.resume()
        self.wait_for(lambda: not left.keys() & self.pending().keys(), "timers fire that came due meanwhile")
        self.report.note(f"{len(left)} timers have fired that came due while nobody was there")


def dance(scene, restarted):
    """0 -> 4 -> 0 workers, 1 -> 3 -> 1 orchestrators, 1 -> 2 or 3 -> 1 timer services, with nobody at all in between, and `restarted` at the height."""
    owner = scene.rules[OWNER]
    with scene.under_load(seconds=0):
        scene.scaler.resume()
        scene.until(lambda scaler: scaler.most[WORKER] >= 1, "the first task wakes a worker")
        scene.wait_for(lambda: len(scene.load.told.results) > 5, "workflows end")
        left = scene.to_nothing()
        scene.until(lambda scaler: scaler.lags[OWNER] > 2 * owner.threshold, "commands wait for three orchestrators")
        scene.back(left)
        scene.until(lambda scaler: scaler.most[OWNER] == 3, "three orchestrators")
        scene.until(lambda scaler: scaler.most[WORKER] == 4, "four workers")
        scene.until(lambda scaler: scaler.most[TIMER] >= 2, "timers near their time need a second timer service")
        scene.roll(restarted)
    scene.until(lambda scaler: scaler.counts[WORKER] == 0, "no worker is left, for the lag is 0")
    scene.until(lambda scaler: scaler.counts[OWNER] == 1, "one orchestrator is left")
    scene.until(lambda scaler: scaler.counts[TIMER] == 1, "one timer service is left")
    scene.until(lambda scaler: scaler.lags[OWNER] == scaler.lags[TIMER] == 0, "nothing lags")
    scene.all_have_left()
    looks = scene.scaler.looks
    scene.until(lambda scaler: scaler.looks > looks + 2, "two looks more")
    assert scene.scaler.counts[WORKER] == scene.scaler.lags[WORKER] == 0
    scene.scaler.hold()
    scene.passes()
    for role in ("orchestrator", "timer", "gateway"):
        scene.tell_to_go(role)
    scene.all_have_left()
    print(scene.farewells())
