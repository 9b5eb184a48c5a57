"""Bugs in the pure core: what a command does to an instance."""

from __future__ import annotations

from perdure.client.requests import Requests
from perdure.core import commands, decide, ending, results, turn
from perdure.core.events import ActivityCompleted
from perdure.core.instance import Instance
from perdure.core.refusals import Decision
from perdure.core.turn import Live
from perdure.roles.orchestrator.memory import Memory


def repeats_are_not_recognised():
    """A client's command counts as often as it is sent."""

    def raise_event(instance, command, moment):
        known, instance.command_ids = instance.command_ids, {}
        try:
            return ordinary(instance, command, moment)
        finally:
            instance.command_ids = known

    ordinary = decide.DECIDE[commands.RaiseEvent]
    return [(decide.DECIDE, commands.RaiseEvent, raise_event)]


def results_count_twice():
    """A result of a step that has ended is taken as another one."""
    ordinary = decide.DECIDE[commands.CompleteActivity]

    def complete(instance, command, moment):
        decision = ordinary(instance, command, moment)
        if decision.rejection is None or decision.rejection.reason != "TaskNotOpen":
            return decision
        place = results.place_of(instance, moment.now_us)
        return Decision([ActivityCompleted(*place, command.task_id, command.attempt, command.output)])

    return [(decide.DECIDE, commands.CompleteActivity, complete)]


def an_earlier_run_is_heard():
    """What was meant for an earlier run of the id counts for this one."""
    ordinary = results.stale
    return [(results, "stale", lambda instance, run, generation: ordinary(instance, instance.run, generation))]


def an_earlier_generation_is_heard():
    ordinary = results.stale
    return [(results, "stale", lambda instance, run, generation: ordinary(instance, run, instance.generation))]


def an_earlier_attempt_is_heard():
    """A late result of an attempt that was given up ends the step."""
    ordinary = results._open

    def opened(instance, command, asked):
        task = instance.open.get(command.task_id)
        if task is not None and command.attempt < task.attempt:
            command.attempt = task.attempt
        return ordinary(instance, command, asked)

    return [(results, "_open", opened)]


def raised_events_are_lost_at_a_new_generation():
    ordinary = turn.next_generation
    return [(turn, "next_generation", lambda instance, to, carried, at_us: ordinary(instance, to, carried[1:], at_us))]


def termination_skips_a_child():
    """Recursion reaches all children that are open but the first."""
    ordinary = ending.unfinished_children
    return [(ending, "unfinished_children", lambda instance: ordinary(instance)[1:])]


def recursion_obeys_anybody():
    """A parent's termination reaches whoever has the child's id by now."""
    return [(decide, "_unless_parent", lambda instance, command: None)]


def a_fresh_id_is_never_looked_up():
    """A start under a minted id begins a run even where one has begun, and a client that repeats it does not say so."""

    def begin(self, instance_id, now_us):
        self.lives[instance_id] = Live(Instance(instance_id))
        return True

    return [(Memory, "begin", begin), (Requests, "_repeat", lambda self, request: self._post(request))]


def a_refused_command_wakes_nobody():
    """An instance that recovers by a command which is then refused is not told what waited. (The engine had this one.)"""
    ordinary = turn.Turn._recover_under_new_code

    def recover(self, command):
        ordinary(self, command)
        return False

    return [(turn.Turn, "_recover_under_new_code", recover)]


def the_clock_is_believed():
    """Events are stamped with the owner's clock, though it may have been set back."""

    def place(instance, at_us, further=0):
        return instance.run, instance.generation, instance.next_seq + further, at_us

    return [(decide, "place_of", place), (results, "place_of", place)]


BUGS = (
    repeats_are_not_recognised, results_count_twice, an_earlier_run_is_heard, an_earlier_generation_is_heard,
    an_earlier_attempt_is_heard, raised_events_are_lost_at_a_new_generation, termination_skips_a_child,
    recursion_obeys_anybody, a_fresh_id_is_never_looked_up, a_refused_command_wakes_nobody, the_clock_is_believed,
)  # fmt: skip
