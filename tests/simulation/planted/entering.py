"""Bugs at the doors: commands in strangers' framings, subscriptions, dead letters, write versions."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from weakref import WeakKeyDictionary

from perdure.codec.encoder import Encoder
from perdure.core.commands import StartWorkflow
from perdure.core.decide import DECIDE
from perdure.letters.settling import _Sitting
from perdure.roles.orchestrator import intake
from perdure.roles.orchestrator.holding import Holding
from perdure.roles.subscriptions.feed import Feed
from perdure.services import upgrade
from perdure.services.watchdog import Watchdog


def the_header_with_the_command_id_is_ignored():
    return [(intake, "_take_command_id", lambda command, headers: None)]


def held_commands_are_passed_by_later_ones():
    """What waits for its schema does not hold up the rest of its instance."""
    return [(Holding, "holds", lambda self, instance_id: False)]


def what_is_held_is_not_listed():
    """A successor does not read it again."""

    def hold(self, found):
        self._held.setdefault(found.instance_id, deque()).append(found)

    return [(Holding, "hold", hold)]


def commands_do_not_wait_for_their_schema():
    """Asked for, and not waited for: the first ones are dead letters."""
    ordinary = Holding.open

    def open_(self, sealed):
        found = ordinary(self, sealed)
        return intake.refused(sealed.record, self._topics, "its schema is not known") if found is None else found

    return [(Holding, "open", open_)]


def ids_are_used_again_for_anybody():
    """A start that says that its id is used once begins another run of it."""
    ordinary = DECIDE[StartWorkflow]

    def start(instance, command, moment):
        return ordinary(instance, replace(command, reuse_id="ended"), moment)

    return [(DECIDE, StartWorkflow, start)]


def positions_are_stored_before_the_commands():
    """Of a subscription: what a crash in between loses is lost."""
    ordinary = Feed._commit

    async def commit(self, writer, batch, position):
        records, batch.records = batch.records, []
        await ordinary(self, writer, batch, position)
        if records:
            await writer.commit(records)

    return [(Feed, "_commit", commit)]


def commands_are_written_before_the_positions():
    """Of a subscription: what a crash in between repeats is there twice."""
    ordinary = Feed._commit

    async def commit(self, writer, batch, position):
        records, batch.records = batch.records, []
        if records:
            await writer.commit(records)
        await ordinary(self, writer, batch, position)

    return [(Feed, "_commit", commit)]


def messages_that_fit_nothing_are_dropped():
    ordinary = Feed._commit

    async def commit(self, writer, batch, position):
        letters = self._office.topics.dead_letters
        batch.records = [record for record in batch.records if record.topic != letters]
        await ordinary(self, writer, batch, position)

    return [(Feed, "_commit", commit)]


def a_replay_is_sent_before_its_mark():
    """And not in the same transaction."""
    ordinary = _Sitting._records

    async def records(self, offset):
        found = await ordinary(self, offset)
        if isinstance(found, list) and len(found) > 1 and self._writer is not None:
            await self._log.append(found[:-1])
            return found[-1:]
        return found

    return [(_Sitting, "_records", records)]


def marks_are_not_read_again():
    """Once the writer is open, what was known before is believed."""
    ordinary, sittings = _Sitting._records, WeakKeyDictionary()

    async def records(self, offset):
        known = sittings.setdefault(self, {})
        if self._writer is None or offset not in known:
            known[offset] = await ordinary(self, offset)
        return known[offset]

    return [(_Sitting, "_records", records)]


def nobody_is_held_back():
    """What can be written is written, whatever the namespace's write version."""
    ordinary = Encoder.__init__
    return [(Encoder, "__init__", lambda self, version=None: ordinary(self))]


def an_upgrade_waits_for_nobody():
    return [(upgrade.Found, "behind", [])]


def readers_of_one_partition_are_watched_as_one():
    """One that reads on hides another that hangs. (The engine had this one.)"""
    ordinary = Watchdog._look

    async def look(self, reader):
        place = reader.topic, reader.partition
        for other in [each for each in self._seen if each is not reader and (each.topic, each.partition) == place]:
            del self._seen[other]
        return await ordinary(self, reader)

    return [(Watchdog, "_look", look)]


BUGS = (
    the_header_with_the_command_id_is_ignored, held_commands_are_passed_by_later_ones, what_is_held_is_not_listed,
    commands_do_not_wait_for_their_schema, ids_are_used_again_for_anybody, positions_are_stored_before_the_commands,
    commands_are_written_before_the_positions, messages_that_fit_nothing_are_dropped, a_replay_is_sent_before_its_mark,
    marks_are_not_read_again, nobody_is_held_back, an_upgrade_waits_for_nobody,
    readers_of_one_partition_are_watched_as_one,
)  # fmt: skip
