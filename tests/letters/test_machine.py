"""Letters, marks and replays against a model: whatever several replayers, faults and retention do, each goes out once."""

import asyncio
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from perdure.adapters.memory.faults import Fault
from perdure.codec.avro import encode
from perdure.core.commands import StartWorkflow
from perdure.letters import LetterFilter
from tests.conformance.clusters import MemoryCluster
from tests.letters.world import PARTITIONS, TOPICS, World

PROCESSES = 3


class LettersMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.w = World(MemoryCluster())
        self.run(self.w.cluster.open())
        self.run(self.w.open())
        self.processes = [self.w.another() for _ in range(PROCESSES)]
        self.values = {}  # of each letter that was ever written
        self.state = {}  # of those that retention has left
        self.sent_once = set()
        self.requests = 0

    def run(self, work):
        return self.loop.run_until_complete(work)

    def teardown(self):
        self.run(self.w.cluster.close())
        self.loop.close()

    @rule(partition=st.integers(0, PARTITIONS - 1))
    def bury(self, partition):
        value = encode(StartWorkflow(f"w{len(self.values)}"))
        letter = self.run(self.w.bury(value=value, partition=partition, offset=len(self.values)))
        self.values[letter], self.state[letter] = value, "open"

    @precondition(lambda self: self.values)
    @rule(data=st.data(), what=st.sampled_from(("replay", "drop")), at_once=st.integers(1, PROCESSES))
    def settle(self, data, what, at_once):
        ids = data.draw(st.lists(st.sampled_from(sorted(self.values)), min_size=1, max_size=4))

        async def all_at_once():
            asked = []
            for process in self.processes[:at_once]:
                self.requests += 1
                asked.append(process.settle(ids, what, request=f"r{self.requests}"))
            return await asyncio.gather(*asked)

        told = [each for some in self.run(all_at_once()) for each in some]
        done = Counter()
        for each in told:
            known = self.state.get(each.letter_id)
            if each.state:
                done[each.letter_id] += 1
            elif each.reason == "UnknownLetter":
                assert known is None, each
            elif each.reason == "LetterSettled":
                assert known is not None, each
            else:
                assert each.reason == "LetterNotSettled", each
        for letter in done:
            assert self.state[letter] == "open", letter
        self._look(set(ids))

    @rule(fault=st.sampled_from(list(Fault)), count=st.integers(1, 3))
    def fail(self, fault, count):
        for _ in range(count):
            self.w.cluster.broker.fail_next("commit", fault)

    @precondition(lambda self: self.values)
    @rule(data=st.data(), process=st.integers(0, PROCESSES - 1))
    def restart(self, data, process):
        self.processes[process] = self.w.another()

    @precondition(lambda self: self.values)
    @rule(data=st.data())
    def retain(self, data):
        """As retention does: letters first, then their marks."""
        letter = data.draw(st.sampled_from(sorted(self.values)))
        partition, offset = map(int, letter.split("-"))
        self.run(self.w.log.delete_before(TOPICS.dead_letters, partition, offset))
        for each in list(self.state):
            number, place = map(int, each.split("-"))
            if number == partition and place < offset:
                del self.state[each]

    def _look(self, ids):
        """What a settling whose outcome nobody foretells has come to is read from the marks, and must only go one way."""
        for letter in ids & self.state.keys():
            found = self.run(self.w.another().get(letter)).letter.state
            assert self.state[letter] in ("open", found)
            self.state[letter] = found
            if found == "replayed":
                self.sent_once.add(letter)

    @invariant()
    def each_was_sent_as_often_as_it_was_replayed(self):
        sent = Counter(headers["perdure-replay-of"].decode() for _, _, _, headers in self.run(self.w.sent()))
        assert sent == dict.fromkeys(self.sent_once, 1)
        for _, _, value, headers in self.run(self.w.sent()):
            assert value == self.values[headers["perdure-replay-of"].decode()]

    @invariant()
    def every_process_lists_the_same(self):
        for process in self.processes:
            found, after = {}, ""
            while True:
                page = self.run(process.page(LetterFilter(state="all"), 3, after))
                found |= {each.letter_id: each.state for each in page.letters}
                after = page.next
                if not after:
                    break
            assert found == self.state


LettersMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLetters = LettersMachine.TestCase
