"""One tenure of a partition: from a takeover to its end by revocation, by a newer owner, or by a commit that failed.

**Law.** Nothing of a batch leaves before its commit: no reply, no store write, no eviction of what it touched. Batch n+1
is decided on what batch n left in memory while n commits; if n does not commit, the tenure ends, its memory is dropped,
and the next one begins from the last marker. What the log lets go of is what a *committed* marker says is decided.
"""

from __future__ import annotations

import asyncio

import structlog

from perdure.core.commands import InspectInstance
from perdure.core.events import BatchCommitted
from perdure.core.turn import Live, Request, Turn
from perdure.ports.errors import CommitFailed, CommitUnknown, PortError, RecordTooLarge
from perdure.ports.log import Outgoing, Writer
from perdure.ports.store import Resting
from perdure.roles.orchestrator.batch import Batch
from perdure.roles.orchestrator.caution import Caution
from perdure.roles.orchestrator.gathering import Gatherer
from perdure.roles.orchestrator.halving import BadContent, Halving
from perdure.roles.orchestrator.housekeeping import Housekeeping, forget_tombstones
from perdure.roles.orchestrator.inspection import Standing, asleep, inspect_all, standing
from perdure.roles.orchestrator.intake import Incoming, Misfit
from perdure.roles.orchestrator.kept import Kept
from perdure.roles.orchestrator.lengths import warn_of_length
from perdure.roles.orchestrator.memory import Memory
from perdure.roles.orchestrator.office import Office
from perdure.roles.orchestrator.position import Position
from perdure.roles.orchestrator.recovery import commands_for, recover, recover_when_stored
from perdure.roles.orchestrator.tail import Tail
from perdure.roles.orchestrator.takeover import ResumePoint
from perdure.roles.orchestrator.telling import Telling
from perdure.roles.orchestrator.tracing import Following
from perdure.roles.orchestrator.writebehind import WriteBehind

__all__ = ["BadContent", "Halving", "Office", "Tenure"]

log = structlog.get_logger("perdure.orchestrator")

SWEEP_SECONDS = 60.0


class Tenure:
    """`begin`, `serve` until it returns or raises, `end`."""

    def __init__(
        self,
        office: Office,
        writer: Writer,
        point: ResumePoint,
        caution: Caution,
        stored_to: int,
        kept: Kept | None = None,
    ) -> None:
        ports, settings = office.ports, office.settings
        self.office = office
        self.position = Position(point.marker)
        self.caution = caution
        self.memory = Memory(ports.store, settings, office.stats, ports.clock.now_us(), office.budget)
        if kept is not None:
            self.memory.inherit(kept.memory)
        self.behind = WriteBehind(office.partition, ports.store, self.memory, settings, office.stats, office.budget)
        self.gatherer = Gatherer(
            office.reader, self.memory, self.position, ports.topics, office.layout.instances, ports.clock,
            office.halving.poison, office.schemas,
        )  # fmt: skip
        self.telling = Telling(office.partition, office.reader, self.position)
        self.following = Following(ports.clock, ports.topics.namespace, office.partition)
        self.marker_offset = point.marker_offset
        self._writer = writer
        self._commit: asyncio.Task[None] | None = None
        self._committing: Batch | None = None
        self._ending = False
        self._stopped = False  # `serve` has returned: nothing is decided that was not given to a commit
        self._deleted_to = 0
        self._swept_at = 0.0
        self._forgetting: asyncio.Task[None] | None = None  # beside the loop: it takes as long as the store likes
        self._recovering: asyncio.Task[None] | None = None  # so does this
        self._tail = Tail(point, self.memory, self.behind, self.following, ports.encode, lambda: self.marker_offset)
        self._housekeeping = Housekeeping(office, lambda: self.behind.stored_to)
        self._at_rest: BatchCommitted | None = None  # the last marker, while nothing is on its way after it
        self.behind.stored_to = stored_to
        self.behind.on_stored = self.gatherer.wake
        self.behind.on_rest = self._rest
        self.behind.squeezed = self.gatherer.wake

    # -- begin and end ----------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Say in the log that this tenure has begun, load what the store lacks, read from where the last one ended."""
        self.office.budget.join(self.behind)
        if self.caution.on:
            log.warning(
                "owners died before their first commit; going on one command at a time",
                partition=self.office.partition, takeovers=self.caution.takeovers, suspect=self.caution.killer or None,
            )  # fmt: skip
        await self._commit_marker()
        self._tail.begin()
        self.memory.load(self.gatherer.wake)
        self.office.reader.seek(self.position.start)
        self.telling.begin()
        office = self.office
        looking = recover_when_stored(office.ports, office.library, office.partition, office.settings.retry_s)
        self._recovering = asyncio.get_running_loop().create_task(looking)
        self._housekeeping.begin()

    def stop(self) -> None:
        """Let `serve` return after the batch in hand."""
        self._ending = True
        self.behind.release()
        self.gatherer.wake()

    async def end(self, *, flush: bool) -> Kept | None:
        """With `flush`, what is committed is given to the store first.

        Returns what is in memory, if it was left in order; otherwise it is forgotten.
        """
        commit, self._commit = self._commit, None
        failed = False
        if commit is not None:
            failed = (await asyncio.gather(commit, return_exceptions=True))[0] is not None
        await self.telling.stop(last=flush)
        for beside in (self._forgetting, self._recovering, *self._housekeeping.tasks):
            if beside is not None:
                beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)
        await self._writer.close()
        self.memory.stop()
        await self.behind.stop(flush=flush and self._tail.is_loaded)
        kept = Kept(self.memory, self.marker_offset, self.office.waiters)
        if flush and self._stopped and not failed and self._tail.is_whole:
            return kept
        if kept.running:
            await self.office.decider.let_go(kept.running)
        return None

    # -- the loop ---------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Gather, decide, commit; until `stop`. Raises what ends the tenure."""
        while not self._ending:
            await self.behind.room()
            await self._look_after()
            most = 1 if self.caution.on else self.office.halving.size
            incoming, misfits = await self.gatherer.gather(most)
            if self._commit is not None and self._commit.done():
                self._commit.result()
                self._commit = None
            if not incoming and not misfits:
                self._pass_questions()
                await self._evict()
                continue
            if self.caution.on:
                await self._name_before_trying(incoming)
            batch = await self._decide(incoming, misfits)
            if self._commit is not None:
                await self._commit
                self._commit = None
            if batch.records or batch.answers:
                self._committing = batch
                self._commit = asyncio.get_running_loop().create_task(self._finish(batch))
                self._commit.add_done_callback(self._commit_done)
            else:  # questions that wait for an answer
                self.telling.decided(batch.decided_to)
            await self._evict()
            if self._commit is not None:
                await self.office.pace.committed()
        self._stopped = True

    def _pass_questions(self) -> None:
        """Nothing is in hand: what was read is in the batch on its way, waits, or is a question that holds no place."""
        if self._committing is None:
            self.telling.decided(self.position.start)
        else:
            self._committing.passed_to = self.position.start

    def _commit_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.gatherer.wake()

    async def _look_after(self) -> None:
        if self.memory.failure is not None:
            raise CommitFailed(f"an instance could not be loaded: {self.memory.failure}") from self.memory.failure
        self.memory.load(self.gatherer.wake)
        if self.memory.waits_for_store:
            self.behind.hurry()
        if rows := self._tail.take_stalled():
            office = self.office
            await recover(office.ports, commands_for(rows, office.ports, office.library, office.partition))
        now = asyncio.get_running_loop().time()
        if now - self._swept_at > SWEEP_SECONDS:
            self._swept_at = now
            self.office.waiters.sweep(now)
            if self._forgetting is None or self._forgetting.done():
                self._forgetting = asyncio.get_running_loop().create_task(forget_tombstones(self.office))

    async def _name_before_trying(self, incoming: list[Incoming]) -> None:
        """In caution: write down whose code is run next, so that a death names its cause."""
        if self._commit is not None:
            await self._commit
            self._commit = None
        for each in incoming:
            self.caution.look(self.position, each.record.offset)
            if self.caution.on and each.instance_id != self.caution.killer and not _is_question(each):
                self.position.waits(each.record.offset)
                await self._commit_marker(each.instance_id)

    # -- deciding ---------------------------------------------------------------------------------------------

    async def _decide(self, incoming: list[Incoming], misfits: list[Misfit]) -> Batch:
        office, memory = self.office, self.memory
        offsets = [each.record.offset for each in incoming]
        batch = Batch(office.layout, office.stats, offsets=offsets, traced=self.following.on)
        groups: dict[str, list[Incoming]] = {}
        questions: list[Incoming] = []
        for each in incoming:
            if _is_question(each):
                questions.append(each)
            else:
                self.position.decided(each.record.offset)
                groups.setdefault(each.instance_id, []).append(each)
        now_us = office.ports.clock.now_us()
        turns: list[tuple[Turn, list[Incoming]]] = []
        for key, group in groups.items():
            live = memory.lives.get(key)
            if live is None:
                self._refuse_unreadable(batch, group)
            else:
                turns.append((self._turn(live, group, now_us), group))
        turns += [(self._turn(live, [], now_us), []) for live in asleep(questions, groups, memory)]
        if turns:
            await office.decider.run([turn for turn, _ in turns])
        try:
            self._compose(batch, turns, misfits)
        except Exception as error:
            office.halving.failed(batch.offsets, error)
            raise BadContent(f"{type(error).__name__}: {error}") from error
        inspect_all(batch, questions, memory, office.waiters, await self._standing(questions))
        for turn, _ in turns:
            for request in office.waiters.take(turn.instance):
                batch.inspected(request, turn.instance.snapshot(office.partition))
        for each in incoming:
            memory.forget_blank(each.instance_id)
        if turns or groups or misfits:
            batch.close(self._marker(takeovers=self.caution.takeovers_while_on))
        batch.decided_to = self.position.start
        return batch

    async def _standing(self, questions: list[Incoming]) -> Standing:
        office = self.office
        if not any(each.command.detail for each in questions):
            return Standing(office.partition)
        store_lag = max(0, self.marker_offset - self.behind.stored_to)
        known = Standing(office.partition, office.settings.owner, store_lag=store_lag)
        return await standing(office.ports.log, office.ports.topics.instances, self.position, known)

    def _refuse_unreadable(self, batch: Batch, group: list[Incoming]) -> None:
        for each in group:
            reason = self.memory.unreadable.get(each.instance_id, "its instance could not be loaded")
            batch.refuse(each, "Internal", reason)

    def _turn(self, live: Live, group: list[Incoming], now_us: int) -> Turn:
        office = self.office
        prefix = f"{office.settings.epoch}.{office.partition}."
        requests = [Request(each.command, prefix + str(each.record.offset)) for each in group]
        turn = Turn(live, requests, now_us, office.library, office.decider.runner)
        if self.caution.killer and self.caution.is_killer(live.instance.instance_id):
            turn.park_first = "the process died whenever this instance's code was run"
        self.following.begins(turn, group)
        return turn

    def _compose(self, batch: Batch, turns: list[tuple[Turn, list[Incoming]]], misfits: list[Misfit]) -> None:
        stats = self.office.stats
        for turn, group in turns:
            weight = batch.add_turn(turn, group[: turn.position])
            self.following.decided(turn, batch)
            if left := group[turn.position :]:  # the instance stalled: what is left needs its history
                for each in left:
                    self.position.waits(each.record.offset)
                self.memory.put_back(turn.instance.instance_id, left)
            stats.turns += 1
            self.memory.keep(turn.live, weight)
            if turn.instance.stalled is not None and turn.events:
                stats.stalled += 1
                log.error(
                    "instance is stalled", instance_id=turn.instance.instance_id, workflow=turn.instance.name,
                    reason=turn.instance.stalled.reason, detail=turn.instance.stalled.detail,
                )  # fmt: skip
            warn_of_length(turn)
        for misfit in misfits:
            batch.records.append(misfit.out)
            stats.forwarded += misfit.forwarded
            stats.dead_letters += not misfit.forwarded
            log.warning("a record is not ours to decide", partition=self.office.partition, reason=misfit.reason)
        self.behind.pin(batch.unstored)

    # -- committing -------------------------------------------------------------------------------------------

    def _marker(self, *, takeovers: int, trying: str = "") -> BatchCommitted:
        settings = self.office.settings
        return self.position.marker(
            epoch=settings.epoch, stored_to=self.behind.stored_to, owner=settings.owner, takeovers=takeovers,
            trying=trying,
        )  # fmt: skip

    async def _commit_marker(self, trying: str = "") -> None:
        takeovers = max(self.caution.takeovers, self.caution.takeovers_while_on)
        batch = Batch(self.office.layout, self.office.stats)
        batch.close(self._marker(takeovers=takeovers, trying=trying))
        await self._send(batch)

    async def _finish(self, batch: Batch) -> None:
        if batch.records:
            await self._send(batch)
        if batch.answers:
            await self._answer(batch.answers)
        self.office.halving.succeeded()
        self._committing = None
        self.telling.decided(max(batch.decided_to, batch.passed_to))
        if batch.marker is not None:
            try:
                await self._let_the_log_go(batch.marker, batch.decided_to)
            except PortError as error:
                partition = self.office.partition
                log.info("the log keeps what could go; later", partition=partition, error=str(error))

    async def _send(self, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._at_rest = None
        try:
            self.marker_offset = await self._writer.commit(batch.records)
        except RecordTooLarge as error:
            self.office.halving.failed(batch.offsets, error)
            raise BadContent(str(error)) from error
        self.office.stats.commits += 1
        self.office.stats.commit_seconds.observe(loop.time() - began)
        self._at_rest = batch.marker
        self.behind.add(batch.unstored, self.marker_offset)
        self.following.committed(batch, self.marker_offset)

    async def _rest(self) -> None:
        """Nothing has been committed for a while: the store learns the marker, should the log's tail expire.

        The end of history is proof of it only if nothing was on its way when it was read.
        """
        marker, ports, partition = self._at_rest, self.office.ports, self.office.partition
        if marker is None or not self._tail.is_whole:
            return
        _, end = await ports.log.bounds(ports.topics.history, partition)
        after = await ports.log.fetch(ports.topics.history, partition, self.marker_offset + 1, 1)
        if self._at_rest is marker and not after:  # nothing of ours is on its way, and nobody else has come
            self.telling.look()
            commands_end = max(Position(marker).start, self.telling.reached)
            resting = Resting(self.marker_offset, ports.encode(marker), end, commands_end)
            await ports.store.rest(partition, self.office.settings.epoch, resting)

    async def _answer(self, answers: list[Outgoing]) -> None:
        """Answers are soft: a lost one is asked for again. One that is too large goes alone, and is lost alone."""
        try:
            await self.office.ports.log.append(answers)
        except RecordTooLarge as error:
            if len(answers) > 1:
                for each in answers:
                    await self._answer([each])
            else:
                log.warning("an answer is too large to be sent", error=str(error))
        except (CommitFailed, CommitUnknown) as error:
            log.info("answers were lost; clients ask again", count=len(answers), error=str(error))

    async def _let_the_log_go(self, marker: BatchCommitted, decided_to: int) -> None:
        """Commands that are decided are done with; history below the stored marker, too, if nobody follows."""
        if decided_to - self._deleted_to < self.office.settings.delete_every:
            return
        self._deleted_to = decided_to
        ports, partition = self.office.ports, self.office.partition
        await ports.log.delete_before(ports.topics.instances, partition, decided_to)
        if not self.office.settings.history_s:  # else by its age: housekeeping
            await ports.log.delete_before(ports.topics.history, partition, marker.stored_to)

    async def _evict(self) -> None:
        running = [live for live in self.memory.evictable() if live.execution is not None]
        if running:
            await self.office.decider.let_go(running)


def _is_question(incoming: Incoming) -> bool:
    return type(incoming.command) is InspectInstance
