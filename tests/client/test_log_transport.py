import asyncio
import dataclasses

import pytest

from perdure.adapters.memory import Fault
from perdure.client.errors import CommandRejected, EngineStopped
from perdure.client.inbox import Inbox
from perdure.codec.avro import encode
from perdure.core.commands import InspectInstance, RaiseEvent, StartWorkflow
from perdure.core.limits import RECORD_BYTES_MAX
from perdure.core.names import partition_of
from perdure.core.replies import Reply
from perdure.ports.errors import CommitFailed, LogClosed, NotAssigned, RecordTooLarge, TopicMissing
from perdure.ports.log import Outgoing
from tests.client.fake_transport import snapshot
from tests.client.fakes import TOPICS, FakeOwner, accept

SOON = 0.02  # a repeat comes at once, as tests go


async def test_a_command_lies_on_its_instances_partition_under_its_id_and_is_answered():
    async with FakeOwner() as owner:
        transport = owner.transport()
        reply = await transport.send("order-7", RaiseEvent("paid", "1"))
        (record,) = owner.records
        assert reply.accepted
        assert reply.correlation == owner.seen[0][1].command_id != ""
        assert (record.key, record.partition) == (b"order-7", partition_of("order-7", 3))
        await transport.close()


async def test_a_rejection_is_returned_with_its_reason():
    async with FakeOwner(lambda *_: Reply("", "", accepted=False, reason="NotRunning", message="ended")) as owner:
        transport = owner.transport()
        reply = await transport.send("i", RaiseEvent("e"))
        assert (reply.accepted, reply.reason, reply.message) == (False, "NotRunning", "ended")
        await transport.close()


async def test_what_is_sent_in_one_tick_goes_out_in_one_append():
    async with FakeOwner() as owner:
        transport = owner.transport()
        await transport.open()
        appends, original = [], owner.client_log.append

        async def append(records):
            appends.append(len(records))
            await original(records)

        owner.client_log.append = append
        await asyncio.gather(*(transport.send(f"i{n}", RaiseEvent("e")) for n in range(50)))
        assert appends == [50]
        await transport.close()


async def test_an_unanswered_request_is_repeated_under_its_command_id_until_answered():
    async with FakeOwner(lambda *_: None) as owner:
        transport = owner.transport(resend_s=SOON)
        asking = asyncio.ensure_future(transport.send("i", RaiseEvent("e", "1", command_id="c-1")))
        await owner.until_seen(3)
        owner.answer = accept
        assert (await asking).accepted
        assert {command.command_id for _, command in owner.seen} == {"c-1"}
        await transport.close()


async def test_a_repeated_start_no_longer_claims_that_its_id_is_new():
    async with FakeOwner(lambda *_: None) as owner:
        transport = owner.transport(resend_s=SOON)
        asking = asyncio.ensure_future(transport.send("i", StartWorkflow("w", minted=True)))
        await owner.until_seen(2)
        owner.answer = accept
        await asking
        assert [command.minted for _, command in owner.seen[:2]] == [True, False]
        await transport.close()


async def test_without_an_answer_in_time_the_error_names_the_command_id():
    async with FakeOwner(lambda *_: None) as owner:
        transport = owner.transport()
        with pytest.raises(TimeoutError, match=r"'i' within 0\.02 s.*command ID c-9"):
            await transport.send("i", RaiseEvent("e", command_id="c-9"), timeout_s=0.02)
        await transport.close()


async def test_two_askers_of_one_command_id_both_get_an_answer():
    async with FakeOwner() as owner:
        transport = owner.transport()
        asked = [transport.send(f"i{n}", RaiseEvent("e", command_id="same")) for n in range(2)]
        assert [reply.accepted for reply in await asyncio.gather(*asked)] == [True, True]
        await transport.close()


async def test_answers_to_others_undecodable_bytes_and_late_answers_disturb_nobody():
    async with FakeOwner() as owner:
        transport = owner.transport()
        await transport.send("i", RaiseEvent("e"))
        token = owner.seen[0][1].reply_to.partition("/")[2]
        late = encode(Reply("x", token, accepted=True))
        noise = [(b"", b"rubbish"), (b"other", late), (token.encode(), late), (token.encode(), b"\xc3\x01rubbish")]
        for partition in range(2):
            await owner.log.append([Outgoing(TOPICS.replies, partition, key, value) for key, value in noise])
        assert (await transport.send("i", RaiseEvent("e"))).accepted
        await transport.close()


async def test_what_the_log_refuses_raises_at_once_and_was_never_seen():
    async with FakeOwner() as owner:
        transport = owner.transport()
        await transport.open()
        owner.broker.fail_next("append", Fault.FAILED)
        with pytest.raises(CommitFailed):
            await transport.send("i", RaiseEvent("lost"))
        assert (await transport.send("i", RaiseEvent("next"))).accepted
        assert [command.name for _, command in owner.seen] == ["next"]
        await transport.close()


@pytest.mark.parametrize("fault", ["UNKNOWN_WRITTEN", "UNKNOWN_NOT_WRITTEN"])
async def test_what_may_have_been_written_is_asked_again(fault):
    async with FakeOwner() as owner:
        transport = owner.transport(resend_s=SOON)
        await transport.open()
        owner.broker.fail_next("append", Fault[fault])
        assert (await transport.send("i", RaiseEvent("e", command_id="c"))).accepted
        await transport.close()


async def test_one_oversized_record_fails_alone():
    async with FakeOwner() as owner:
        transport = owner.transport()
        big = transport.send("i", RaiseEvent("big", "x" * (RECORD_BYTES_MAX + 1)))
        found = await asyncio.gather(
            transport.send("i", RaiseEvent("a")), big, transport.send("i", RaiseEvent("b")), return_exceptions=True
        )
        assert isinstance(found[1], RecordTooLarge)
        assert [command.name for _, command in owner.seen] == ["a", "b"]
        await transport.close()


async def test_a_rebalance_loses_no_answer():
    async with FakeOwner(lambda *_: None) as owner:
        transport = owner.transport(resend_s=SOON)
        asking = asyncio.ensure_future(transport.send("i", RaiseEvent("e")))
        await owner.until_seen(1)
        (group,) = owner.broker.groups._groups
        owner.broker.rebalance(group)
        owner.answer = accept
        assert (await asking).accepted
        await transport.close()


async def test_closing_lets_those_who_wait_go_by_name():
    async with FakeOwner(lambda *_: None) as owner:
        transport = owner.transport()
        asking = asyncio.ensure_future(transport.send("i", RaiseEvent("e")))
        await owner.until_seen(1)
        await transport.close()
        with pytest.raises(EngineStopped):
            await asking
        with pytest.raises(EngineStopped):
            await transport.send("i", RaiseEvent("e"))
        await transport.close()


async def test_a_log_that_ends_fails_the_askers():
    async with FakeOwner(lambda *_: None) as owner:
        transport = owner.transport()
        asking = asyncio.ensure_future(transport.send("i", RaiseEvent("e")))
        await owner.until_seen(1)
        await owner.client_log.close()
        with pytest.raises(LogClosed):
            await transport.send("i", RaiseEvent("e"))
        with pytest.raises(LogClosed):
            await asking
        await transport.close()


async def test_missing_topics_are_told_by_name():
    owner = FakeOwner()
    with pytest.raises(TopicMissing):
        await owner.transport().send("i", RaiseEvent("e"))


async def test_inspecting_is_volatile_and_brings_the_snapshot():
    async with FakeOwner(lambda instance_id, _: Reply("", "", True, snapshot=snapshot(instance_id))) as owner:
        transport = owner.transport()
        sent, original = [], owner.client_log.append

        async def append(records):
            sent.extend(records)
            await original(records)

        owner.client_log.append = append
        assert await transport.inspect("i", detail=True) == snapshot("i")
        assert [record.volatile for record in sent] == [True]
        asked = owner.seen[0][1]
        assert isinstance(asked, InspectInstance)
        assert (asked.until, asked.detail) == ("now", True)
        await transport.close()


async def test_inspecting_an_unknown_instance_gives_none_and_other_refusals_raise():
    answers = {"none": "UnknownInstance", "bad": "Internal"}
    refuse = lambda instance_id, _: Reply("", "", accepted=False, reason=answers[instance_id])  # noqa: E731
    async with FakeOwner(refuse) as owner:
        transport = owner.transport()
        assert await transport.inspect("none") is None
        with pytest.raises(CommandRejected):
            await transport.inspect("bad")
        await transport.close()


@pytest.mark.parametrize(("until", "text"), [("completed", "not completed: 'i'"), ("now", "no answer about 'i'")])
async def test_a_wait_ends_with_a_timeout_error(until, text):
    async with FakeOwner(lambda *_: None) as owner:
        transport = owner.transport()
        with pytest.raises(TimeoutError, match=text):
            await transport.inspect("i", until=until, timeout_s=0.02)
        await transport.close()


async def test_a_repeat_that_the_log_refuses_says_nothing_of_the_first():
    async with FakeOwner(lambda *_: None) as owner:
        transport = owner.transport(resend_s=SOON)
        asking = asyncio.ensure_future(transport.send("i", RaiseEvent("e")))
        await owner.until_seen(1)
        owner.broker.fail_next("append", Fault.FAILED)
        await owner.until_seen(2)
        assert not asking.done()
        owner.answer = accept
        assert (await asking).accepted
        await transport.close()


async def test_an_inbox_begins_where_it_was_opened():
    async with FakeOwner() as owner:
        token, seen = "a" * 32, []
        for name in ("before", "after"):
            if name == "after":
                inbox = Inbox(owner.client_log, TOPICS, token, seen.append, seen.append)
                await inbox.open()
            reply = encode(Reply(name, token, accepted=True))
            await owner.log.append([Outgoing(TOPICS.replies, n, token.encode(), reply) for n in range(2)])
        async with asyncio.timeout(5):
            while not seen:
                await asyncio.sleep(0)
        assert [reply.correlation for reply in seen] == ["after"]
        await inbox.close()


async def test_an_idle_transport_keeps_no_timer():
    async with FakeOwner(lambda *_: None) as owner:
        transport = owner.transport()
        asking = asyncio.ensure_future(transport.send("i", RaiseEvent("e")))
        await owner.until_seen(1)
        timer = transport._requests._timer
        asking.cancel()
        await asyncio.wait({asking})
        assert timer.cancelled()
        assert not transport._requests._open
        await transport.close()


async def test_check_tells_whether_log_and_store_can_be_reached():
    async with FakeOwner() as owner:
        transport = owner.transport()
        await transport.check()
        owner.store.available = False
        with pytest.raises(Exception, match="unavailable"):
            await transport.check()
        await transport.close()


def test_every_client_command_has_room_for_the_address():
    from perdure.client.transport import ClientCommand

    for kind in ClientCommand.__args__:
        assert {"command_id", "reply_to", "requested_by"} <= {field.name for field in dataclasses.fields(kind)}


async def test_a_request_whose_caller_was_impatient_while_the_inbox_was_opened_leaves_a_client_that_hears():
    async with FakeOwner() as owner:
        transport = owner.transport()
        joins, original, away = [], owner.client_log.join, True

        async def join(*given):
            membership = await original(*given)
            joins.append(membership)
            reader = membership.reader

            def not_yet(topic, partition):
                if away:
                    raise NotAssigned("the assignment that brings it is yet to come")
                return reader(topic, partition)

            membership.reader = not_yet
            return membership

        owner.client_log.join = join
        with pytest.raises(TimeoutError):
            await transport.send("i", RaiseEvent("e"), timeout_s=SOON)
        away = False
        assert (await transport.send("i", RaiseEvent("e"), timeout_s=10)).accepted
        assert len(joins) == 1
        await transport.close()
