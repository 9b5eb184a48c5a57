"""Random plans: what one generation of a workflow does, as plain JSON values.

A plan is the input of the workflows of `programs.py`: {"label", "steps"}. Its output is the label and a result per
step. Each result is a function of the plan and of what history says, so that a model can tell it beforehand.

A step is a dict with "do". The fields beside it, and its result:

| do | fields | result |
|---|---|---|
| activity, changed | name, value, seconds, failures, fatal, retry, timeout_s | ["ok", v] or ["failed", error type] |
| child | workflow, plan, id, retry | ["ok", output] or ["failed", error type] |
| timer | seconds | ["timer"] |
| event | name, timeout_s | ["event", data] or ["timeout"] |
| fan | branches: activity, child, timer | ["all", [v, output or None, …]] or ["failed", error type] |
| race | branches: activity, child, timer, event | [index of the winner, its result] |
| status | value | None |
| saga | moves: [{account, amount}], fail_at | ["moved"] or ["undone", error type] (or ["broken", …]: see programs) |
| again | save_events, plan | (the next generation's affair) |
| fail | message | (the workflow fails) |
"""

from __future__ import annotations

MOVE_RETRY = {"attempts": 8, "first_s": 0.1, "backoff": 2.0}
"""A move is idempotent by its key: it is tried again whatever happens, but for a refusal."""

ACCOUNTS = 6
DEPTH_MAX = 2
GENERATIONS_MAX = 3
STEPS_MAX = 8
SECONDS_MAX = 900
SHARED_CHILDREN = ("c-one", "c-two")
SHARED_NAMES = ("go", "news")  # of events that several waits of a plan share


def worked(value):
    """The result of an activity that was given this value."""
    return value * 2 + 1


def work_input(step):
    """What the activity of an `activity` or `changed` step is given."""
    return {name: step[name] for name in ("value", "seconds", "failures", "fatal")}


def move_inputs(step):
    """What the activities of a saga are given, as long as nobody refuses."""
    return [{**move, "refused": place == step["fail_at"]} for place, move in enumerate(step["moves"])]


def undo_input(move):
    return {"account": move["account"], "amount": -move["amount"], "refused": False}


class Planner:
    """Makes plans. `number` keeps names and labels apart over all plans of one scenario."""

    def __init__(self, random):
        self.random = random
        self.number = 0

    def plan(self, depth=0, generation=1):
        """A plan that takes no longer than a world's patience, given its events at once."""
        while True:
            made = self._plan(depth, generation)
            if longest_s(made) <= SECONDS_MAX:
                return made

    def _plan(self, depth, generation):
        random = self.random
        label = f"p{self._next()}"
        if generation < GENERATIONS_MAX and random.random() < 0.07:
            return self._relay(label, depth, generation)
        most = STEPS_MAX if depth == 0 else 4
        steps = [self._step(depth) for _ in range(min(random.randint(1, most), random.randint(1, most)))]
        end = random.random()
        if end < 0.18 and generation < GENERATIONS_MAX:
            again = {"do": "again", "save_events": random.random() < 0.6, "plan": self.plan(depth, generation + 1)}
            steps.append(again)
        elif end > 0.93:
            steps.append({"do": "fail", "message": f"{label} was to fail"})
        return {"label": label, "steps": steps}

    def _relay(self, label, depth, generation):
        """What an earlier generation left running ends while the next one waits for a step of the same number."""
        slow = {**self.activity(), "name": "work", "seconds": round(self.random.uniform(0.5, 3), 3), "failures": 0}
        left = [slow] if self.random.random() < 0.6 or depth >= DEPTH_MAX else [self.child(depth)]
        first = {"do": "race", "branches": [*left, {"do": "timer", "seconds": 0.05}]}
        steps = [
            {**slow, "value": self.random.randint(-99, 99)},
            *(self._step(depth) for _ in range(self.random.randint(0, 3))),
        ]
        if generation + 1 < GENERATIONS_MAX and self.random.random() < 0.3:
            steps.append({"do": "again", "save_events": True, "plan": self.plan(depth, generation + 2)})
        follower = {"label": f"{label}+", "steps": steps}
        again = {"do": "again", "save_events": self.random.random() < 0.6, "plan": follower}
        return {"label": label, "steps": [first, again]}

    def _next(self):
        self.number += 1
        return self.number

    def _step(self, depth):
        kinds = {
            self.activity: 28, self.fan: 12, self.race: 11, self.timer: 11, self.event: 13, self.status: 7, self.saga: 8,
            self.changed: 9,
        }  # fmt: skip
        if depth < DEPTH_MAX:
            kinds[lambda: self.child(depth)] = 13
        made = self.random.choices(list(kinds), list(kinds.values()))[0]
        return made(depth) if made in (self.fan, self.race) else made()

    # -- steps ----------------------------------------------------------------------------------------------

    def activity(self):
        random = self.random
        plainly = random.random() < 0.15
        seconds = 0 if plainly else self._seconds_of_work()
        # A time-out beside nothing, beside short work, and rarely one that short work does not meet.
        timeout_s = 0 if random.random() < 0.7 else random.choice((round(seconds + 20, 3), 10.0, 0.5, 90.0))
        failures = random.choices((0, 1, 2, 5), (78, 12, 7, 3))[0]
        return {
            "do": "activity", "name": "work_plainly" if plainly else "work", "value": random.randint(-99, 99),
            "seconds": seconds, "failures": failures, "fatal": random.random() < 0.04,
            "retry": self._retry(0.75 if failures else 0.4), "timeout_s": timeout_s,
        }  # fmt: skip

    def changed(self):
        return {**self.activity(), "do": "changed", "name": "work"}

    def timer(self):
        return {"do": "timer", "seconds": self._seconds_of_waiting()}

    def event(self, name=None):
        random = self.random
        if name is None:
            name = random.choice(SHARED_NAMES)
            name = "".join(random.choice((letter, letter.upper())) for letter in name)
        timeout_s = None if random.random() < 0.5 else self._seconds_of_waiting()
        return {"do": "event", "name": name, "timeout_s": timeout_s}

    def child(self, depth):
        random = self.random
        step = {
            "do": "child", "workflow": random.choice(("plan", "plan_b")), "plan": self.plan(depth + 1),
            "id": self._child_id(), "retry": self._retry(0.3),
        }  # fmt: skip
        if _longest_step_s(step) > SECONDS_MAX / 2:
            step["retry"] = None
        return step

    def _child_id(self):
        """None: the engine derives one. A few ids are chosen again and again: who has one by then is a matter of time."""
        random = self.random
        if random.random() >= 0.4:
            return None
        return random.choice(SHARED_CHILDREN) if random.random() < 0.25 else f"c-{self._next():04}"

    def fan(self, depth):
        random = self.random
        kinds = {self.activity: 6, self.timer: 2}
        if depth < DEPTH_MAX:
            kinds[lambda: self.child(depth)] = 3
        chosen = random.choices(list(kinds), list(kinds.values()), k=random.randint(2, 4))
        return {"do": "fan", "branches": [make() for make in chosen]}

    def race(self, depth):
        random = self.random
        kinds = {self.activity: 4, self.timer: 4, lambda: self.event(f"only-{self._next()}"): 4}
        if depth < DEPTH_MAX:
            kinds[lambda: self.child(depth)] = 2
        chosen = random.choices(list(kinds), list(kinds.values()), k=random.randint(2, 3))
        return {"do": "race", "branches": [make() for make in chosen]}

    def status(self):
        return {"do": "status", "value": self.random.choice((f"step {self._next()}", {"at": self._next()}, None, 7))}

    def saga(self):
        random = self.random
        amounts = [random.randint(1, 50) for _ in range(random.randint(1, 3))]
        amounts.append(-sum(amounts))
        moves = [{"account": f"a{random.randrange(ACCOUNTS)}", "amount": amount} for amount in amounts]
        fail_at = random.randrange(len(moves)) if random.random() < 0.4 else None
        return {"do": "saga", "moves": moves, "fail_at": fail_at}

    # -- numbers --------------------------------------------------------------------------------------------

    def _retry(self, chance):
        random = self.random
        if random.random() >= chance:
            return None
        first_s = random.choice((0.0, 0.05, 0.5, 2.0))
        return {"attempts": random.randint(2, 4), "first_s": first_s, "backoff": random.choice((1.0, 2.0))}

    def _seconds_of_work(self):
        random = self.random
        drawn = random.random()
        if drawn < 0.25:
            return 0
        return round(random.uniform(20, 50) if drawn > 0.97 else random.uniform(0.001, 3), 3)

    def _seconds_of_waiting(self):
        random = self.random
        drawn = random.random()
        if drawn < 0.08:
            return 0
        if drawn > 0.95:
            return round(random.uniform(60, 400), 3)
        return round(random.uniform(0.01, 5), 3)


def longest_s(plan):
    """About how long a plan takes if nothing fails but what was to fail, and events come at their last moment."""
    return sum(_longest_step_s(each) for step in plan["steps"] for each in step.get("branches", [step]))


def _longest_step_s(step):
    kind = step["do"]
    if kind in ("activity", "changed"):
        runs = (step["retry"] or {"attempts": 1})["attempts"]
        return runs * ((step["timeout_s"] or step["seconds"]) + 2)
    if kind in ("timer", "event"):
        return step.get("seconds") or step.get("timeout_s") or 0
    if kind in ("child", "again"):
        return longest_s(step["plan"]) * (step.get("retry") or {"attempts": 1})["attempts"]
    return 0


def event_names(plan):
    """Every name that the workflow of this plan may wait for, in its later generations too (its children's not)."""
    found = []
    for step in plan["steps"]:
        branches = step.get("branches", [step])
        found += [each["name"] for each in branches if each["do"] == "event"]
        if step["do"] == "again":
            found += event_names(step["plan"])
    return found


def children(plan):
    """The child steps of a plan and of its later generations, as (place of the step, step)."""
    found = []
    for place, step in enumerate(plan["steps"]):
        branches = step.get("branches", [step])
        found += [(place, each) for each in branches if each["do"] == "child"]
        if step["do"] == "again":
            found += children(step["plan"])
    return found
