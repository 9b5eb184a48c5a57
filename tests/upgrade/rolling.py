"""A namespace is upgraded from one release to this one, process by process, while clients work with it."""

from __future__ import annotations

import json
import time
from functools import cache

from perdure.codec.versions import newest, schemas_of
from tests.faults.fleet import PARTITIONS, PATIENCE_SECONDS
from tests.faults.follower import Follower
from tests.faults.records import HEADER_BYTES
from tests.faults.scene import Scene

__all__ = ["Rolling", "roll"]

MIXED_SECONDS = 4.0
"""Of work under both releases, each time; long enough for every kind of record."""

UNREADABLE = ("is not known here", "dead letter", "Traceback")
"""What no service says of another release's records."""


class Rolling(Scene):
    """What is started runs `release`; None is this tree, with the faults planted there."""

    members = ("orchestrator", "orchestrator", "activity-worker", "timer", "gateway")

    def __init__(self, kafka, cassandra, namespace, folder, *, before, planted=None, **more):
        super().__init__(kafka, cassandra, namespace, folder, **more)
        self.before = self.release = before
        self.is_upgraded = before.writes == newest()
        self._faults = planted or {}

    def bootstrap(self):
        done = self._cluster.perdure("bootstrap", "--development", **self.before.environ)
        assert done.returncode == 0, done.stderr
        self._commands = Follower(self._kafka, {f"{self.namespace}.instances": PARTITIONS}, gaps_allowed=True)
        self._closing.append(self._commands.stop)
        self._commands.start()

    def launch(self, role, **environ):
        old = self.release is not None
        self.planted = {} if old else self._faults
        service = super().launch(role, **((self.release.environ if old else {}) | environ))
        service.old = old
        return service

    def replace(self, role, release):
        """A process of the other kind is ended by one of `release`: it joins, then the other leaves in peace."""
        self.release = release
        place = next(n for n, each in enumerate(self.services[role]) if each.old == (release is None))
        self.start(role)
        self.drain(role, place)
        self.report.note(f"the {role} is {'of this tree' if release is None else release.name} now")

    def upgrade(self, *options):
        return self._cluster.perdure("upgrade", *options)

    def told_unreadable(self):
        """What services, those too that have left, said of records that they could not read."""
        return [
            line
            for each in self._cluster.services
            for line in each.said.splitlines()
            if any(text in line for text in UNREADABLE)
        ]

    def newer_records(self):
        """How many commands are written by schemas that the release before does not know."""
        if self._commands.failure is not None:
            raise self._commands.failure
        known, records = _headers(self.before.writes), self._commands.records[f"{self.namespace}.instances"]
        return sum(bytes(each.value[:HEADER_BYTES]) not in known for each in records)

    def work_goes_on(self):
        """For a while; ends come in, and nothing is written yet that the release before cannot read."""
        before = len(self.load.told.results)
        time.sleep(MIXED_SECONDS)
        self.wait_for(lambda: len(self.load.told.results) > before + 3, "workflows end")
        assert self.is_upgraded or not self.newer_records(), "something was not held back"


@cache
def _headers(version):
    return frozenset(schema.header for schema in schemas_of(version).values())


def roll(scene):
    """All of the release before; one by one of this tree; there and back; and then the upgrade."""
    held_back = not scene.is_upgraded
    with scene.under_load():
        if held_back:
            refused = scene.upgrade()
            assert refused.returncode == 5, refused.stderr
            assert "reads only" in refused.stderr, refused.stderr
        scene.replace("orchestrator", None)
        scene.shared("orchestrator")
        scene.work_goes_on()
        scene.replace("orchestrator", scene.before)  # the way back
        scene.shared("orchestrator")
        scene.work_goes_on()
        for role in ("gateway", "orchestrator", "activity-worker", "timer"):
            scene.replace(role, None)
        scene.work_goes_on()
        if held_back:
            refused = scene.upgrade("--check")
            assert refused.returncode == 5, refused.stderr
            assert refused.stderr.count("perdure-orchestrator-") == 1, refused.stderr  # the one that is left
        scene.replace("orchestrator", None)
        scene.shared("orchestrator")
        scene.work_goes_on()
        upgraded = scene.upgrade(
            "--wait", "20", "--json"
        )  # clients of a gateway that was killed are members for a while
        assert upgraded.returncode == 0, upgraded.stderr
        assert json.loads(upgraded.stdout)["writes"] == newest()
        scene.is_upgraded = True
        scene.report.note("upgraded")
        assert scene.upgrade().returncode == 0, "twice"
        if held_back:
            scene.wait_for(scene.newer_records, "records of the new version", PATIENCE_SECONDS)
            scene.work_goes_on()
            scene.report.note(f"{scene.newer_records()} records of the new version")
    _judge(scene)
    if held_back:
        _comes_too_late(scene)


def _judge(scene):
    unreadable = scene.told_unreadable()
    assert not unreadable, f"{len(unreadable)} lines: {unreadable[:5]}"
    scene.passes()


def _comes_too_late(scene):
    """A release from before cannot be started any more, and says so."""
    scene.release = scene.before
    late = scene.launch("timer")
    scene.services["timer"].remove(late)
    assert late.ended() == 4, late.said
    assert "form 2" in late.said or "written at version" in late.said, late.said
