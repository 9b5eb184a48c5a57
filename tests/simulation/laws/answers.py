"""What clients were told: what was decided, and states that history has had, when it had them."""

from __future__ import annotations

import hashlib
from bisect import bisect_right

from tests.simulation.laws.known import CLIENTS, OTHERS, VERBS, where
from tests.simulation.model import same

ENDED = {"COMPLETED", "FAILED", "TERMINATED", "PURGED"}


def answers_tell_what_was_decided(known):
    """An answer is the outcome of a command under its id, decided in a batch that was committed before the answer came.

    A rerun looks first: it may be told that nobody knows the instance.
    """
    decided = known.once("by_client", known.refereed.by_client)
    for answer in known.evidence.answers:
        if answer.outcome in ("unanswered", "timeout") or answer.verb in ("wait", "state"):
            continue
        if answer.command_id:
            outcomes = decided.get((answer.new_instance or _target(known, answer), answer.command_id), [])
        else:
            outcomes = _unnamed(known, answer)
        reason = "" if answer.outcome == "accepted" else answer.outcome
        told = [
            each for each in outcomes
            if each.reason == reason and answer.verb in VERBS[each.command.name] and each.marker.at_us <= answer.answered_us
            and each.command.at_us >= answer.sent_us
        ]  # fmt: skip
        looked = answer.verb == "rerun" and reason == "UnknownInstance" and _unknown_between(known, answer)
        if not told and not looked:
            there = [(each.reason or "accepted", each.command.at_us, each.marker.at_us) for each in outcomes]
            yield f"{_named(answer)}, decided was {there}"


def _target(known, answer):
    if answer.op >= 0 and answer.verb == "rerun":
        return known.evidence.ops[answer.op]["new_instance"]
    return answer.instance or _derived(answer.command_id)


def _derived(command_id):
    """The id of an instance that was started by a command id alone (docs/http.md)."""
    return hashlib.sha256(f"perdure/start/{command_id}".encode()).hexdigest()[:32]


def _unnamed(known, answer):
    """Of a start whose command id the client minted, and mostly its instance with it: known by what it starts."""
    op = known.evidence.ops[answer.op]
    return [
        each
        for each in known.refereed.outcomes.values()
        if answer.new_instance in ("", each.command.instance)
        and each.command.name in CLIENTS
        and _asks(op, each.command)
    ]


def replies_tell_what_was_decided(known):
    """Each reply is about a command that bears its address, with an outcome of such a one; a snapshot in it is a state
    that was committed before the reply was written.
    """
    asked = {}
    for fact in known.evidence.commands:
        if fact.fields.get("reply_to"):
            asked.setdefault(fact.fields["reply_to"], []).append(fact)
    for reply in known.evidence.replies:
        fields = reply.fields
        about = asked.get(f"{reply.partition}/{fields['token']}", [])
        if not any(fact.fields["command_id"] == fields["correlation"] for fact in about):
            yield f"a reply to {fields['correlation']} ({fields['token']}): nobody asked"
            continue
        if about[0].name == "InspectInstance":
            yield from _inspected(known, reply, about[0].instance)
            continue
        reason = "" if fields["accepted"] else fields["reason"]
        outcomes = [known.refereed.outcomes.get((fact.partition, fact.offset)) for fact in about]
        if not any(each and each.reason == reason and each.marker.at_us <= reply.at_us for each in outcomes):
            yield f"the reply to {where(about[0])} ({fields['correlation']}) is {reason or 'accepted'}: not decided so"


def _inspected(known, reply, instance):
    fields = reply.fields
    if not fields["accepted"]:
        if fields["reason"] != "UnknownInstance":
            yield f"{instance} could not be inspected: {fields['reason']}: {fields['message']}"
        return
    borders = known.refereed.borders.get(instance, [])
    until = bisect_right(borders, reply.at_us, key=lambda each: each.at_us)
    if not any(_is_state(fields["snapshot"], each) for each in borders[:until]):
        yield f"a reply at {reply.at_us} shows {instance} in a state that it had not had: {_shown(fields['snapshot'])}"


def snapshots_are_states_of_their_time(known):
    """A snapshot is the instance's state after a batch that was committed by the time it was answered, and that was the
    latest one at some time since it was asked for. Whoever was told that nobody knows it, asked when nobody did.
    """
    for answer in known.evidence.answers:
        if answer.verb not in ("wait", "state") or answer.outcome in ("timeout", "unanswered"):
            continue
        if answer.outcome == "UnknownInstance":
            if not _unknown_between(known, answer):
                yield f"{_named(answer)}, and it was known all the time"
            continue
        if answer.outcome != "accepted" or answer.snapshot is None:
            yield f"{_named(answer)}: no such answer is possible"
            continue
        current = [each for each in _current(known, answer) if _is_state(answer.snapshot, each)]
        if not current:
            yield f"{_named(answer)} was shown {_shown(answer.snapshot)}, which was not its state then"
        yield from _reached(known, answer)


def _reached(known, answer):
    """A wait that is over has reached what it was for."""
    if answer.verb != "wait" or answer.op < 0:
        return
    until, status = known.evidence.ops[answer.op]["until"], answer.snapshot["status"]
    if until == "completed" and status not in ENDED:
        yield f"{_named(answer)} waited for its end and was shown {status}"
    if until == "started" and status == "PENDING":
        yield f"{_named(answer)} waited for its begin and was shown {status}"


def _current(known, answer):
    """The borders that were the latest at some time between question and answer."""
    borders = known.refereed.borders.get(answer.instance, [])
    for place, each in enumerate(borders):
        ends_us = borders[place + 1].at_us if place + 1 < len(borders) else None
        if each.at_us <= answer.answered_us and (ends_us is None or ends_us >= answer.sent_us):
            yield each


def _unknown_between(known, answer):
    borders = known.refereed.borders.get(answer.instance, [])
    if not borders or borders[0].at_us >= answer.sent_us:
        return True
    return any(not each.known for each in _current(known, answer))


def _is_state(snapshot, border):
    return border.snapshot is not None and all(snapshot[name] == value for name, value in border.snapshot.items())


def _named(answer):
    return (
        f"{answer.verb} {answer.instance} ({answer.command_id}) sent at {answer.sent_us}, answered at "
        f"{answer.answered_us}: {answer.outcome}"
    )


def _shown(snapshot):
    return {name: snapshot[name] for name in ("run", "generation", "status", "events", "output", "custom_status")}


def commands_are_clients_or_the_engines(known):
    """What clients' commands ask for is what an operation asked for (or the epilogue, of which only instance and command id
    are known). A start without an id is known by what it starts.
    """
    asked, unnamed = {}, []
    for op in known.evidence.ops:
        target = op["new_instance"] if op["verb"] == "rerun" else op["instance"]
        if op["command_id"]:
            asked.setdefault((target or _derived(op["command_id"]), op["command_id"]), []).append(op)
        elif op["verb"] == "start":
            unnamed.append(op)
    strangers = {(fact.instance, fact.value) for fact in known.evidence.commands if fact.writer in OTHERS}
    epilogue = {(answer.instance, answer.command_id, answer.verb) for answer in known.evidence.answers if answer.op < 0}
    for fact in (fact for facts in known.commands.values() for fact in facts):
        if fact.name not in CLIENTS or fact.fields.get("parent_id") or (fact.instance, fact.value) in strangers:
            continue
        if fact.name == "PurgeWorkflow" and fact.fields["requested_by"] == "retention":
            continue  # laws/ages.py asks of those
        if fact.fields["command_id"].startswith("sub/"):
            continue  # laws/sources.py asks of those
        command_id = fact.fields["command_id"]
        ops = asked.get((fact.instance, command_id), unnamed)
        if fact.fields.get("rerun_of") and not _repeats(known, fact):
            yield f"{where(fact)} is not a rerun of {fact.fields['rerun_of']} as it was"
        by_epilogue = any((fact.instance, command_id, verb) in epilogue for verb in VERBS[fact.name])
        if not by_epilogue and not any(_asks(op, fact) for op in ops):
            yield f"{where(fact)} ({command_id}): no operation asks for that"


def _repeats(known, fact):
    """A rerun has the workflow and the input that the other instance had at some time before."""
    return any(
        each.at_us <= fact.at_us
        and each.known
        and all(each.snapshot[name] == fact.fields[name] for name in ("name", "input"))
        for each in known.refereed.borders.get(fact.fields["rerun_of"], ())
    )


def _asks(op, fact):
    fields = fact.fields
    if op["verb"] not in VERBS[fact.name]:
        return False
    if op["verb"] == "start":
        return fields["name"] == op["workflow"] and same(fields["input"], op["input"])
    if op["verb"] == "rerun":
        return fields["rerun_of"] == op["instance"]
    if op["verb"] == "raise":
        return fields["name"] == op["event"] and same(fields["data"], op["data"])
    if op["verb"] == "terminate":
        return fields["recursive"] == op["recursive"] and same(fields["output"], op["output"])
    return op["verb"] != "purge" or fields["recursive"] == op["recursive"]
