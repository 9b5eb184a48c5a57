"""Recorded histories replay for ever: against today's engine and the frozen code that wrote them, without divergence."""

from __future__ import annotations

import hashlib
import typing
from pathlib import Path

import pytest

from perdure.codec.avro import decode
from perdure.codec.schemas import HEADER_BYTES, load_schemas
from perdure.core.events import (
    ACTIONS,
    Event,
    WorkflowCompleted,
    WorkflowContinuedAsNew,
    WorkflowFailed,
    WorkflowPurged,
    WorkflowRecovered,
    WorkflowResumed,
    WorkflowStalled,
)
from perdure.core.execution import Completed, Execution, Failed
from perdure.core.scheduler import Continuation
from perdure.core.turn import live_from_history
from perdure.workflow.code import Library
from tests.core.engine import generations
from tests.replay.patterns import APP
from tests.replay.record import CORPUS, checksums

LIBRARY = Library(APP)
FILES = sorted(CORPUS.glob("*.hex"))
ENDS = (WorkflowCompleted, WorkflowFailed, WorkflowContinuedAsNew)
FROZEN = (28, "c2ee77af90c6907871ea555e4cbcbadf5864595dc0c50264c9fd0c31d313835d")
"""How many lines of CHECKSUMS are frozen, and their sha256: raise both when recordings are added, never lower."""


def events_of(file: Path) -> list[Event]:
    return [decode(bytes.fromhex(line)) for line in file.read_text(encoding="ascii").split()]


def replayed(history: list[Event]) -> Execution:
    live = live_from_history("x", history)
    started = live.instance.started
    assert started is not None
    code = LIBRARY(started.name)
    assert code is not None
    instance_id = "x" if not started.parent_id else f"x:{started.parent_task_id:04x}"
    if started.name == "failing_child":
        instance_id = "x-kid"
    execution = Execution(code, started, instance_id)
    assert execution.replay(history, live.handled_to) == []
    return execution


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_history_replays_to_its_recorded_end(file: Path):
    for generation in generations(events_of(file)):
        execution = replayed(generation)
        outcome, last = execution.outcome, generation[-1]
        if isinstance(last, WorkflowCompleted):
            assert isinstance(outcome, Completed)
            assert outcome.output == last.output
        elif isinstance(last, WorkflowFailed):
            assert isinstance(outcome, Failed)
            assert (outcome.error_type, outcome.message) == (last.error_type, last.error_message)
        elif isinstance(last, WorkflowContinuedAsNew):
            assert isinstance(outcome, Continuation)
            assert (outcome.input, outcome.save_events) == (last.input, last.save_events)
        else:
            assert outcome is None
        execution.close()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_prefix_that_may_have_been_committed_replays(file: Path):
    for generation in generations(events_of(file)):
        for length, following in enumerate(generation):
            inside = isinstance(generation[length - 1], WorkflowRecovered | WorkflowResumed)
            if length and not inside and not isinstance(following, (*ACTIONS, *ENDS, WorkflowStalled)):
                replayed(generation[:length]).close()


def test_recordings_are_only_added():
    known = checksums()
    assert {file.name for file in FILES} == set(known)
    for file in FILES:
        assert hashlib.sha256(file.read_bytes()).hexdigest() == known[file.name], f"{file.name} was changed"
    count, digest = FROZEN
    lines = (CORPUS / "CHECKSUMS").read_text(encoding="utf-8").splitlines(keepends=True)
    assert hashlib.sha256("".join(lines[:count]).encode()).hexdigest() == digest


def test_the_corpus_has_every_type_of_event():
    recorded = {type(event) for file in FILES for event in events_of(file)}
    assert set(typing.get_args(Event)) - recorded <= {WorkflowPurged}


def test_the_corpus_has_bytes_of_every_earlier_version_of_an_event():
    recorded = {line[: 2 * HEADER_BYTES] for file in FILES for line in file.read_text(encoding="ascii").split()}
    earlier = {schema.header.hex() for schema in load_schemas() if schema.family == "event" and not schema.current}
    assert earlier
    assert earlier <= recorded


def test_the_corpus_has_the_seven_patterns():
    names = {generation[0].name for file in FILES for generation in generations(events_of(file))}
    assert {
        "order_workflow", "batch_processor_workflow", "order_monitor_workflow", "approval_workflow",
        "checkout_saga_workflow", "master_workflow", "eternal_aggregator_workflow",
    } <= names  # fmt: skip
