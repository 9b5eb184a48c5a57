import logging

import pytest
import structlog

from perdure.workflow.log import replay_safe_logger


@pytest.fixture
def lines():
    with structlog.testing.capture_logs() as found:
        yield found


def test_a_muted_logger_says_nothing_and_formats_nothing(lines):
    class Touchy:
        def __str__(self):
            raise AssertionError("formatted")

    muted = True
    logger = replay_safe_logger(lambda: muted, instance_id="o-1")
    for method in (logger.debug, logger.info, logger.warning, logger.error, logger.critical, logger.exception):
        method("x %s", Touchy())
    logger.log(logging.INFO, Touchy())
    logger.bind(a=1).info("x")
    assert lines == []
    muted = False
    logger.info("once")
    assert [line["event"] for line in lines] == ["once"]


def test_both_ways_of_calling_work_and_bound_values_are_on_every_line(lines):
    logger = replay_safe_logger(lambda: False, instance_id="o-1")
    logger.info("order %s of %d", "a", 2)
    logger.bind(step=3).warning("order placed", order="a")
    logger.error("%(a)s", {"a": 1})
    assert lines == [
        {"event": "order a of 2", "log_level": "info", "instance_id": "o-1"},
        {"event": "order placed", "log_level": "warning", "instance_id": "o-1", "step": 3, "order": "a"},
        {"event": "1", "log_level": "error", "instance_id": "o-1"},
    ]


def test_levels_go_by_number_and_by_name(lines):
    logger = replay_safe_logger(lambda: False)
    for level in (logging.DEBUG, logging.INFO, 35, "error", "CRITICAL", 5, "no-such-level"):
        logger.log(level, "x")
    found = [line["log_level"] for line in lines]
    assert found == ["debug", "info", "warning", "error", "critical", "debug", "info"]


def test_exception_adds_what_is_being_handled(lines):
    logger = replay_safe_logger(lambda: False)
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed")
    assert lines[0]["exc_info"] is True
    assert lines[0]["log_level"] == "error"


def test_a_log_call_never_fails_for_its_arguments(lines):
    class Mute:
        def __str__(self):
            raise RuntimeError("no text")

    logger = replay_safe_logger(lambda: False)
    logger.info("100% yes", 1)
    logger.info("%s %s", *[1])
    logger.info("x", extra={"a": 1}, stacklevel=2)
    logger.info(ValueError("an object"))
    logger.info("x", method_name="m", event="e")
    logger.info("%s", Mute())
    assert lines[0]["event"] == "100% yes 1"
    assert lines[1]["event"] == "%s %s 1"
    assert lines[2]["a"] == 1
    assert lines[3]["event"] == "an object"
    assert (lines[4]["method_name_"], lines[4]["event_"]) == ("m", "e")
    assert lines[5]["event"] == "%s <Mute>"
