"""What will be done, drawn from a seed: a deck of all troubles, shuffled and dealt alone and in pairs, then shuffled again.

A deck rather than dice, so that a run of some length has seen everything once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

MEMBERS = {"orchestrator": 2, "activity-worker": 2, "timer": 1, "gateway": 1}
"""Processes of each role. Two where one takes over from the other; one where nobody can, until it is back."""

USES = {
    "orchestrator": ("kafka", "cassandra"),
    "activity-worker": ("kafka",),
    "timer": ("kafka", "cassandra"),
    "gateway": ("kafka", "cassandra"),
}
BROKERS = ("kafka", "cassandra")
ON_PROCESSES = ("killed", "stopped", "restarted")
ON_LINKS = ("cut", "swallowed", "slow")

HOLD_SECONDS = (2.0, 5.0, 9.0, 14.0)
"""How long what can last lasts: below and above a group's session (6 s) and a transaction's time (5 s)."""

APART_SECONDS = (0.0, 0.0, 1.0, 3.0)
"""How much later the second of two begins: together, or into what the first one has begun."""

DELAY_SECONDS = (0.05, 0.15, 0.4)
BYTES_PER_SECOND = (0, 0, 64_000)
WAYS = ("both", "toward", "back")
PAIR_ONE_IN = 3
NAMES = {"kafka": "Kafka", "cassandra": "Cassandra"}


@dataclass(frozen=True)
class Trouble:
    """`subject`: a role or a broker. `broker`: the other end of its link, if it is a link's trouble; a broker's own link
    is everybody's. `place`: which process of the role.
    """

    subject: str
    what: str
    broker: str = ""
    place: int = 0
    way: str = "both"
    delay_s: float = 0.0
    bytes_per_s: int = 0

    @property
    def lasts(self):
        """Whether it is there for a time; otherwise it is done at once, and what was ended is started again."""
        return bool(self.broker) or self.what == "stopped" or self.subject in BROKERS

    @property
    def of_all(self):
        """It concerns every link to this broker."""
        return self.subject == self.broker

    @property
    def kind(self):
        """What it is counted as."""
        who = NAMES.get(self.subject, self.subject)
        if not self.broker:
            return f"{who} {self.what}"
        how = {"cut": "cut off", "swallowed": "silent link", "slow": "slow link"}[self.what]
        return f"{who}: {how}" if self.of_all else f"{who}: {how}, {NAMES[self.broker]}"

    def __str__(self):
        details = []
        if not self.of_all and MEMBERS.get(self.subject, 1) > 1:
            details.append(f"number {self.place + 1}")
        if self.broker and self.what != "cut":
            details.append({"both": "both ways", "toward": "towards the broker", "back": "from the broker"}[self.way])
        if self.delay_s:
            details.append(f"{self.delay_s * 1000:.0f} ms")
        if self.bytes_per_s:
            details.append(f"{self.bytes_per_s // 1000} kB/s")
        return self.kind + (f" ({', '.join(details)})" if details else "")


@dataclass(frozen=True)
class Step:
    """One trouble, or two, the second `apart_s` after the first. `hold_s`: how long those last, from then on, that can."""

    troubles: tuple[Trouble, ...]
    hold_s: float
    apart_s: float = 0.0

    @property
    def lasts_s(self):
        return self.hold_s if any(each.lasts for each in self.troubles) else 0.0

    def __str__(self):
        lasting = f", for {self.hold_s:g} s" if self.lasts_s else ""
        then = f" + {self.apart_s:g} s later " if self.apart_s else " + "
        return then.join(map(str, self.troubles)) + lasting


def cards():
    """Every trouble there is, once; what chance adds is not in it yet."""
    found = [Trouble(role, what) for role in MEMBERS for what in ON_PROCESSES]
    found += [Trouble(role, what, broker) for role in MEMBERS for broker in USES[role] for what in ON_LINKS]
    found += [Trouble(broker, what) for broker in BROKERS for what in ON_PROCESSES]
    found += [Trouble(broker, what, broker) for broker in BROKERS for what in ON_LINKS]
    return found


def deal(seed, holds=HOLD_SECONDS):
    """Steps without end; the same for the same seed."""
    chance, deck = random.Random(seed), []
    while True:
        if not deck:
            deck = cards()
            chance.shuffle(deck)
        troubles, apart = [_detailed(deck.pop(), chance)], 0.0
        if chance.randrange(PAIR_ONE_IN) == 0:
            place = next((number for number, card in enumerate(deck) if may_meet(troubles[0], card)), None)
            if place is not None:
                troubles.append(_detailed(deck.pop(place), chance))
                apart = chance.choice(APART_SECONDS)
        yield Step(tuple(troubles), chance.choice(holds), apart)


def may_meet(one, other):
    """Two troubles at once: of different subjects, and no two modes of one link."""
    same_links = bool(one.broker) and one.broker == other.broker and (one.of_all or other.of_all)
    return one.subject != other.subject and not same_links


def _detailed(card, chance):
    place = chance.randrange(MEMBERS.get(card.subject, 1))
    if card.what == "swallowed":
        return replace(card, place=place, way=chance.choice(WAYS))
    if card.what == "slow":
        delay, narrow = chance.choice(DELAY_SECONDS), chance.choice(BYTES_PER_SECOND)
        return replace(card, place=place, way=chance.choice(WAYS), delay_s=delay, bytes_per_s=narrow)
    return replace(card, place=place)
