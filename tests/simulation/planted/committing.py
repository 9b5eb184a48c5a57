"""Bugs in what an owner does with the log: takeovers, commits, and what leaves when."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

from perdure.ports.errors import CommitFailed, CommitUnknown
from perdure.roles.orchestrator import kept, owner, service
from perdure.roles.orchestrator.gathering import Gatherer
from perdure.roles.orchestrator.memory import Memory
from perdure.roles.orchestrator.position import Position
from perdure.roles.orchestrator.telling import Telling
from perdure.roles.orchestrator.tenure import Tenure
from tests.simulation.world.log import SimulatedLog


def fencing_is_skipped():
    """Each process writes under an id of its own: a new owner ends nobody's writing."""
    ordinary = SimulatedLog.open_writer

    async def open_writer(self, transactional_id):
        return await ordinary(self, f"{transactional_id}.{self.host.name}")

    return [(SimulatedLog, "open_writer", open_writer)]


def outputs_are_sent_before_the_commit():
    """Tasks, timers and commands leave by a plain append; then events are committed."""
    ordinary = Tenure._send

    async def send(self, batch):
        history = self.office.ports.topics.history
        outputs = [record for record in batch.records if record.topic != history]
        if outputs:
            await self.office.ports.log.append(outputs)
            batch.records[:] = [record for record in batch.records if record.topic == history]
        await ordinary(self, batch)

    return [(Tenure, "_send", send)]


def waits_are_answered_before_the_commit():
    ordinary = Tenure._finish

    async def finish(self, batch):
        answers, batch.answers = batch.answers, []
        if answers:
            await self._answer(answers)
        await ordinary(self, batch)

    return [(Tenure, "_finish", finish)]


def tail_is_not_read():
    """What was committed and not yet stored is forgotten at a takeover."""
    ordinary = owner.find_resume_point

    async def find(*arguments):
        return replace(await ordinary(*arguments), tail={})

    return [(owner, "find_resume_point", find)]


def position_runs_ahead():
    """The marker says that a command is decided which is not."""
    ordinary = Position.marker

    def marker(self, **more):
        made = ordinary(self, **more)
        return replace(made, next_offset=made.next_offset + 1)

    return [(Position, "marker", marker)]


def undecided_commands_are_not_listed():
    """What waits for the store when its owner dies is passed over."""
    ordinary = Position.marker

    def marker(self, **more):
        return replace(ordinary(self, **more), undecided=[])

    return [(Position, "marker", marker)]


def an_unknown_outcome_counts_as_failure():
    """Whoever hears nothing of a commit writes it again, with a new writer and without a look at the log."""
    ordinary = Tenure._send

    async def send(self, batch):
        try:
            await ordinary(self, batch)
        except CommitUnknown:
            ports = self.office.ports
            name = f"{ports.topics.namespace}.orchestrator.{self.office.partition}"
            self._writer = await ports.log.open_writer(name)
            await ordinary(self, batch)

    return [(Tenure, "_send", send)]


def a_failed_commit_is_forgotten():
    """As if it had been written: memory goes on from it."""
    ordinary = Tenure._send

    async def send(self, batch):
        try:
            await ordinary(self, batch)
        except CommitFailed:
            ports = self.office.ports
            name = f"{ports.topics.namespace}.orchestrator.{self.office.partition}"
            self._writer = await ports.log.open_writer(name)

    return [(Tenure, "_send", send)]


def speculation_is_kept_after_an_abort():
    """A commit failed, and the next tenure of this process goes on with the memory of it."""
    ordinary = Tenure.end

    async def end(self, *, flush):
        left = await ordinary(self, flush=flush)
        return left if left is not None else kept.Kept(self.memory, self.marker_offset, self.office.waiters)

    return [(Tenure, "end", end), (kept.Kept, "is_current", lambda self, point: True)]


def memory_is_kept_whatever_happened_meanwhile():
    """After a rebalance, an earlier memory is good although somebody else has decided since."""
    return [(kept.Kept, "is_current", lambda self, point: True)]


def a_dead_letter_swallows_its_neighbour():
    """Where a record is no command, the next one of its batch goes, too."""
    ordinary = Gatherer._sort

    def sort(self, record, incoming, misfits):
        if misfits and misfits[-1].out is not None and getattr(self, "swallowed", None) is not misfits[-1]:
            self.swallowed = misfits[-1]
            self._position.read(record.offset)
            return
        ordinary(self, record, incoming, misfits)

    return [(Gatherer, "_sort", sort)]


def misrouted_commands_are_dropped():
    ordinary = Tenure._compose

    def compose(self, batch, turns, misfits):
        ordinary(self, batch, turns, [each for each in misfits if not each.forwarded])

    return [(Tenure, "_compose", compose)]


def a_later_command_passes_those_that_wait():
    """An instance that is in memory takes a command although earlier ones wait for it."""

    def is_at_hand(self, found):
        return self._memory.find(found.instance_id) is not None or ordinary(self, found)

    ordinary = Gatherer._is_at_hand
    return [(Gatherer, "_is_at_hand", is_at_hand)]


def what_a_stall_leaves_goes_behind():
    """Commands that a stalled turn gives back wait behind those that came later. (The engine had this one.)"""

    def put_back(self, instance_id, left):
        for each in left:
            self.park(each)

    return [(Memory, "put_back", put_back)]


def a_rebalance_ends_the_joining_process():
    """Partitions that are taken back while a process still joins cancel what it waits for. (The engine had this one.)"""
    unshielded = SimpleNamespace(**{**vars(asyncio), "shield": lambda future: future})
    return [(service, "asyncio", unshielded)]


def what_comes_within_a_second_is_never_told():
    """The group is told of the first thing that is decided in a second, and of no more of it. (The engine had this one.)"""

    def hear(self):
        if self._task is None:
            self._start(0.0)

    async def tell(self):
        await self._reader.commit(self.reached, lazy=True)
        return False

    return [(Telling, "_hear", hear), (Telling, "_tell", tell)]


BUGS = (
    fencing_is_skipped, outputs_are_sent_before_the_commit, waits_are_answered_before_the_commit, tail_is_not_read,
    position_runs_ahead, undecided_commands_are_not_listed, an_unknown_outcome_counts_as_failure,
    a_failed_commit_is_forgotten, speculation_is_kept_after_an_abort, memory_is_kept_whatever_happened_meanwhile,
    a_dead_letter_swallows_its_neighbour, misrouted_commands_are_dropped, a_rebalance_ends_the_joining_process,
    a_later_command_passes_those_that_wait, what_a_stall_leaves_goes_behind, what_comes_within_a_second_is_never_told,
)  # fmt: skip
