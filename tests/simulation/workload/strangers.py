"""What strangers publish: starts and events in each framing, some twice, some to the wrong partition, and garbage.

A message is {"at" (seconds), "framing", "command", "instance", "fields"} and, where it is so: "header_id" (the command_id
stands beside the message), "copies" (seconds after which the same record is published again), "astray" (partitions away from
home), "garbage" (what is wrong with it, see `world/strangers.py`). A garbage message stays at home.
"""

from __future__ import annotations

from tests.simulation.workload.plans import Planner, event_names

FRAMINGS = ("json", "avro", "confluent")
GARBAGE = {
    "json": ("broken", "unknown field", "wrong type", "twice", "no number", "no object", "another charset", "contradicts"),
    "avro": ("cut", "longer", "contradicts", "two headers"),
    "confluent": ("short", "unknown schema", "unfit schema", "cut", "longer", "contradicts"),
}  # fmt: skip


def publications(random, *, seconds, size):
    """About `size` messages, sorted by time."""
    strangers = Strangers(random, seconds)
    while len(strangers.messages) < size:
        strangers.tell()
    return sorted(strangers.messages, key=lambda message: message["at"])


class Strangers:
    def __init__(self, random, seconds):
        self.random = random
        self.seconds = seconds
        self.planner = Planner(random)
        self.messages = []
        self.instances = self.commands = 0

    def tell(self):
        """A start and its events, mostly; some go to ids that clients use."""
        random = self.random
        at = random.uniform(0, self.seconds) * random.uniform(0.2, 1)
        if random.random() < 0.2:
            instance = f"s-{random.randint(1, 20):04}"
        else:
            self.instances += 1
            instance = f"p-{self.instances:04}"
        plan = self.planner.plan(depth=1)
        framing = random.choice(FRAMINGS)  # a producer has one, and sends its messages one after the other
        if random.random() < 0.9:
            self._message(at, framing, "StartWorkflow", instance, name=random.choice(("plan", "plan_b")), input=plan)
        close = random.random() < 0.5  # all of it at once: what is held must not be passed by what comes after it
        for name in [*event_names(plan), *random.choice(((), ("go",), ("go", "go", "news")))]:
            at += random.choice((0.0, 0.001, 0.02)) if close else random.uniform(0, 4)
            other = random.choice(FRAMINGS) if random.random() < 0.4 else framing
            self._message(at, other, "RaiseEvent", instance, name=name, data={"of": self.commands})
        if random.random() < 0.35:
            self._garbage(at)

    def _message(self, at, framing, command, instance, **fields):
        random = self.random
        self.commands += 1
        named, message = f"x-{self.commands:05}", {}
        where = random.random()
        if where < 0.45:
            message["header_id"] = named
        elif where < 0.85:
            fields["command_id"] = named
            if random.random() < 0.2:
                message["header_id"] = named
        if random.random() < 0.25 and where < 0.85:
            message["copies"] = [round(self._soon(), 3) for _ in range(random.randint(1, 2))]
        if random.random() < 0.1:
            message["astray"] = random.randint(1, 3)
        if command == "StartWorkflow" and framing != "confluent" and random.random() < 0.3:
            fields["reuse_id"] = random.choice(("never", "ended"))
        self._add(at, framing, command, instance, fields, **message)

    def _garbage(self, at):
        random = self.random
        framing = random.choice(FRAMINGS)
        self.commands += 1
        fields = {"name": "go", "data": None, "command_id": f"x-{self.commands:05}"}
        what = random.choice(GARBAGE[framing])
        self._add(at + self._soon(), framing, "RaiseEvent", f"p-{random.randint(1, 20):04}", fields, garbage=what)

    def _add(self, at, framing, command, instance, fields, **more):
        at = round(min(max(at, 0.0), self.seconds), 3)
        message = {"at": at, "framing": framing, "command": command, "instance": instance, "fields": fields}
        self.messages.append({**message, **more})

    def _soon(self):
        return self.random.choice((0.0, 0.001, 0.05, 1.0, self.random.uniform(0, 8)))
