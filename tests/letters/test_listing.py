import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.codec.avro import encode
from perdure.core.commands import StartWorkflow
from perdure.core.limits import LETTERS_SCANNED_MAX
from perdure.letters import LetterFilter
from perdure.ports.log import Record
from perdure.roles.dead_letters import dead_letter
from tests.letters.world import COMMAND, PARTITIONS, TOPICS, stranger


async def listed(w, limit=100, letters=None, **where):
    """Every page, and their sizes."""
    found, sizes, after = [], [], ""
    while True:
        page = await (letters or w.letters).page(LetterFilter(**where), limit, after)
        found += page.letters
        sizes.append(len(page.letters))
        after = page.next
        if not after:
            return found, sizes


async def bury_many(w, count, **more):
    records = [
        Record(TOPICS.instances, number % PARTITIONS, number, f"i{number % 7}".encode(), COMMAND)
        for number in range(count)
    ]
    await w.log.append(
        [dead_letter(TOPICS.dead_letters, PARTITIONS, each, f"reason {each.offset}") for each in records]
    )


async def test_a_list_tells_of_each_what_its_headers_tell(w):
    letter = await w.bury(
        key=b"i1", value=encode(StartWorkflow("order")), partition=2, offset=17, why="no such workflow"
    )
    ((found,), _) = await listed(w)
    assert (found.letter_id, found.reason, found.instance_id, found.kind) == (
        letter,
        "no such workflow",
        "i1",
        "StartWorkflow",
    )
    assert (found.origin.topic, found.origin.partition, found.origin.offset) == ("test.instances", 2, 17)
    assert found.at_us >= 1_700_000_000_000_000
    assert (found.state, found.size_bytes, found.replay_of, found.repeat_of) == (
        "open",
        len(encode(StartWorkflow("order"))),
        "",
        "",
    )


async def test_partitions_are_merged_oldest_first(memory):
    ids = [await memory.bury(partition=number % 3, offset=number) for number in (2, 0, 1, 0, 2, 2, 1)]
    found, _ = await listed(memory)
    assert [each.letter_id for each in found] == ids
    assert [each.at_us for each in found] == sorted(each.at_us for each in found)


async def test_thousands_are_paged_through_once_each(w):
    await bury_many(w, 3_000)
    found, sizes = await listed(w, limit=700)
    assert sizes == [700, 700, 700, 700, 200]
    assert sorted(each.origin.offset for each in found) == list(range(3_000))
    for partition in range(PARTITIONS):
        own = [each.origin.offset for each in found if each.origin.partition == partition]
        assert own == sorted(own)


async def test_a_filter_that_fits_few_ends_a_page_early_with_a_token_that_goes_on(memory):
    await bury_many(memory, LETTERS_SCANNED_MAX + 100)
    found, sizes = await listed(memory, reason=f"REASON {LETTERS_SCANNED_MAX + 99}")
    assert sizes == [0, 1]
    assert found[0].origin.offset == LETTERS_SCANNED_MAX + 99


async def test_filters_hold_together(w):
    await w.bury(key=b"a", why="Schema is unknown")
    other = await w.bury(key=b"b", why="schema is unknown", topic=TOPICS.timers)
    await w.bury(key=b"b", why="refused")
    for where, count in (
        ({"instance_id": "b"}, 2), ({"reason": "SCHEMA"}, 2), ({"origin": "timers"}, 1), ({"origin": "test.timers"}, 1),
        ({"origin": "instances", "instance_id": "b"}, 1), ({"instance_id": "c"}, 0), ({"origin": "history"}, 0),
    ):  # fmt: skip
        assert len((await listed(w, **where))[0]) == count, where
    (found,) = (await listed(w, instance_id="b", reason="schema"))[0]
    assert found.letter_id == other


async def test_states_are_told_apart(w):
    ids = [await w.bury(offset=number) for number in range(4)]
    await w.replay(ids[0], by="ann")
    await w.drop(ids[2], by="bob")
    for letters in (w.letters, w.another()):
        by_state = {}
        for state in ("open", "replayed", "dropped", "all"):
            by_state[state] = [
                (each.letter_id, each.settled_by) for each in (await listed(w, letters=letters, state=state))[0]
            ]
        assert by_state["open"] == [(ids[1], ""), (ids[3], "")]
        assert (by_state["replayed"], by_state["dropped"]) == ([(ids[0], "ann")], [(ids[2], "bob")])
        assert len(by_state["all"]) == 4


async def test_what_another_process_has_settled_is_seen(w):
    ids = [await w.bury(offset=number) for number in range(2)]
    assert len((await listed(w))[0]) == 2
    await w.replay(ids[0], letters=w.another())
    assert [each.letter_id for each in (await listed(w))[0]] == [ids[1]]


async def test_letters_that_retention_has_deleted_are_not_there_and_those_after_them_are(w):
    ids = [await w.bury(offset=number) for number in range(6)]
    await w.replay(ids[0])
    await w.drop(ids[4])
    page = await w.letters.page(LetterFilter(state="all"), 2)
    third = int(ids[3].partition("-")[2])
    await w.log.delete_before(TOPICS.dead_letters, 0, third)
    for letters in (w.letters, w.another()):
        assert [each.letter_id for each in (await listed(w, letters=letters))[0]] == [ids[3], ids[5]]
        following = await letters.page(LetterFilter(state="all"), 9, page.next)
        assert [each.letter_id for each in following.letters] == ids[3:]
        assert await letters.get(ids[0]) is None
        told = await w.replay(ids[1], letters=letters)
        assert told[0].reason == "UnknownLetter"
    await w.log.delete_before(TOPICS.dead_letter_marks, 0, (await w.marks())[-1].offset)
    assert [each.letter_id for each in (await listed(w, letters=w.another()))[0]] == [ids[3], ids[5]]
    assert len(await w.marks()) == 1


async def test_a_second_letter_of_one_origin_says_so(w):
    first = await w.bury(topic=TOPICS.timers, offset=5)
    await w.bury(topic=TOPICS.timers, offset=6)
    second = await w.bury(topic=TOPICS.timers, offset=5)
    found, _ = await listed(w)
    assert {each.letter_id: each.repeat_of for each in found if each.repeat_of} == {second: first}


@pytest.mark.parametrize(
    "after", ["x", "1", "1.2", "1.2.3.4", "1.-2.3", "a.b.c", "1.2." + "9" * 30, "." * 10_000, "1.2.٣"]
)
async def test_a_token_that_is_none_is_refused(memory, after):
    with pytest.raises(ValueError, match="no page"):
        await memory.letters.page(LetterFilter(), 10, after)


@pytest.mark.parametrize(
    "where", [{"state": "lost"}, {"reason": "x" * 1_001}, {"instance_id": "x" * 2_000}, {"origin": "\ud800"}]
)
def test_a_condition_that_nothing_can_fulfil_is_refused(where):
    with pytest.raises(ValueError):
        LetterFilter(**where)


anything = st.binary(max_size=40)
names = st.sampled_from(
    ["perdure-reason", "perdure-origin", "perdure-truncated-bytes", "perdure-subscription", "perdure-replay-of", "x"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(anything, anything, st.lists(st.tuples(names, anything), max_size=6)), max_size=8))
async def test_whatever_a_stranger_writes_there_is_listed_shown_and_dropped(records):
    import json

    from perdure.client.letter_wire import letter_body, letter_from, letter_record_body, letter_record_from
    from tests.conformance.clusters import MemoryCluster
    from tests.letters.world import World

    cluster = MemoryCluster()
    await cluster.open()
    w = World(cluster)
    await w.open()
    ids = [await w.write(stranger(0, key=key, value=value, headers=headers)) for key, value, headers in records]
    found, _ = await listed(w)
    assert [each.letter_id for each in found] == ids
    for each in found:
        assert letter_from(json.loads(json.dumps(letter_body(each)))) == each
        shown = await w.letters.get(each.letter_id)
        again = letter_record_from(json.loads(json.dumps(letter_record_body(shown))))
        assert (again.key, again.value, again.headers) == (shown.key, shown.value, shown.headers)
    await w.replay(*ids) if ids else None
    if ids:
        assert {each.state or each.reason for each in await w.drop(*ids)} <= {"dropped", "LetterSettled"}
    await cluster.close()
