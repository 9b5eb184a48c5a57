"""Wrong things at the doors: of the evidence of a world with strangers, subscriptions, operators and an upgrade."""

from __future__ import annotations

import json
from copy import copy, deepcopy
from dataclasses import fields, replace
from functools import wraps

from tests.simulation.doctored.practice import breaks, find
from tests.simulation.ordinary import busy


def of_the_busy(doctor):
    """What it is given is that evidence, in the place of the other."""

    @wraps(doctor)
    def doctored(evidence):
        for field in fields(evidence):
            held = getattr(busy(), field.name)
            setattr(evidence, field.name, copy(held) if isinstance(held, list) else deepcopy(held))
        doctor(evidence)

    return doctored


def _with(facts, header):
    return next(at for at, fact in enumerate(facts) if header in dict(fact.headers))


def _letter(evidence, text):
    return next(at for at, fact in enumerate(evidence.dead_letters) if text in fact.fields["perdure-reason"])


@breaks("dead_letters_are_the_poison")
@of_the_busy
def a_refusal_is_nowhere(evidence):
    del evidence.dead_letters[_letter(evidence, "UnknownInstance")]


@breaks("dead_letters_are_the_poison")
@of_the_busy
def garbage_is_there_twice(evidence):
    evidence.dead_letters.append(evidence.dead_letters[_letter(evidence, "no JSON: NaN")])


@breaks("dead_letters_are_the_poison")
@of_the_busy
def a_dead_letter_was_changed(evidence):
    place = _letter(evidence, "no JSON: NaN")
    evidence.dead_letters[place] = evidence.dead_letters[place]._replace(value=b"?")


@breaks("commands_are_decided_once_and_right")
@of_the_busy
def the_header_with_the_command_id_does_not_count(evidence):
    place = find(evidence.history, "WorkflowStarted", command_id="x-1")
    fact = evidence.history[place]
    evidence.history[place] = fact._replace(fields={**fact.fields, "command_id": ""})


@breaks("what_is_not_read_had_no_schema")
@of_the_busy
def the_registry_was_well(evidence):
    evidence.registry_troubles.clear()


@breaks("what_came_astray_is_sent_home_once")
@of_the_busy
def it_is_sent_home_twice(evidence):
    place = _with(evidence.commands, "perdure-forwarded")
    evidence.commands.append(evidence.commands[place]._replace(offset=10_000))


@breaks("letters_are_settled_once")
@of_the_busy
def a_letter_is_marked_twice(evidence):
    evidence.marks.append(evidence.marks[0]._replace(offset=10_000))


@breaks("letters_are_settled_once")
@of_the_busy
def a_letter_is_replayed_twice(evidence):
    place = _with(evidence.commands, "perdure-replay-of")
    evidence.commands.append(evidence.commands[place]._replace(offset=10_000))


@breaks("letters_are_settled_once")
@of_the_busy
def a_replay_is_another_commit_than_its_mark(evidence):
    place = _with(evidence.commands, "perdure-replay-of")
    evidence.commands[place] = evidence.commands[place]._replace(at_us=evidence.commands[place].at_us - 1)


@breaks("letters_are_settled_once")
@of_the_busy
def a_dropped_letter_is_sent_again(evidence):
    place = next(at for at, mark in enumerate(evidence.marks) if json.loads(mark.value)["what"] == "replayed")
    said = {**json.loads(evidence.marks[place].value), "what": "dropped"}
    evidence.marks[place] = evidence.marks[place]._replace(value=json.dumps(said).encode())


@breaks("operators_are_told_what_was_settled")
@of_the_busy
def an_operator_is_told_of_anothers_work(evidence):
    at_us, _, what, told = next(each for each in evidence.settlements if each[3].state)
    evidence.settlements.append((at_us, "q-9", what, told))


@breaks("operators_are_told_what_was_settled")
@of_the_busy
def an_operator_is_told_that_it_came_too_late(evidence):
    at_us, request, what, told = next(each for each in evidence.settlements if each[3].state)
    evidence.settlements.append((at_us, request, what, replace(told, state="", reason="LetterSettled")))


def _of_a_subscription(facts):
    return next(at for at, fact in enumerate(facts) if fact.fields.get("command_id", "").startswith("sub/"))


@breaks("each_message_counts_once")
@of_the_busy
def a_message_is_lost(evidence):
    del evidence.commands[_of_a_subscription(evidence.commands)]


@breaks("each_message_counts_once")
@of_the_busy
def a_message_counts_twice(evidence):
    place = _of_a_subscription(evidence.commands)
    evidence.commands.append(evidence.commands[place]._replace(offset=10_000))


@breaks("each_message_counts_once")
@of_the_busy
def a_message_starts_something_else(evidence):
    place = _of_a_subscription(evidence.commands)
    evidence.commands[place] = evidence.commands[place]._replace(instance="o-0009")


@breaks("each_message_counts_once")
@of_the_busy
def a_broken_message_is_nowhere(evidence):
    del evidence.dead_letters[_letter(evidence, "value is no JSON")]


@breaks("nothing_newer_is_written_before_the_upgrade")
@of_the_busy
def nobody_has_upgraded(evidence):
    evidence.layouts[:] = evidence.layouts[:1]
    place = find(evidence.commands, "StartWorkflow", command_id="x-2")
    evidence.commands.append(evidence.commands[place]._replace(writer="orchestrator-0.1", headers=()))


@breaks("nothing_newer_is_written_before_the_upgrade")
@of_the_busy
def the_upgrade_waits_for_nobody(evidence):
    evidence.behind_until_us = evidence.ended_us
