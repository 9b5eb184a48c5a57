"""What may happen to a process. Each breaks something at once and returns how to wait until it is served again.

So that troubles come alone (`trouble(scene)()`) or together (break, break, wait, wait).
"""

from __future__ import annotations

import signal
import time

from tests.faults.program import LABOUR_SECONDS

LABOURS_FIRST = 4  # long activities that run before partitions change hands: fewer may all be in one that does not move


def orchestrator_killed(scene):
    killed = scene.services["orchestrator"][0]
    held = scene.partitions_of(killed)
    _, at = scene.kill("orchestrator")
    other = scene.launch("orchestrator")

    def served():
        scene.ready("orchestrator", other)
        scene.taken_over(killed, held, at, "orchestrator killed")

    return served


def worker_killed(scene):
    _, at = scene.kill("activity-worker")
    other = scene.launch("activity-worker")

    def served():
        scene.ready("activity-worker", other)
        pid = other.process.pid
        lines = scene.wait_for(lambda: [each for each in scene.lines() if each["pid"] == pid], "another worker works")
        scene.report.recovered("activity-worker killed", min(line["at"] for line in lines) - at)

    return served


def worker_joined_and_left(scene):
    """What runs while partitions change hands is run by nobody else: a worker that gives one away leaves a lease."""
    first = scene.services["activity-worker"][0]
    scene.wait_for(lambda: scene.labours(first) >= LABOURS_FIRST, "long activities run")
    began = time.time()
    other = scene.start("activity-worker")
    joined = time.time()
    scene.report.note("a second activity worker is ready")

    def served():
        scene.shared("activity-worker")
        pid = other.process.pid
        scene.wait_for(lambda: any(each["pid"] == pid for each in scene.lines()), "the second one works")
        time.sleep(LABOUR_SECONDS)  # for what the first one might have lost to be run a second time
        leaves = time.time()
        scene.drain("activity-worker", scene.services["activity-worker"].index(other))
        left = time.time()
        scene.shared("activity-worker")
        scene.ran_once("activity worker joined", {first.process.pid}, began, joined)
        scene.ran_once("activity worker left", {first.process.pid, pid}, leaves, left)

    return served


def timer_killed(scene):
    _, at = scene.kill("timer")
    other, before = scene.launch("timer"), len(scene.facts())

    def served():
        scene.ready("timer", other)

        def fired():
            new = (each for each in scene.facts()[before:] if each.name == "TimerFired")
            return [each.at for each in new if each.fields["fire_at_us"] > at * 1e6]

        scene.report.recovered("timer killed", min(scene.wait_for(fired, "a timer fires")) - at)

    return served


def gateway_killed(scene):
    _, at = scene.kill("gateway")
    other = scene.launch("gateway")

    def served():
        scene.ready("gateway", other)
        scene.report.recovered("gateway killed", time.time() - at)

    return served


def orchestrator_hung(scene):
    """Stopped in the middle of a batch until another one has its partitions; then it goes on, as if nothing had been.
    `hangs_before_commit` must be planted.
    """
    other = scene.start("orchestrator")
    scene.wait_for(lambda: len(scene.owner_pids()) == 2, "each has a partition")
    held = scene.partitions_of(scene.services["orchestrator"][0])
    zombie, at = scene.hang("orchestrator")

    def served():
        scene.taken_over(zombie, held, at, "orchestrator hung")
        time.sleep(1)  # load for the new owner, which a zombie's late work would disturb
        scene.send("orchestrator", signal.SIGCONT)
        scene.wait_for(lambda: zombie.process.pid in scene.owner_pids(), "it is given a partition again")
        assert zombie.process.poll() is None, zombie.said
        scene.drain("orchestrator", scene.services["orchestrator"].index(other))

    return served


def orchestrator_joined_and_left(scene):
    other = scene.start("orchestrator")
    scene.report.note("a second orchestrator is ready")

    def served():
        scene.wait_for(lambda: other.process.pid in scene.owner_pids(), "the second one has a partition")
        time.sleep(1)
        held, at = scene.partitions_of(other), time.time()
        scene.drain("orchestrator", scene.services["orchestrator"].index(other))
        scene.taken_over(other, held, at, "orchestrator drained")

    return served


def timer_joined_and_left(scene):
    scene.start("timer")
    scene.report.note("a second timer service is ready")

    def served():
        scene.shared("timer")
        time.sleep(1)
        scene.drain("timer", 0)
        scene.shared("timer")

    return served


TROUBLES = {
    "orchestrator": (orchestrator_killed, orchestrator_hung, orchestrator_joined_and_left),
    "activity-worker": (worker_killed, worker_joined_and_left),
    "timer": (timer_killed, timer_joined_and_left),
    "gateway": (gateway_killed,),
}
