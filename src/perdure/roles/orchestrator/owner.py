"""The owner of one partition: gather requests, decide them, commit; one batch ahead of the commit.

**Law.** Nothing of a batch leaves before its commit: no reply, no store write, no eviction of what it touched. Batch n+1
is decided on what batch n left in memory while n commits; if n does not commit, the partition's memory is dropped and
everything begins again from the last marker. A commit that fails for its content is tried in halves down to the one
command, which becomes a dead letter.
"""

from __future__ import annotations

import asyncio

import structlog

from perdure.codec.avro import encode
from perdure.core.commands import InspectInstance
from perdure.core.events import BatchCommitted
from perdure.core.limits import TAKEOVERS_BEFORE_CAUTION, UNDECIDED_OFFSETS_MAX
from perdure.core.turn import Live, Request, Turn
from perdure.ports.errors import (
    CommitFailed,
    CommitUnknown,
    Fenced,
    LogClosed,
    NotAssigned,
    RecordTooLarge,
    StoreUnavailable,
)
from perdure.ports.log import Outgoing, Reader, Record, Writer
from perdure.ports.store import StoredEvent
from perdure.roles.orchestrator.batch import Batch, Layout
from perdure.roles.orchestrator.decider import Decider
from perdure.roles.orchestrator.inspection import inspect_all
from perdure.roles.orchestrator.intake import Incoming, Misfit, dead_letter, read
from perdure.roles.orchestrator.memory import Memory
from perdure.roles.orchestrator.recovery import recover_stalled
from perdure.roles.orchestrator.settings import OrchestratorPorts, OrchestratorSettings, Stats
from perdure.roles.orchestrator.takeover import find_resume_point
from perdure.roles.orchestrator.waiters import Waiters
from perdure.roles.orchestrator.writebehind import WriteBehind
from perdure.workflow.code import Library

__all__ = ["PartitionOwner"]

log = structlog.get_logger("perdure.orchestrator")

DELETE_EVERY = 2_000  # offsets between two requests to let go of what is decided


class BadContent(Exception):  # noqa: N818 - caught here only
    """A batch cannot be encoded or is refused for its content."""


class PartitionOwner:
    """One partition, from assignment to revocation."""

    def __init__(
        self,
        partition: int,
        reader: Reader,
        layout: Layout,
        ports: OrchestratorPorts,
        settings: OrchestratorSettings,
        library: Library,
        decider: Decider,
        stats: Stats,
    ) -> None:
        self.partition = partition
        self._reader = reader
        self._layout = layout
        self._ports = ports
        self._settings = settings
        self._library = library
        self._decider = decider
        self._stats = stats
        self._waiters = Waiters()
        self._stopping = False
        self._poison: set[int] = set()  # offsets of commands that cannot be committed
        self._batch_max = settings.batch_requests_max
        self.serving = asyncio.Event()
        self._woken = asyncio.Event()
        self.memory = self._new_memory()
        self._behind = self._new_behind()
        self._writer: Writer | None = None
        self._commit: asyncio.Task[None] | None = None
        self._next_offset = 0
        self._skip_below = 0
        self._undecided: set[int] = set()
        self._cautious_to = 0
        self._killer = ""
        self._takeovers = 0
        self._deleted_to = 0
        self._tail_left: set[str] = set()
        self.marker_offset = -1

    # -- life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until `stop`, a revocation, or a newer owner."""
        pause = self._settings.retry_s
        while not self._stopping:
            try:
                await self._take_over()
                pause = self._settings.retry_s
                await self._serve()
            except (Fenced, NotAssigned, LogClosed) as error:
                if not self._stopping:
                    log.info("partition is no longer ours", partition=self.partition, reason=type(error).__name__)
                    if isinstance(error, Fenced) and await self._still_assigned(pause):
                        continue
                return
            except (CommitFailed, CommitUnknown, StoreUnavailable, BadContent) as error:
                self._stats.commits_failed += 1
                log.warning("the partition is taken over again", partition=self.partition, error=str(error))
                if not isinstance(error, BadContent):
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, self._settings.retry_s_max)
            finally:
                self.serving.clear()
                await self._drop()

    async def _still_assigned(self, pause: float) -> bool:
        """Fenced, and yet assigned: the fence was an older life of ours, or a test's. Take over again."""
        await asyncio.sleep(pause)
        try:
            await self._reader.committed()
        except (NotAssigned, LogClosed):
            return False
        return not self._stopping

    async def stop(self) -> None:
        """Finish the batch in hand, store what is committed, let go."""
        self._stopping = True
        self._wake()

    async def _drop(self) -> None:
        """Forget everything in memory; what is committed is first given to the store, as far as it takes it."""
        commit, self._commit = self._commit, None
        if commit is not None:
            await asyncio.gather(commit, return_exceptions=True)
        await self._behind.stop(flush=self._stopping)
        self.memory.stop()
        lives = [live for live in self.memory.lives.values() if live.execution is not None]
        self.memory, self._writer = self._new_memory(), None
        self._behind = self._new_behind()
        if lives:
            await self._decider.let_go(lives)

    def _new_memory(self) -> Memory:
        return Memory(self._ports.store, self._settings, self._stats, self._ports.clock.now_us())

    def _new_behind(self) -> WriteBehind:
        behind = WriteBehind(self.partition, self._ports.store, self.memory, self._settings, self._stats)
        behind.on_stored = self._wake
        return behind

    # -- taking over ------------------------------------------------------------------------------------------

    async def _take_over(self) -> None:
        ports, p = self._ports, self.partition
        self._writer = await ports.log.open_writer(f"{ports.topics.namespace}.orchestrator.{p}")
        point = await find_resume_point(ports.log, ports.store, ports.topics, p, self._settings.epoch)
        marker = point.marker
        self._next_offset = self._skip_below = marker.next_offset
        self._undecided = set(marker.undecided)
        self.marker_offset = point.marker_offset
        self._takeovers = marker.takeovers + 1
        self._killer = marker.trying
        self._cautious_to = 0
        if self._killer or self._takeovers > TAKEOVERS_BEFORE_CAUTION:
            _, self._cautious_to = await ports.log.bounds(ports.topics.instances, p)
            log.warning(
                "owners died before their first commit; going on with care", partition=p, takeovers=self._takeovers
            )
        self._deleted_to = 0
        self._stats.takeovers += 1
        self.memory.tail = point.tail
        self.memory.on_loaded = self._loaded
        self._tail_left = set(point.tail)
        self._behind.stored_to = await ports.store.stored_to(p)
        await self._commit_marker()
        if not self._tail_left:
            self._behind.start(self._behind.stored_to)
        self.memory.want(point.tail)
        self._reader.seek(min([self._next_offset, *self._undecided]))
        self.serving.set()
        await recover_stalled(ports, self._library, p)

    def _loaded(self, live: Live) -> None:
        """An instance of the tail is in memory: what the store lacks of it goes there."""
        key = live.instance.instance_id
        if key not in self._tail_left:
            return
        self._tail_left.discard(key)
        place = (live.instance.run, live.instance.generation)
        events = [
            StoredEvent(event.seq, encode(event))
            for event in self.memory.tail[key]
            if (event.run, event.generation) == place
        ]
        batch = Batch(self._layout, self._stats)
        batch.store_loaded(live.instance, events)
        self._behind.pin(batch.unstored)
        self._behind.add(batch.unstored, self.marker_offset)
        if not self._tail_left:
            self._behind.start(self._behind.stored_to)

    async def _commit_marker(self, trying: str = "") -> None:
        batch = Batch(self._layout, self._stats)
        batch.close(self._marker(takeovers=self._takeovers, trying=trying))
        await self._send(batch)

    def _marker(self, *, takeovers: int = 0, trying: str = "") -> BatchCommitted:
        return BatchCommitted(
            self._settings.epoch, self._next_offset, sorted(self._undecided)[: UNDECIDED_OFFSETS_MAX * 2],
            max(self._behind.stored_to, 0), self._settings.owner, takeovers, trying,
        )  # fmt: skip

    # -- serving ----------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        while not self._stopping:
            incoming, misfits = await self._gather()
            if self._commit is not None and self._commit.done():
                self._commit.result()
                self._commit = None
            if not incoming and not misfits:
                continue
            if self._cautious_to:
                await self._name_before_trying(incoming)
            batch = await self._decide(incoming, misfits)
            if self._commit is not None:
                await self._commit
                self._commit = None
            if batch.durable or batch.records or batch.answers:
                self._commit = asyncio.get_running_loop().create_task(self._finish(batch))
                self._commit.add_done_callback(self._commit_done)
            await self._evict()

    def _commit_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._wake()

    async def _gather(self) -> tuple[list[Incoming], list[Misfit]]:
        """The next requests that can be decided, and records that are none. Empty after a wake."""
        memory = self.memory
        await self._behind.room()
        if memory.failure is not None:
            raise CommitFailed(f"loading failed: {memory.failure}")
        self._load()
        most = 1 if self._cautious_to else self._batch_max
        incoming, memory.ready = memory.ready[:most], memory.ready[most:]
        misfits: list[Misfit] = []
        if len(self._undecided) >= UNDECIDED_OFFSETS_MAX:
            if not incoming:
                await self._woken.wait()  # nothing more is read until the store has answered for what waits
        elif len(incoming) < most:
            if incoming:
                self._reader.wake()  # take what is there, do not wait for more
            for record in await self._reader.read(most - len(incoming)):
                self._sort(record, incoming, misfits)
        self._woken.clear()
        self._load()
        return incoming, misfits

    def _wake(self) -> None:
        self._woken.set()
        self._reader.wake()

    def _sort(self, record: Record, incoming: list[Incoming], misfits: list[Misfit]) -> None:
        offset = record.offset
        if offset < self._skip_below and offset not in self._undecided:
            return
        self._next_offset = max(self._next_offset, offset + 1)
        found = read(record, self._ports.topics, self._layout.instances)
        if isinstance(found, Misfit):
            self._undecided.discard(offset)
            misfits.append(found)
        elif offset in self._poison:
            self._undecided.discard(offset)
            out = dead_letter(found.record, self._ports.topics, "its outcome cannot be committed")
            misfits.append(Misfit(out, False, "poison"))
        elif self._known(found):
            incoming.append(found)
        else:
            self.memory.park(found)
            if type(found.command) is not InspectInstance:
                self._undecided.add(offset)

    def _known(self, found: Incoming) -> bool:
        memory, key = self.memory, found.instance_id
        if key in memory.parked:
            return False
        if memory.find(key) is not None:
            return True
        if getattr(found.command, "minted", False) and key not in memory.lives:
            fresh = memory.begin(key, self._ports.clock.now_us())
            if fresh is not None:
                memory.lives[key] = fresh
                return True
        return False

    def _load(self) -> None:
        self.memory.load(self._wake)
        if self.memory.waits_for_store:
            self._behind.hurry()

    async def _decide(self, incoming: list[Incoming], misfits: list[Misfit]) -> Batch:
        batch = Batch(self._layout, self._stats)
        groups: dict[str, list[Incoming]] = {}
        batch.offsets = [each.record.offset for each in incoming]
        for each in incoming:
            self._undecided.discard(each.record.offset)
            groups.setdefault(each.instance_id, []).append(each)
        now_us = self._ports.clock.now_us()
        turns: list[tuple[Turn, list[Incoming]]] = []
        inspections: list[Incoming] = []
        for key, group in groups.items():
            commands = [each for each in group if type(each.command) is not InspectInstance]
            if len(commands) < len(group):
                inspections += [each for each in group if type(each.command) is InspectInstance]
            if commands:
                turns.append((self._turn(self.memory.lives[key], commands, now_us), commands))
        if turns:
            await self._decider.run([turn for turn, _ in turns])
        self._compose(batch, turns, misfits)
        inspect_all(batch, inspections, self.memory, self._waiters, self.partition)
        for turn, _ in turns:
            for request in self._waiters.take(turn.instance):
                batch.inspected(request, turn.instance.snapshot(self.partition))
            self._forget_blank(turn.live)
        for each in inspections:
            blank = self.memory.lives.get(each.instance_id)
            if blank is not None:
                self._forget_blank(blank)
        return batch

    def _turn(self, live: Live, commands: list[Incoming], now_us: int) -> Turn:
        prefix = f"{self._settings.epoch}.{self.partition}."
        requests = [Request(each.command, prefix + str(each.record.offset)) for each in commands]
        turn = Turn(live, requests, now_us, self._library, self._decider.runner)
        if live.instance.instance_id == self._killer:
            turn.park_first = "the process died whenever this instance's code was run"
            self._killer = ""
        return turn

    def _compose(self, batch: Batch, turns: list[tuple[Turn, list[Incoming]]], misfits: list[Misfit]) -> None:
        stats = self._stats
        for turn, commands in turns:
            try:
                weight = batch.add_turn(turn, commands[: turn.position])
            except Exception as error:
                self._isolate(batch.offsets, error)
                raise BadContent(f"{type(error).__name__}: {error}") from error
            for left in commands[turn.position :]:  # the instance stalled: what is left needs its history
                self._undecided.add(left.record.offset)
                self.memory.park(left)
            stats.turns += 1
            self.memory.keep(turn.live, weight)
            if turn.instance.stalled is not None and turn.events:
                stats.stalled += 1
                log.error(
                    "instance is stalled", instance_id=turn.instance.instance_id, workflow=turn.instance.name,
                    reason=turn.instance.stalled.reason, detail=turn.instance.stalled.detail,
                )  # fmt: skip
        for misfit in misfits:
            batch.records.append(misfit.out)
            stats.forwarded += misfit.forwarded
            stats.dead_letters += not misfit.forwarded
            log.warning("a record is not ours to decide", partition=self.partition, reason=misfit.reason)
        batch.durable = bool(turns or misfits)
        self._behind.pin(batch.unstored)
        if batch.durable:
            cautious = TAKEOVERS_BEFORE_CAUTION if self._cautious_to else 0
            batch.close(self._marker(takeovers=cautious))

    def _isolate(self, offsets: list[int], error: BaseException) -> None:
        """The batch cannot be committed for its content: halve it next time, or give up on the one command."""
        if len(offsets) <= 1:
            self._poison.update(offsets)
            self._batch_max = self._settings.batch_requests_max
            log.error("a command cannot be committed and becomes a dead letter", offsets=offsets, error=str(error))
        else:
            self._batch_max = max(1, min(len(offsets), self._batch_max) // 2)

    # -- committing -------------------------------------------------------------------------------------------

    async def _finish(self, batch: Batch) -> None:
        if batch.records:
            await self._send(batch)
        if batch.answers:
            await self._answer(batch.answers)
        if self._batch_max < self._settings.batch_requests_max and not self._cautious_to:
            self._batch_max = min(self._batch_max * 2, self._settings.batch_requests_max)
        await self._let_the_log_go()

    async def _send(self, batch: Batch) -> None:
        if self._writer is None:
            raise Fenced("no writer")
        try:
            self.marker_offset = await self._writer.commit(batch.records)
        except RecordTooLarge as error:
            self._isolate(batch.offsets, error)
            raise BadContent(str(error)) from error
        self._stats.commits += 1
        self._behind.add(batch.unstored, self.marker_offset)

    async def _answer(self, answers: list[Outgoing]) -> None:
        try:
            await self._ports.log.append(answers)
        except (CommitFailed, CommitUnknown) as error:
            log.info("answers were lost; clients ask again", count=len(answers), error=str(error))

    async def _let_the_log_go(self) -> None:
        """Commands below the lowest undecided one are done with; history below the stored marker too."""
        lowest = min([self._next_offset, *self._undecided])
        if lowest - self._deleted_to < DELETE_EVERY:
            return
        self._deleted_to = lowest
        self._waiters.sweep(asyncio.get_running_loop().time())
        topics, log_port = self._ports.topics, self._ports.log
        await log_port.delete_before(topics.instances, self.partition, lowest)
        await log_port.delete_before(topics.history, self.partition, self._behind.stored_to)
        await self._reader.commit(lowest, lazy=True)

    async def _evict(self) -> None:
        out = self.memory.evictable()
        running = [live for live in out if live.execution is not None]
        if running:
            await self._decider.let_go(running)

    def _forget_blank(self, live: Live) -> None:
        if live.instance.started is None:
            self.memory.lives.pop(live.instance.instance_id, None)

    async def _name_before_trying(self, incoming: list[Incoming]) -> None:
        """In caution: write down whose code is run next, so that a death names its cause."""
        if self._commit is not None:
            await self._commit
            self._commit = None
        if self._next_offset > self._cautious_to:
            self._cautious_to = 0
            return
        for each in incoming[:1]:
            if each.instance_id != self._killer:
                self._undecided.add(each.record.offset)
                await self._commit_marker(each.instance_id)
