"""When everything is served again, seen from outside and the same whatever was broken.

Of what began after the cause was gone, there must have been, on every partition: a workflow that ended, an activity that
completed, a timer that was due and fired; and through each door a client that was told its workflow's end.
"""

from __future__ import annotations

from itertools import pairwise

from tests.faults.fleet import PARTITIONS

DOORS = ("http", "log")


class Served:
    """`since`: seconds, by the clock of this machine, which is the broker's, too. `door(instance)`: where its client
    came in; None for what no client started.
    """

    def __init__(self, since, door):
        self.since = since
        self._door = door
        self._begun, self._scheduled = set(), set()
        self._seen = {}
        self._ended = {}  # door to (when, instance) of those whose clients may be told

    def take(self, facts):
        for fact in facts:
            if fact.instance and fact.at > self.since:
                self._take(fact)

    def missing(self, told):
        """What has not been seen yet; `told`: instances whose clients know how they ended."""
        kinds = ("workflow", "activity", "timer")
        wanted = {(kind, number) for kind in kinds for number in range(PARTITIONS)}
        missing = [f"no {kind} of partition {number} since then" for kind, number in sorted(wanted - self._seen.keys())]
        return missing + [f"no client told through {door}" for door in DOORS if self._told_at(door, told) is None]

    def last(self, told):
        """(seconds from `since` until the last of it, what that was), once nothing is missing."""
        seen = {f"{kind} of partition {number}": at for (kind, number), at in self._seen.items()}
        seen |= {f"client through {door}": self._told_at(door, told) for door in DOORS}
        what = max(seen, key=seen.get)
        return seen[what] - self.since, what

    def _told_at(self, door, told):
        return min((at for at, instance in self._ended.get(door, ()) if instance in told), default=None)

    def _take(self, fact):
        door = self._door(fact.instance)
        match fact.name:
            case "WorkflowStarted" if door:
                self._begun.add(fact.instance)
            case "ActivityScheduled":
                self._scheduled.add((*fact.place, fact.fields["task_id"]))
            case "ActivityCompleted" if (*fact.place, fact.fields["task_id"]) in self._scheduled:
                self._see("activity", fact)
            case "TimerFired" if fact.fields["fire_at_us"] > self.since * 1e6:
                self._see("timer", fact)
            case "WorkflowCompleted" if fact.instance in self._begun:
                self._see("workflow", fact)
                self._ended.setdefault(door, []).append((fact.at, fact.instance))

    def _see(self, kind, fact):
        self._seen.setdefault((kind, fact.partition), fact.at)


def silence_s(facts, since, until):
    """The longest time between two commits of one partition."""
    longest = 0.0
    for number in range(PARTITIONS):
        times = [since, *(fact.at for fact in facts if fact.partition == number and since < fact.at < until), until]
        longest = max(longest, *(later - earlier for earlier, later in pairwise(times)))
    return longest
