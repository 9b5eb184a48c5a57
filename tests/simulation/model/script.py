"""What a plan does next, as a stranger to the engine reads it: told what happened, it says what must be asked for.

One generation. Steps are numbered 1, 2, 3 … over activities, children and timers, a wait's time-out among the timers.
Raised events go to the first wait of their name (names do not mind case), also to one that lost its race; what nobody
waits for is kept in order.
"""

from __future__ import annotations

from datetime import timedelta

from tests.simulation.workload.plans import MOVE_RETRY, move_inputs, undo_input, work_input


def us(seconds):
    return timedelta(seconds=seconds) // timedelta(microseconds=1)


class Ticket:
    """Something waited for. `outcome` once it has ended: ("ok", value), ("failed", error type) or ("timeout",)."""

    __slots__ = ("ended_at", "name", "outcome", "timer")

    def __init__(self, name=""):
        self.name = name  # of an event, in lower case
        self.timer = 0  # the step that bounds the wait for it
        self.outcome = None
        self.ended_at = 0  # seq of the fact that ended it; 0 also for an event that was there before


class Script:
    """`begin`, then `tell` fact after fact; `asked` is what the fact at hand led to. `end` is set when the code returns."""

    def __init__(self, plan, instance, generation):
        self.plan = plan
        self.instance = instance
        self.generation = generation
        self.now_us = 0
        self.cause = 0
        self.asked = []  # (name of the event, fields that it must have)
        self.open = {}  # step number to ticket
        self.waits = []  # event tickets in the order in which they were asked for
        self.kept = []  # raised events nobody has waited for: facts
        self.end = None  # ("completed", output), ("failed", type, message) or ("again", step)
        self._steps = 0
        self._code = None
        self._ready = None  # whether the step at hand can go on
        self.blocking = []  # the tickets that the step at hand waits for

    def begin(self, cause, at_us):
        self._turn(cause, at_us)
        self._code = self._run()
        self._go_on()

    def tell(self, name, fields, fact):
        """A fact. Raised events may come before the beginning, the others not."""
        self._turn(fields["seq"], fields["at_us"])
        if name == "EventRaised":
            self._raised(fields, fact)
        else:
            self._step_ended(name, fields)
        if self._ready is not None and self._ready():
            self._go_on()

    def _turn(self, cause, at_us):
        self.asked = []
        self.cause = cause
        self.now_us = max(self.now_us, at_us)

    def _go_on(self):
        """Run until the code waits for something that is not there yet, or ends."""
        try:
            self._ready = next(self._code)
            while self._ready():
                self._ready = next(self._code)
        except StopIteration as stop:
            self._ready, self.end, self.blocking = None, stop.value, []
            # What was asked for in the last turn is dropped with the end, but for what everybody can see.
            self.asked = [each for each in self.asked if each[0] == "CustomStatusSet"]

    # -- what happens -----------------------------------------------------------------------------------------

    def _raised(self, fields, fact):
        name = fields["name"].lower()
        for ticket in self.waits:
            if ticket.name == name:
                self.waits.remove(ticket)
                self._ends(ticket, ("ok", fields["data"]))
                return
        self.kept.append(fact)

    def _step_ended(self, name, fields):
        ticket = self.open.pop(fields["task_id"], None)
        if ticket is None:
            return
        if name == "TimerFired":
            late = next((each for each in self.waits if each.timer == fields["task_id"]), None)
            if late is not None:
                self.waits.remove(late)
                self._ends(late, ("timeout",))
            self._ends(ticket, ("ok", ""))
        elif name in ("ActivityCompleted", "ChildCompleted"):
            self._ends(ticket, ("ok", fields["output"]))
        else:
            self._ends(ticket, ("failed", fields["error_type"]))

    def _ends(self, ticket, outcome):
        ticket.outcome, ticket.ended_at = outcome, self.cause

    # -- the code ---------------------------------------------------------------------------------------------

    def _run(self):
        from tests.simulation.model.values import read

        results = []
        for step in self.plan["steps"]:
            kind = step["do"]
            if kind == "again":
                return "again", step
            if kind == "fail":
                return "failed", "RuntimeError", step["message"]
            if kind == "status":
                self._status(step["value"])
                results.append(None)
            elif kind == "saga":
                results.append((yield from self._saga(step)))
            elif kind == "fan":
                tickets = [self._ask(each) for each in step["branches"]]
                yield self._until(tickets, lambda waiting=tickets: all(each.outcome for each in waiting))
                failed = [each for each in tickets if each.outcome[0] == "failed"]
                if failed:
                    results.append(["failed", min(failed, key=lambda each: each.ended_at).outcome[1]])
                else:
                    results.append(["all", [read(each.outcome[1]) for each in tickets]])
            elif kind == "race":
                tickets = [self._ask(each) for each in step["branches"]]
                yield self._until(tickets, lambda waiting=tickets: any(each.outcome for each in waiting))
                index = next(place for place, each in enumerate(tickets) if each.outcome)
                results.append([index, _result(step["branches"][index], tickets[index])])
            else:
                ticket = self._ask(step)
                yield self._until([ticket], lambda waiting=ticket: waiting.outcome)
                results.append(_result(step, ticket))
        return "completed", {"label": self.plan["label"], "results": results}

    def _saga(self, step):
        made, error = [], ""
        for given in move_inputs(step):
            ticket = self._activity("move", given, MOVE_RETRY, 0)
            yield self._until([ticket], lambda waiting=ticket: waiting.outcome)
            if ticket.outcome[0] == "failed":
                error = ticket.outcome[1]
                break
            made.append(given)
        if not error:
            return ["moved"]
        sound = error == "NonRetryableError"
        for given in reversed(made):
            ticket = self._activity("move", undo_input(given), MOVE_RETRY, 0)
            yield self._until([ticket], lambda waiting=ticket: waiting.outcome)
            sound = sound and ticket.outcome[0] == "ok"
        return ["undone" if sound else "broken", error]

    def _until(self, tickets, ready):
        self.blocking = tickets
        return ready

    # -- what it asks for -------------------------------------------------------------------------------------

    def _ask(self, step):
        kind = step["do"]
        if kind == "timer":
            return self._timer(us(step["seconds"]), "")
        if kind == "event":
            return self._event(step)
        if kind == "child":
            return self._child(step)
        return self._activity(step["name"], work_input(step), step["retry"], step["timeout_s"])

    def _step(self, event, /, **fields):
        self._steps += 1
        self.asked.append((event, {"cause": self.cause, "task_id": self._steps, **fields}))
        ticket = self.open[self._steps] = Ticket()
        return ticket

    def _activity(self, name, given, retry, timeout_s):
        fields = {"name": name, "input": given, "queue": "", "timeout_us": us(timeout_s), "retry": _policy(retry)}
        return self._step("ActivityScheduled", **fields)

    def _timer(self, after_us, event_name):
        return self._step("TimerCreated", fire_at_us=self.now_us + after_us, event_name=event_name)

    def _child(self, step):
        number = self._steps + 1
        middle = f":{self.generation}" if self.generation else ""
        child_id = step["id"] or f"{self.instance}{middle}:{number:04x}"
        fields = {
            "name": step["workflow"],
            "child_id": child_id,
            "input": step["plan"],
            "retry": _policy(step["retry"]),
        }
        return self._step("ChildScheduled", **fields)

    def _event(self, step):
        ticket = Ticket(step["name"].lower())
        for fact in self.kept:
            if fact.fields["name"].lower() == ticket.name:
                self.kept.remove(fact)
                ticket.outcome = ("ok", fact.fields["data"])
                return ticket
        if step["timeout_s"] is not None:
            self._timer(us(step["timeout_s"]), step["name"])
            ticket.timer = self._steps
        self.waits.append(ticket)
        return ticket

    def _status(self, value):
        """The last one of a turn is the one that counts, in the place of the first."""
        for name, fields in self.asked:
            if name == "CustomStatusSet":
                fields["value"] = value
                return
        self.asked.append(("CustomStatusSet", {"cause": self.cause, "value": value}))


def _policy(retry):
    if retry is None:
        return None
    return {
        "first_interval_us": us(retry["first_s"]), "max_attempts": retry["attempts"], "backoff": retry["backoff"],
        "max_interval_us": 0, "timeout_us": 0, "non_retryable": [],
    }  # fmt: skip


def _result(step, ticket):
    from tests.simulation.model.values import read

    kind, *more = ticket.outcome
    if kind == "timeout":
        return ["timeout"]
    if kind == "failed":
        return ["failed", more[0]]
    if step["do"] == "timer":
        return ["timer"]
    return ["event" if step["do"] == "event" else "ok", read(more[0])]
