"""A stranger's records in the topic `history` do not keep a partition from being taken over."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.codec.avro import decode, encode
from perdure.codec.schemas import MAGIC
from perdure.core.commands import RaiseEvent
from perdure.core.events import BatchCommitted, EventRaised
from perdure.ports.log import Outgoing
from perdure.roles.orchestrator.takeover import ResumePointMissing
from tests.codec.shapes import any_record
from tests.hostile.strangers import any_headers, any_key, any_value_bytes, few
from tests.roles.orchestrator.world import Node, World, run_virtually, until


class Answers:
    """Sees replies only: what is in the log is not all ours here."""

    def __init__(self, world):
        self.broker, self.topic = world.broker, world.topics.replies

    def look(self):
        self.replies = {}
        for write in self.broker.writes:
            found = [decode(record.value) for record in write.of(self.topic)]
            self.replies |= {reply.correlation: reply for reply in found}
        return self


def is_no_marker(value):
    return value[:10] != MARKER and value[:2] != MAGIC


MARKER = encode(BatchCommitted(0, 0))[:10]
no_markers = any_record().filter(lambda record: type(record) is not BatchCommitted).map(encode)


torn = no_markers.map(lambda value: value[:-1])


@few
@given(st.data())
def test_any_records_in_historys_tail_stop_no_takeover_and_no_other_instance(data):
    async def day():
        async with World() as world:
            first = await world.node()
            await world.start("collector", 2, "good")
            await world.start("collector", 2, "victim")
            await until(lambda: world.instance("good").run and world.instance("victim").run)
            world.store_available = False  # what is committed now lies in the log's tail alone
            await world.send("good", RaiseEvent("e", "1"))
            await world.decided()
            strange = []
            for _ in range(data.draw(st.integers(1, 8))):
                value = data.draw(st.binary(max_size=40) | no_markers | any_value_bytes().filter(is_no_marker) | torn)
                key = data.draw(any_key(b"victim"))
                if value[:2] == MAGIC and not key:
                    continue  # that may be a torn marker: see below
                strange.append(Outgoing(world.topics.history, 0, key, value, data.draw(any_headers())))
            await world.log.append(strange)
            first.crash()
            world.nodes.remove(first)
            world.store_available = True
            world.sight, world.watch_store = Answers(world), lambda *_: None
            second = await world.node()
            assert (await world.ask("good", RaiseEvent("e", "2"))).accepted
            ended = await world.inspect("good", "completed")
            assert (ended.snapshot.status, ended.snapshot.output) == ("COMPLETED", "[1,2]")
            assert await world.inspect("victim")  # it may be refused, by name; it is answered
            await until(lambda: second.stats.store_failures == 0 and second.store.appends)  # and what can be stored is
            assert second.service.failure is None

    run_virtually(day())


@pytest.mark.parametrize("torn", [True, False])
def test_what_may_be_a_marker_and_cannot_be_read_is_named_and_not_passed_over(torn):
    async def day():
        async with World() as world:
            first = await world.node()
            first.crash()
            world.nodes.remove(first)
            value = encode(BatchCommitted(0, 7))[:-1] if torn else MAGIC + b"\x07" * 30  # or of a newer version
            await world.log.append([Outgoing(world.topics.history, 0, b"", value)])
            second = Node(world, "second")
            with pytest.raises(ResumePointMissing, match="may be a marker"):
                await second.start()
            await asyncio.gather(*second.service._tasks.values(), return_exceptions=True)

    run_virtually(day())


@pytest.mark.parametrize("lost", [False, True])
def test_an_instance_whose_tail_has_a_torn_or_missing_event_is_refused_by_name_alone(lost):
    async def day():
        async with World() as world:
            first = await world.node()
            await world.start("collector", 2, "good")
            await world.start("collector", 3, "torn")
            await until(lambda: world.instance("torn").run)
            world.store_available = False
            run = world.instance("torn").run
            first.crash()
            world.nodes.remove(first)
            value = encode(EventRaised(run, 0, 2, 1, "e", "1"))
            value = encode(EventRaised(run, 0, 9, 1, "e", "1")) if lost else value[:-1]
            await world.log.append([Outgoing(world.topics.history, 0, b"torn", value)])
            world.store_available = True
            world.sight, world.watch_store = Answers(world), lambda *_: None
            second = await world.node()
            reply = await world.ask("torn", RaiseEvent("e", "1"))
            assert reply.reason == "Internal"
            assert ("event 9" if lost else "cannot be read") in reply.message
            assert (await world.ask("good", RaiseEvent("e", "1"))).accepted
            assert second.service.failure is None

    run_virtually(day())
