"""`perdure run …` with faults planted into the engine: python planted.py FAULT,FAULT run ROLE …

That the checker finds a sound engine sound says nothing until it has found each of these. A few are no faults but bad
luck, which shows what a fault does, or that there is none.
"""

from __future__ import annotations

import sys
from dataclasses import replace


def results_count_twice():
    """A result of a step that has ended is taken as another one."""
    from perdure.core import decide
    from perdure.core.commands import CompleteActivity
    from perdure.core.events import ActivityCompleted

    ordinary = decide.DECIDE[CompleteActivity]

    def planted(instance, command, moment):
        decision = ordinary(instance, command, moment)
        if decision.rejection is None or decision.rejection.reason != "TaskNotOpen":
            return decision
        place = decide.place_of(instance, moment.now_us)
        return decide.Decision([ActivityCompleted(*place, command.task_id, command.attempt, command.output)])

    decide.DECIDE[CompleteActivity] = planted


def results_are_sent_twice():
    """No fault: a worker may repeat itself."""
    from perdure.roles.activities.outbox import Outbox

    ordinary = Outbox.put

    def planted(self, records, sent):
        ordinary(self, [*records, *records], sent)

    Outbox.put = planted


def what_runs_is_given_away():
    """A worker whose partition is taken leaves no lease for what runs."""
    from perdure.roles.activities.dispatcher import Dispatcher

    async def planted(self, origins, within_s):
        pass

    Dispatcher.hand_over = planted


def tail_is_not_read():
    """What was committed and not yet stored is forgotten at a takeover."""
    from perdure.roles.orchestrator import owner

    ordinary = owner.find_resume_point

    async def planted(*arguments):
        return replace(await ordinary(*arguments), tail={})

    owner.find_resume_point = planted


def position_runs_ahead():
    """The marker says that commands are decided which are not."""
    from perdure.roles.orchestrator.position import Position

    ordinary = Position.marker

    def planted(self, **more):
        marker = ordinary(self, **more)
        return replace(marker, next_offset=marker.next_offset + 5)

    Position.marker = planted


def store_forgets():
    """Every tenth turn is not stored, and nobody is told."""
    from perdure.adapters.cassandra.store import CassandraHistoryStore

    ordinary, count = CassandraHistoryStore.append, iter(range(1, 1 << 60))

    async def planted(self, partition, stored_to, position, turns):
        kept = [turn for turn in turns if next(count) % 10]
        await ordinary(self, partition, stored_to, position, kept)

    CassandraHistoryStore.append = planted


def hangs_before_commit():
    """No fault: after SIGUSR1 the process stops itself (SIGSTOP) where its next batch is decided and not yet sent. It
    is the worst moment for a process to hang at: when it wakes up it goes on to write what was decided long ago.
    """
    import os
    import signal

    from perdure.adapters.kafka.writer import KafkaWriter

    ordinary, told = KafkaWriter.commit, []
    signal.signal(signal.SIGUSR1, lambda *_: told.append(True))

    async def planted(self, records):
        if told and len(records) > 1:  # more than a marker
            told.clear()
            os.kill(os.getpid(), signal.SIGSTOP)
        return await ordinary(self, records)

    KafkaWriter.commit = planted


def nobody_is_fenced():
    """Each process writes under an id of its own, so that a new owner ends no earlier one's writing."""
    import os

    from perdure.adapters.kafka.log import KafkaLog

    ordinary = KafkaLog.open_writer

    async def planted(self, transactional_id):
        return await ordinary(self, f"{transactional_id}.{os.getpid()}")

    KafkaLog.open_writer = planted


def nothing_is_held_back():
    """Whatever the namespace's write version, the newest is written."""
    from perdure.codec.encoder import Encoder

    ordinary = Encoder.__init__

    def planted(self, version=None):
        ordinary(self)

    Encoder.__init__ = planted


FAULTS = {
    each.__name__: each
    for each in (
        results_count_twice, results_are_sent_twice, what_runs_is_given_away, tail_is_not_read, position_runs_ahead,
        store_forgets, hangs_before_commit, nobody_is_fenced, nothing_is_held_back,
    )
}  # fmt: skip


def main():
    faults, *rest = sys.argv[1:]
    for fault in faults.split(","):
        FAULTS[fault]()
    sys.argv = ["perdure", *rest]
    from perdure.cli import main as perdure

    perdure()


if __name__ == "__main__":
    main()
