"""What is drawn: the same for a seed, everything once a deck, and no two troubles at once that would undo one another."""

from __future__ import annotations

from itertools import islice

from tests.chaos.deck import APART_SECONDS, BROKERS, HOLD_SECONDS, MEMBERS, USES, cards, deal, may_meet

SEEDS = range(40)


def dealt(seed, count=60):
    return list(islice(deal(seed), count))


def test_a_seed_gives_the_same_steps_and_another_one_others():
    assert dealt(7) == dealt(7)
    assert dealt(7) != dealt(8)


def test_a_deck_has_every_trouble_of_every_process_link_and_broker_once():
    deck = cards()
    assert len(deck) == len(set(deck))
    kinds = {(card.subject, card.broker, card.what) for card in deck}
    on_processes = {(who, "", what) for who in (*MEMBERS, *BROKERS) for what in ("killed", "stopped", "restarted")}
    links = [(role, broker) for role in MEMBERS for broker in USES[role]] + [(broker, broker) for broker in BROKERS]
    assert kinds == on_processes | {(*link, what) for link in links for what in ("cut", "swallowed", "slow")}


def test_all_of_a_deck_is_dealt_before_any_of_it_comes_again():
    size = len(cards())
    for seed in SEEDS:
        kinds, again = set(), 0
        for step in deal(seed):
            new = {trouble.kind for trouble in step.troubles}
            again += len(kinds & new)
            kinds |= new
            if len(kinds) == size:
                break
        assert again == 0


def test_pairs_come_and_are_of_two_subjects_and_never_two_modes_of_one_link():
    pairs = 0
    for seed in SEEDS:
        for step in dealt(seed):
            if len(step.troubles) == 2:
                one, other = step.troubles
                assert one.subject != other.subject
                assert not (one.broker and one.broker == other.broker and (one.of_all or other.of_all))
                assert may_meet(one, other) and may_meet(other, one)
                pairs += 1
    assert len(SEEDS) * 60 / 5 < pairs < len(SEEDS) * 60 / 2


def test_chance_chooses_process_way_delay_width_and_how_long():
    steps = [step for seed in SEEDS for step in dealt(seed)]
    troubles = [trouble for step in steps for trouble in step.troubles]
    assert {step.hold_s for step in steps} == set(HOLD_SECONDS)
    assert {step.apart_s for step in steps if len(step.troubles) == 2} == set(APART_SECONDS)
    assert {each.place for each in troubles if each.subject == "orchestrator"} == {0, 1}
    assert {each.place for each in troubles if each.subject == "gateway"} == {0}
    for what in ("swallowed", "slow"):
        assert {each.way for each in troubles if each.what == what} == {"both", "toward", "back"}
    assert all(each.delay_s > 0 for each in troubles if each.what == "slow")
    assert {each.bytes_per_s for each in troubles if each.what == "slow"} == {0, 64_000}
    assert not any(each.delay_s or each.bytes_per_s for each in troubles if each.what != "slow")


def test_what_is_killed_or_restarted_takes_no_time_of_its_own_but_a_broker_is_away_for_a_while():
    alone = {step.troubles[0] for seed in SEEDS for step in dealt(seed) if len(step.troubles) == 1 and not step.lasts_s}
    assert {each.what for each in alone} == {"killed", "restarted"}
    assert {each.subject for each in alone} == set(MEMBERS)


def test_a_step_says_what_it_is():
    said = {str(trouble) for seed in SEEDS for step in dealt(seed) for trouble in step.troubles}
    assert {"orchestrator killed (number 2)", "timer killed", "Kafka killed", "gateway: cut off, Cassandra"} <= said
    assert "Kafka: slow link (both ways, 150 ms, 64 kB/s)" in said
    steps = {str(step) for seed in SEEDS for step in dealt(seed)}
    assert any(" + 3 s later " in each and each.endswith(", for 14 s") for each in steps)
    assert "timer killed" in steps  # nothing lasts
    assert "activity-worker: silent link, Kafka (number 1, from the broker)" in said
