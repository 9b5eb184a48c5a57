"""A decided batch as the records of one commit, and what follows once it is committed.

Everything is encoded before the transaction begins. The marker is the last record; its offset is the batch's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from perdure.codec.encoder import Encoder
from perdure.core.commands import InspectInstance
from perdure.core.decide import Rejection
from perdure.core.effects import ActivityTask, SendCommand
from perdure.core.events import BatchCommitted
from perdure.core.limits import REPLY_TOKEN_CHARS_MAX
from perdure.core.names import Topics, partition_of
from perdure.core.replies import InstanceSnapshot, Reply
from perdure.core.turn import Turn
from perdure.ports.log import Outgoing
from perdure.ports.store import StoredEvent, StoredTurn
from perdure.roles.orchestrator.intake import Incoming, is_client_command, refused
from perdure.roles.orchestrator.retention import is_purge_for_age
from perdure.roles.orchestrator.settings import Stats
from perdure.roles.orchestrator.writebehind import Unstored, merge
from perdure.telemetry.orchestrations import stamp
from perdure.telemetry.propagation import Headers
from perdure.telemetry.spans import Span

__all__ = ["Batch", "Layout"]


@dataclass(slots=True)
class Layout:
    """Where records go, and at which write version: topic names and the partition counts behind them, and an encoder."""

    topics: Topics
    partition: int
    instances: int
    activities: int
    replies: int
    turn_of_activities: int = 0
    encode: Encoder = field(default_factory=Encoder, kw_only=True)

    def activity_partition(self) -> int:
        """One partition per batch, another for the next: few partitions per transaction, and all of them in turn."""
        return self.turn_of_activities % self.activities


@dataclass(slots=True)
class Batch:
    """What one commit carries, and what waits for it."""

    layout: Layout
    stats: Stats
    records: list[Outgoing] = field(default_factory=list)
    answers: list[Outgoing] = field(default_factory=list)  # replies: after the commit, by a plain append
    offsets: list[int] = field(default_factory=list)  # of the requests it decides
    unstored: Unstored = field(default_factory=dict)
    marker: BatchCommitted | None = None
    decided_to: int = 0  # every command below this offset is decided once it has committed
    passed_to: int = 0  # beyond that there was nothing but questions that are not held in the log
    traced: bool = False
    spans: list[Span] = field(default_factory=list)  # of its turns: they leave after the commit

    def add_turn(self, turn: Turn, incoming: Sequence[Incoming]) -> int:
        """The events, effects and answers of a turn; returns the instance's weight in memory, in bytes."""
        layout, instance = self.layout, turn.instance
        encode = layout.encode
        key = instance.instance_id.encode()
        stored: list[StoredEvent] = []
        size = 0
        for event in turn.events:
            value = encode(event)
            size += len(value)
            self.records.append(Outgoing(layout.topics.history, layout.partition, key, value))
            if event.run == instance.run and event.generation == instance.generation:
                stored.append(StoredEvent(event.seq, value))
        for effect in turn.effects:
            self._add_effect(effect, key, stamp(effect, instance) if self.traced else ())
        for answer, came in zip(turn.answers, incoming, strict=True):
            self._answer(answer.rejection, came)
        self.stats.retention_purged += instance.ended == "PURGED" and any(map(is_purge_for_age, turn.events))
        if turn.events:
            merge(self.unstored, StoredTurn(instance.row(), stored))
            self.stats.events += len(turn.events)
        return 2048 + 2 * len(instance.input) + len(instance.output) + size

    def _add_effect(self, effect: object, key: bytes, headers: Headers) -> None:
        layout, topics = self.layout, self.layout.topics
        encode = layout.encode
        if type(effect) is ActivityTask:
            place = (topics.activities(effect.queue), layout.activity_partition())
            self.records.append(Outgoing(*place, key, encode(effect), headers))
        elif type(effect) is SendCommand:
            home = partition_of(effect.instance_id, layout.instances)
            value = encode(effect.command)
            self.records.append(Outgoing(topics.instances, home, effect.instance_id.encode(), value, headers))
        else:
            self.records.append(Outgoing(topics.timers, layout.partition, key, encode(effect)))

    def _answer(self, rejection: Rejection | None, came: Incoming) -> None:
        if rejection is not None:
            self.refuse(came, rejection.reason, rejection.message)
        elif reply_to := getattr(came.command, "reply_to", ""):
            self._reply(reply_to, came.command.command_id, True, "", "", None)

    def refuse(self, came: Incoming, reason: str, message: str) -> None:
        """Told to who asked; a client's command without a reply address, or with one that is none, becomes a dead letter."""
        self.stats.rejections[reason] += 1
        reply_to = getattr(came.command, "reply_to", "")
        if reply_to and self._reply(reply_to, came.command.command_id, False, reason, message, None):
            return
        if is_client_command(came.command):
            self.records.append(refused(came.record, self.layout.topics, f"{reason}: {message}").out)
            self.stats.dead_letters += 1

    def inspected(self, request: InspectInstance, snapshot: InstanceSnapshot) -> None:
        self._reply(request.reply_to, request.command_id, True, "", "", snapshot)

    def unknown(self, request: InspectInstance, instance_id: str) -> None:
        message = f"no workflow instance has the ID '{instance_id}'"
        self._reply(request.reply_to, request.command_id, False, "UnknownInstance", message, None)

    def _reply(
        self,
        reply_to: str,
        command_id: str,
        accepted: bool,
        reason: str,
        message: str,
        snapshot: InstanceSnapshot | None,
    ) -> bool:
        """Whether there is such an address."""
        number, _, token = reply_to.partition("/")
        if not (number.isascii() and number.isdecimal() and len(number) < 10 and len(token) <= REPLY_TOKEN_CHARS_MAX):
            return False
        if int(number) >= self.layout.replies:
            return False
        reply = Reply(command_id, token, accepted, reason, message, snapshot)
        out = Outgoing(
            self.layout.topics.replies, int(number), token.encode(), self.layout.encode(reply), volatile=True
        )
        self.answers.append(out)
        return True

    def close(self, marker: BatchCommitted) -> None:
        """The last record. Nothing is added after it."""
        self.marker = marker
        self.layout.turn_of_activities += 1
        topics = self.layout.topics
        self.records.append(Outgoing(topics.history, self.layout.partition, b"", self.layout.encode(marker)))
