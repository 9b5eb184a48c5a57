"""Random client operations over random plans, in stories of one instance id each.

An operation is {"at" (seconds), "client", "verb", "instance", "command_id", …}. What stands beside these:

| verb | more | remarks |
|---|---|---|
| start | workflow, input, delay_s | instance "": the client mints the id, or derives it from the command_id if there is one |
| raise | event, data | |
| pause, resume | | |
| terminate | recursive, output | |
| purge | recursive | |
| rerun | new_instance | a client refuses one whose instance nobody knows |
| wait | until ("started", "completed"), timeout_s (0: for ever) | no command_id |
| state | | no command_id |

A start without instance and command_id cannot be sent again by another client: it would start another instance.
Operations of one scenario are sorted by time. The same command_id may appear more than once: on purpose.
"""

from __future__ import annotations

from tests.simulation.workload.plans import Planner, children, event_names

WORKFLOWS = ("plan", "plan", "plan_b")


def generate(random, *, clients, seconds, size):
    """About `size` operations, sorted by time, in [0, seconds]."""
    stories = Stories(random, clients, seconds)
    while len(stories.ops) < size:
        stories.tell()
    return sorted(stories.ops, key=lambda op: op["at"])


class Stories:
    def __init__(self, random, clients, seconds):
        self.random = random
        self.clients = clients
        self.seconds = seconds
        self.planner = Planner(random)
        self.ops = []
        self.instances = 0
        self.commands = 0
        self.begins_at = 0.0

    def tell(self):
        """One instance id's life, as clients mean it to be."""
        random = self.random
        # Most begin early: the later ones would only be seen beginning.
        self.begins_at = random.uniform(0, self.seconds) * random.uniform(0.3, 1)
        kind = random.choices(
            (
                self._ordinary, self._unnamed, self._contested, self._steered, self._reused, self._delayed, self._unknown,
                self._carried, self._adopted,
            ),
            (26, 7, 8, 24, 14, 7, 3, 7, 6),
        )[0]  # fmt: skip
        kind()

    # -- kinds of stories -------------------------------------------------------------------------------------

    def _ordinary(self):
        instance, start = self._started()
        self._events(instance, start["input"])
        self._looks(instance)

    def _unnamed(self):
        command_id = self._command() if self.random.random() < 0.5 else ""
        self._start("", self.planner.plan(), command_id=command_id)

    def _contested(self):
        """Two starts of one id, or one start twice, close in time."""
        instance, start = self._started()
        again = self.begins_at + self._soon()
        if self.random.random() < 0.5:
            self._op(again, "start", instance, start["command_id"], **_rest(start))
        else:
            self._start(instance, self.planner.plan(), at=again)
        self._events(instance, start["input"])
        self._looks(instance)

    def _steered(self):
        """Lifecycle operations, some while much happens."""
        random = self.random
        instance, start = self._started()
        self._events(instance, start["input"])
        for _ in range(random.randint(1, 4)):
            self._steer(self._among(instance, start["input"]))
        if random.random() < 0.2:
            self._purge(instance, self.begins_at + random.uniform(0, self.seconds / 2))
        self._looks(instance)

    def _reused(self):
        """Started, ended (one way or the other), perhaps purged, started again."""
        random = self.random
        instance, start = self._started()
        self._events(instance, start["input"])
        at = self.begins_at
        for _ in range(random.randint(1, 2)):
            at += random.choice((random.uniform(0, 3), random.uniform(0, self.seconds / 4)))
            if random.random() < 0.6:
                self._terminate(instance, at)
                at += self._soon()
            if random.random() < 0.5:
                self._purge(instance, at)
                at += self._soon()
            plan = start["input"] if random.random() < 0.5 else self.planner.plan()
            command_id = start["command_id"] if random.random() < 0.15 else self._command()
            self._start(instance, plan, at=at, command_id=command_id)
            self._events(instance, plan, since=at)
        self._looks(instance)

    def _delayed(self):
        random = self.random
        delay_s = round(random.choice((0.001, random.uniform(0.1, 5), random.uniform(60, 200))), 3)
        instance, start = self._started(delay_s=delay_s)
        self._events(instance, start["input"])
        if random.random() < 0.5:
            self._steer(instance)
        self._looks(instance)

    def _unknown(self):
        """Of an instance that nobody started."""
        instance = self._name()
        for verb in self.random.sample(("raise", "pause", "terminate", "purge", "state", "rerun"), 2):
            self._any(verb, instance)

    def _carried(self):
        """Events that come while it is paused, before and behind the one that lets a generation end."""
        random = self.random
        plan = self.planner.plan()
        names = [random.choice(("go", "GO", "news", "News")) for _ in range(random.randint(2, 5))]
        waits = [{"do": "event", "name": name, "timeout_s": random.choice((None, 4.0))} for name in names[1:]]
        follower = {**plan, "steps": [*waits, *plan["steps"]][:8]}
        again = {"do": "again", "save_events": random.random() < 0.7, "plan": follower}
        first = {"do": "event", "name": names[0], "timeout_s": None}
        instance, _ = self._started({"label": f"{plan['label']}-", "steps": [*plan["steps"][:1], first, again]})
        pauses = random.random() < 0.7
        if pauses:
            self._any("pause", instance, self.begins_at + self._soon())
        for name in random.sample(names, len(names)):
            self._raise(instance, name, self.begins_at + random.uniform(0, 2))
        if pauses:
            self._any("resume", instance, self.begins_at + random.uniform(0.5, 4))

    def _adopted(self):
        """A child whose id others start, too, while its parent is ended recursively."""
        random = self.random
        child = self.planner.child(1) | {"id": self._name("c")}
        wait = {"do": "event", "name": "never", "timeout_s": random.choice((None, 8.0))}
        child["plan"]["steps"].insert(random.randint(0, 1), wait)
        steps = [self.planner.activity(), child] if random.random() < 0.5 else [child]
        instance, _ = self._started({"label": f"of {child['id']}", "steps": steps})
        at = self.begins_at
        if random.random() < 0.7:
            self._terminate(child["id"], at + self._later())
        for _ in range(random.randint(1, 2)):
            self._start(child["id"], self.planner.plan(depth=1), at=at + self._later())
        at += self._later()
        self._op(at, "terminate", instance, self._command(), recursive=True, output=None)
        if random.random() < 0.6:
            self._op(at + self._later(), "purge", instance, self._command(), recursive=True)

    # -- parts of stories -------------------------------------------------------------------------------------

    def _started(self, plan=None, **more):
        instance = self._name()
        start = self._start(instance, plan or self.planner.plan(), **more)
        if self.random.random() < 0.08:  # an event before the start, or close to it
            self._raise(instance, "go", self.begins_at + self.random.uniform(-0.5, 0.05))
        return instance, start

    def _start(self, instance, plan, *, at=None, command_id=None, delay_s=0):
        return self._op(
            self.begins_at if at is None else at,
            "start",
            instance,
            self._command() if command_id is None else command_id,
            workflow=self.random.choice(WORKFLOWS),
            input=plan,
            delay_s=delay_s,
        )

    def _events(self, instance, plan, since=None):
        """Some of the events that it waits for, some of them twice under one command id, and a few nobody waits for."""
        random = self.random
        since = self.begins_at if since is None else since
        names = event_names(plan) + (["nobody waits"] if random.random() < 0.1 else [])
        for name in names:
            if random.random() < 0.75:
                self._raise(instance, name, since + self._later(), twice=random.random() < 0.1)

    def _steer(self, instance):
        random = self.random
        at = self.begins_at + self._later()
        verb = random.choices(("pause", "terminate", "purge", "resume", "rerun"), (45, 22, 8, 10, 15))[0]
        self._any(verb, instance, at)
        if verb == "pause" and random.random() < 0.7:
            self._any("resume", instance, at + self._later())

    def _looks(self, instance):
        random = self.random
        for _ in range(random.choice((0, 1, 1, 2))):
            self._any(random.choice(("wait", "wait", "state")), instance, self.begins_at + self._later())

    def _among(self, instance, plan):
        """The instance, or sometimes one of its children: by the id it was given or the one the engine derives."""
        step = self.random.choice(children(plan) or [None])
        if step is None or self.random.random() < 0.7:
            return instance
        return step[1]["id"] or f"{instance}:{self.random.randint(1, 4):04x}"

    # -- operations -------------------------------------------------------------------------------------------

    def _any(self, verb, instance, at=None):
        at = self.begins_at + self._soon() if at is None else at
        makers = {"terminate": self._terminate, "purge": self._purge, "rerun": self._rerun, "wait": self._wait}
        if verb in makers:
            makers[verb](instance, at)
        elif verb == "raise":
            self._raise(instance, "go", at)
        else:
            self._op(at, verb, instance, "" if verb == "state" else self._command())
        if self.random.random() < 0.07 and self.ops[-1]["command_id"]:  # once more, perhaps by another client
            self.ops.append({**self.ops[-1], "at": self._time(at + self._later()), "client": self._client()})

    def _raise(self, instance, event, at, *, twice=False):
        command_id = self._command()
        data = self.random.choice((command_id, {"of": command_id}, None))
        self._op(at, "raise", instance, command_id, event=event, data=data)
        if twice:
            self._op(at + self._soon(), "raise", instance, command_id, event=event, data=data)

    def _terminate(self, instance, at):
        output = self.random.choice((None, "stopped"))
        recursive = self.random.random() < 0.7
        self._op(at, "terminate", instance, self._command(), recursive=recursive, output=output)

    def _purge(self, instance, at):
        self._op(at, "purge", instance, self._command(), recursive=self.random.random() < 0.7)

    def _rerun(self, instance, at):
        self._op(at, "rerun", instance, self._command(), new_instance=self._name())

    def _wait(self, instance, at):
        timeout_s = round(self.random.choice((0.5, 5.0, self.seconds, 0)), 3)  # 0: until it is answered
        self._op(at, "wait", instance, "", until=self.random.choice(("started", "completed")), timeout_s=timeout_s)

    def _op(self, at, verb, instance, command_id, **more):
        op = {
            "at": self._time(at), "client": self._client(), "verb": verb, "instance": instance, "command_id": command_id,
            **more,
        }  # fmt: skip
        self.ops.append(op)
        return op

    def _time(self, at):
        return round(min(max(at, 0.0), self.seconds), 3)

    def _client(self):
        return self.random.randrange(self.clients)

    def _name(self, kind="s"):
        self.instances += 1
        return f"{kind}-{self.instances:04}"

    def _command(self):
        self.commands += 1
        return f"k-{self.commands:05}"

    def _soon(self):
        return self.random.choice((0.0, 0.001, 0.01, 0.1, self.random.uniform(0, 1)))

    def _later(self):
        """Around the moment at which something happens, or any time."""
        random = self.random
        return random.choice(
            (self._soon(), random.uniform(0, 3), random.uniform(0, 10), random.uniform(0, self.seconds))
        )


def _rest(op):
    return {name: op[name] for name in ("workflow", "input", "delay_s")}
