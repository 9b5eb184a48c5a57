import asyncio
import json

import pytest
import structlog

from perdure.adapters.memory.faults import Fault
from perdure.codec.avro import encode
from perdure.core.commands import CompleteActivity, StartWorkflow
from perdure.core.limits import LETTERS_SETTLED_MAX, NOTE_BYTES_MAX, RECORD_BYTES_MAX
from perdure.core.names import partition_of
from perdure.letters.marks import Mark, mark_record, writer_id
from perdure.ports.errors import Fenced, LogUnavailable, TopicMissing
from perdure.ports.log import Outgoing
from tests.letters.world import COMMAND, PARTITIONS, TOPICS, stranger


def refusal(settlements):
    (one,) = settlements
    assert not one.state
    return one.reason


async def test_a_replay_sends_the_record_to_the_home_of_its_key_without_our_headers_and_marks_the_letter(w):
    headers = [("trace", b"abc"), ("perdure-forwarded", b"2/7")]
    letter = await w.bury(key=b"astray", headers=headers, partition=1, offset=9)
    (told,) = await w.replay(letter, by="ann")
    assert (told.letter_id, told.state, told.reason) == (letter, "replayed", "")
    ((partition, key, value, sent),) = await w.sent()
    assert (partition, key, value) == (partition_of("astray", PARTITIONS), b"astray", COMMAND)
    offset = letter.partition("-")[2]
    assert sent == {
        "trace": b"abc",
        "perdure-replay-of": letter.encode(),
        "perdure-command-id": f"dead-letter/1/{offset}".encode(),
    }
    (mark,) = await w.marks()
    assert (mark.partition, mark.key) == (1, offset.encode())
    assert {name: json.loads(mark.value)[name] for name in ("what", "by", "request")} == {
        "what": "replayed", "by": "ann", "request": "r",
    }  # fmt: skip
    found = await w.letters.get(letter)
    assert (found.letter.state, found.letter.settled_by) == ("replayed", "ann")
    assert found.letter.settled_at_us > 1_700_000_000_000_000


@pytest.mark.parametrize("topic", [TOPICS.timers, TOPICS.activities(), TOPICS.activities("slow")])
async def test_what_came_from_another_role_goes_back_to_its_place_as_it_was(w, topic):
    if topic == TOPICS.activities("slow"):
        await w.log.create_topics([type(await _spec())(topic, PARTITIONS)])
    letter = await w.bury(topic=topic, partition=2, value=b"\xff\x00 no task", headers=[("h", b"1")])
    assert (await w.replay(letter))[0].state == "replayed"
    assert await w.sent(topic) == [(2, b"i1", b"\xff\x00 no task", {"h": b"1", "perdure-replay-of": letter.encode()})]


async def _spec():
    from perdure.ports.log import TopicSpec

    return TopicSpec("x", 1)


COMMAND_IDS = {
    "its own": (encode(StartWorkflow("order", command_id="mine")), (), None),
    "none": (encode(StartWorkflow("order")), (), b"dead-letter/0/"),
    "in a header": (COMMAND, [("perdure-command-id", b"theirs")], b"theirs"),
    "none, in JSON": (
        b'{"command": "StartWorkflow"}',
        [("content-type", b"application/json; charset=utf-8")],
        b"dead-",
    ),
    "its own, in JSON": (b'{"command_id": "mine"}', [("content-type", b"application/json")], None),
    "JSON that is none": (b'{"command_id": ', [("content-type", b"application/json")], None),
    "JSON too deep": (b"[" * 200_000, [("content-type", b"application/json")], None),
    "bytes that nobody can read": (b"\xc3\x01 nobody's schema", (), None),
    "a registry's": (b"\x00\x00\x00\x00\x07abc", (), None),
    "a command that needs none": (encode(CompleteActivity("0.0.0", 0, 1, 1, "1")), (), None),
}


@pytest.mark.parametrize("kind", COMMAND_IDS)
async def test_only_a_command_that_is_known_to_have_no_command_id_is_given_one(memory, kind):
    value, headers, expected = COMMAND_IDS[kind]
    letter = await memory.bury(value=value, headers=headers)
    await memory.replay(letter)
    ((_, _, sent_value, sent),) = await memory.sent()
    assert sent_value == value
    found = sent.get("perdure-command-id")
    assert found is None if expected is None else found.startswith(expected)


async def test_a_letter_is_replayed_once_and_the_second_is_told_who_did_it(w):
    letter = await w.bury()
    await w.replay(letter, request="first", by="ann")
    for again in (
        await w.replay(letter, request="second"),
        await w.drop(letter),
        await w.another().settle([letter], "replay", request="third"),
    ):
        assert refusal(again) == "LetterSettled"
        assert "replayed already by ann" in again[0].message
    assert len(await w.sent()) == len(await w.marks()) == 1


async def test_a_repeated_request_gets_the_first_answer_and_has_no_second_effect(w):
    letter = await w.bury()
    for letters in (w.letters, w.letters, w.another()):
        (told,) = await w.replay(letter, request="same", letters=letters)
        assert told.state == "replayed"
    assert len(await w.sent()) == len(await w.marks()) == 1
    assert refusal(await w.drop(letter, request="same")) == "LetterSettled"


async def test_a_dropped_letter_is_marked_and_never_sent(w):
    letter = await w.bury()
    assert (await w.drop(letter, by="bob"))[0].state == "dropped"
    assert refusal(await w.replay(letter)) == "LetterSettled"
    assert not await w.sent()
    assert len(await w.marks()) == 1


async def test_several_are_settled_in_their_order_and_each_has_its_own_answer(w):
    ids = [await w.bury(value=encode(StartWorkflow(f"w{number}")), offset=number) for number in range(4)]
    await w.drop(ids[1])
    told = await w.replay(ids[3], ids[1], "2-999", "9-0", ids[0], ids[3], ids[2])
    assert [each.letter_id for each in told] == [ids[3], ids[1], "2-999", "9-0", ids[0], ids[3], ids[2]]
    assert [each.state or each.reason for each in told] == [
        "replayed", "LetterSettled", "UnknownLetter", "UnknownLetter", "replayed", "replayed", "replayed",
    ]  # fmt: skip
    values = [encode(StartWorkflow(f"w{number}")) for number in (3, 0, 2)]
    assert [value for _, _, value, _ in await w.sent()] == values


async def test_a_letter_that_was_cut_cannot_be_replayed_but_can_be_dropped(w):
    letter = await w.bury(value=b"x" * (RECORD_BYTES_MAX - 100))
    told = await w.replay(letter)
    assert refusal(told) == "NotReplayable"
    assert "was cut from 4,194," in told[0].message
    assert (await w.drop(letter))[0].state == "dropped"
    assert not await w.sent()


REFUSED = {
    "of a subscription": (stranger(0, headers=[("perdure-reason", b"x"), ("perdure-origin", b"orders/0/1"), ("perdure-subscription", b"shop")]), "test.subscriptions"),
    "of another topic": (stranger(0, headers=[("perdure-reason", b"x"), ("perdure-origin", b"test.history/0/1")]), "test.history"),
    "that looks like a queue": (stranger(0, headers=[("perdure-reason", b"x"), ("perdure-origin", b"test.activitiesx/0/1")]), "no replay writes"),
    "of a queue that is gone": (stranger(0, headers=[("perdure-reason", b"x"), ("perdure-origin", b"test.activities.gone/0/1")]), "bootstrap"),
    "without an origin": (stranger(0, key=b"i1", value=COMMAND), "where it came from"),
    "with an origin that is none": (stranger(0, headers=[("perdure-reason", b"x"), ("perdure-origin", b"test.instances/-1/1")]), "where it came from"),
    "of a partition that is gone": (stranger(0, headers=[("perdure-reason", b"x"), ("perdure-origin", b"test.timers/7/1")]), "which has 3 today"),
    "with a key that is no id": (stranger(0, key=b"\xff", headers=[("perdure-reason", b"x"), ("perdure-origin", b"test.instances/0/1")]), "not UTF-8"),
    "that says it was cut": (stranger(0, headers=[("perdure-reason", b"x"), ("perdure-origin", b"test.instances/0/1"), ("perdure-truncated-bytes", b"much")]), "cut"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_letter_is_not_replayed(w, kind):
    record, word = REFUSED[kind]
    letter = await w.write(record)
    told = await w.replay(letter)
    assert refusal(told) == "NotReplayable"
    assert word in told[0].message
    assert not await w.marks()
    assert (await w.drop(letter))[0].state == "dropped"


async def test_headers_of_our_names_that_a_stranger_gave_his_record_do_not_speak_for_us(w):
    forged = [
        ("perdure-reason", b"mine"),
        ("perdure-origin", b"test.history/0/0"),
        ("perdure-truncated-bytes", b"5"),
        ("x", b"y"),
    ]
    letter = await w.bury(headers=forged, why="the real one")
    found = (await w.letters.get(letter)).letter
    assert (found.reason, found.origin.topic, found.truncated_bytes) == ("the real one", "test.instances", 0)
    await w.replay(letter)
    ((_, _, _, headers),) = await w.sent()
    assert headers.keys() == {"x", "perdure-replay-of", "perdure-command-id"}


async def test_a_replayed_record_that_fails_again_tells_of_which_letter_it_is_the_replay(w):
    first = await w.bury()
    await w.replay(first)
    (again,) = await w.all_of(TOPICS.instances)
    second = await w.bury(
        key=again.key, value=again.value, headers=again.headers, partition=again.partition, offset=again.offset
    )
    assert (await w.letters.get(second)).letter.replay_of == first
    await w.replay(second)
    last = (await w.sent())[-1]
    assert last[3]["perdure-replay-of"] == second.encode()
    assert last[3]["perdure-command-id"] == f"dead-letter/{first.replace('-', '/')}".encode()


@pytest.mark.parametrize("at_once", [2, 5])
async def test_of_several_replayers_at_once_one_sends(w, at_once):
    ids = [await w.bury(offset=number) for number in range(6)]
    several = [w.another() for _ in range(at_once)]
    told = await asyncio.gather(
        *(w.replay(*ids, request=f"r{number}", letters=each) for number, each in enumerate(several))
    )
    assert {each.reason for some in told for each in some} <= {"", "LetterSettled", "LetterNotSettled"}
    await w.replay(*ids, request="last")
    assert len(await w.sent()) == len(await w.marks()) == len(ids)
    done = [each.letter_id for some in told for each in some if each.state]
    assert len(done) == len(set(done))


@pytest.mark.parametrize("fault", Fault)
async def test_a_commit_that_goes_wrong_sends_once(memory, fault):
    letter = await memory.bury()
    memory.cluster.broker.fail_next("commit", fault)
    (told,) = await memory.replay(letter)
    assert told.state == "replayed"
    assert len(await memory.sent()) == len(await memory.marks()) == 1


async def test_a_letter_whose_commits_keep_failing_is_open_and_can_be_asked_for_again(memory):
    letter = await memory.bury()
    for _ in range(3):
        memory.cluster.broker.fail_next("commit", Fault.FAILED)
    assert refusal(await memory.replay(letter)) == "LetterNotSettled"
    assert (await memory.letters.get(letter)).letter.state == "open"
    assert (await memory.replay(letter))[0].state == "replayed"
    assert len(await memory.sent()) == 1


class Dying(Exception):
    pass


@pytest.mark.parametrize("moment", ["open_writer", "before the commit", "after the commit"])
async def test_whoever_dies_in_the_middle_leaves_a_letter_that_is_replayed_once(w, moment):
    letter = await w.bury()
    dying = w.another()
    log = dying._log
    opened = log.open_writer

    async def open_writer(name):
        writer = await opened(name)
        if moment == "open_writer":
            raise Dying
        commit = writer.commit

        async def committing(records):
            if moment == "after the commit":
                await commit(records)
            raise Dying

        return type("Dying", (), {"commit": staticmethod(committing), "close": staticmethod(writer.close)})()

    log.open_writer = open_writer
    with pytest.raises(Dying):
        await w.replay(letter, request="first", letters=dying)
    again = await w.replay(letter, request="second")
    assert [each.state or each.reason for each in again] == [
        "LetterSettled" if moment == "after the commit" else "replayed"
    ]
    assert len(await w.sent()) == len(await w.marks()) == 1


async def test_who_was_fenced_between_looking_and_committing_sends_nothing(w):
    """What a hung replayer had in hand is void once another one has opened the partition."""
    letter = await w.bury()
    hung = await w.cluster.client().open_writer(writer_id(TOPICS, 0))
    await w.replay(letter)
    records = [Outgoing(TOPICS.instances, 0, b"i1", COMMAND), mark_record(TOPICS, 0, 0, Mark("replayed"))]
    with pytest.raises(Fenced):
        await hung.commit(records)
    assert len(await w.sent()) == 1


async def test_a_mark_that_this_release_cannot_read_counts_and_one_that_names_no_letter_does_not(w):
    letter = await w.bury()
    offset = letter.partition("-")[2].encode()
    garbage = [(b"x", b"{}"), (b"", b""), (b"9" * 30, b"{}"), (b"\xff", b"{}")]
    await w.log.append([Outgoing(TOPICS.dead_letter_marks, 0, key, value) for key, value in garbage])
    assert (await w.letters.get(letter)).letter.state == "open"
    await w.log.append([Outgoing(TOPICS.dead_letter_marks, 0, offset, b"\xff no JSON")])
    told = await w.replay(letter)
    assert refusal(told) == "LetterSettled"
    assert "cannot read" in told[0].message


async def test_a_namespace_without_the_topic_of_marks_can_be_read_and_says_what_to_do(memory):
    letter = await memory.bury()
    del memory.cluster.broker._topics[TOPICS.dead_letter_marks]
    letters = memory.another()
    assert (await letters.get(letter)).letter.state == "open"
    with pytest.raises(TopicMissing, match=r"test\.dead-letters\.marks.*bootstrap"):
        await memory.replay(letter, letters=letters)
    assert not await memory.sent()


async def test_brokers_that_do_not_answer_end_a_request_at_once(memory):
    letter = await memory.bury()

    async def open_writer(name):
        raise LogUnavailable("no broker answers")

    memory.letters._log.open_writer = open_writer
    with pytest.raises(LogUnavailable):
        await memory.replay(letter)


@pytest.mark.parametrize(
    "bad", ["", "1", "1-", "-1", "01-2", "1-02", "a-b", "1-2-3", "1-2\n", "١-٢", "1-" + "9" * 19, None, 7]
)
async def test_what_is_no_letters_id_is_refused_before_anything_happens(memory, bad):
    letter = await memory.bury()
    with pytest.raises(ValueError, match="no dead letter's ID"):
        await memory.replay(letter, bad)
    with pytest.raises(ValueError, match="no dead letter's ID"):
        await memory.letters.get(bad)
    assert not await memory.marks()


async def test_a_request_is_bounded(memory):
    for ids in ([], ["0-0"] * (LETTERS_SETTLED_MAX + 1)):
        with pytest.raises(ValueError, match="1 to 100"):
            await memory.replay(*ids)
    with pytest.raises(ValueError, match="requested_by"):
        await memory.replay("0-0", by="x" * (NOTE_BYTES_MAX + 1))


async def test_no_log_line_tells_what_a_letter_holds(w):
    letter = await w.bury(
        key=b"secret-key", value=b"secret-value", headers=[("h", b"secret-header")], why="secret-reason"
    )
    with structlog.testing.capture_logs() as lines:
        await w.replay(letter, by="ann")
        await w.drop(letter)
        await w.letters.get(letter)
    assert lines
    assert "secret" not in repr(lines)
