"""Whether everything is as it should be. Each check raises DemoFailed, saying what is not."""

from collections import Counter

from examples import ledger
from examples.demo.engine import DemoFailed
from examples.demo.looks import Look
from examples.demo.parts import FAN_OUT, SAGA
from perdure.core.events import ActivityCompleted, ActivityFailed, ActivityScheduled

__all__ = ["check_endings", "check_histories", "check_kill", "check_ledger", "is_in_the_middle"]

SAGA_ENTRIES = {
    "o-5: stock reserved",
    "o-5: 42 € charged",
    "o-5: 42 € of payment-o-5 refunded",
    "o-5: stock released",
}


def is_in_the_middle(look: Look) -> bool:
    """Some activities are completed and others, asked for already, are not."""
    return look.status == "RUNNING" and 0 < len(look.completed) < len(look.scheduled)


def check_endings(looks: dict[str, Look]) -> None:
    for each in looks.values():
        if (each.status, each.output) != (each.part.status, each.part.output):
            wanted = f"{each.part.status} with {each.part.output}"
            raise DemoFailed(f"'{each.part.id}' is {each.status} with {each.output}, not {wanted}")


def check_histories(looks: dict[str, Look]) -> None:
    """No gap, and every activity that was asked for has ended in history exactly once."""
    for each in looks.values():
        for instance_id, history in each.histories.items():
            if [event.seq for event in history] != list(range(1, len(history) + 1)):
                raise DemoFailed(f"the history of '{instance_id}' has gaps")
            asked = {event.task_id for event in history if isinstance(event, ActivityScheduled)}
            ended = Counter(
                event.task_id
                for event in history
                if isinstance(event, ActivityCompleted) or (isinstance(event, ActivityFailed) and not event.retry_at_us)
            )
            if ended != Counter(asked):
                raise DemoFailed(f"of '{instance_id}' the activities {asked} are recorded as ended {dict(ended)} times")


def check_kill(before: dict[str, Look], after: dict[str, Look], killed_at_us: int) -> None:
    """What was recorded before the kill is there unchanged; the saga and the fan-out went on behind it."""
    for part in (FAN_OUT, SAGA):
        history = after[part.id].histories[part.id]
        known = before[part.id].histories[part.id]
        if history[: len(known)] != known:
            raise DemoFailed(f"the history of '{part.id}' is another one than before the kill")
        sides = {event.at_us > killed_at_us for event in after[part.id].completed}
        if sides != {True, False}:
            raise DemoFailed(f"the kill did not come in the middle of '{part.id}'")


def check_ledger(looks: dict[str, Look]) -> None:
    """The world outside: every effect once, although some activities ran twice."""
    found = Counter(ledger.entries(SAGA.id))
    if found != Counter(SAGA_ENTRIES):
        raise DemoFailed(f"the saga left this in the ledger: {dict(found)}")
    resized = [entry for entry in ledger.entries(FAN_OUT.id) if entry.endswith("resized")]
    if len(resized) != looks[FAN_OUT.id].output["resized"]:
        raise DemoFailed(f"the ledger has {len(resized)} resized pictures")
