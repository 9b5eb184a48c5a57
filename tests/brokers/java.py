"""How the virtual machines of brokers compile: well, or at once."""

from __future__ import annotations

from tests.brokers.artefacts import tool

__all__ = ["command", "for_a_test_run"]

AT_ONCE = "-XX:TieredStopAtLevel=1"
_options: list[str] = []


def for_a_test_run() -> None:
    """Brokers that this process starts from now on live for some minutes: they are compiled at once and for good, which halves
    the CPU of a start. What stays (`make brokers`) or is measured (`make bench`) is left to the machine's own judgement.
    """
    _options[:] = [AT_ONCE]


def command(purpose: str) -> list[str]:
    """`java` and its options. Raises BrokersUnavailable without one."""
    return [tool("java", purpose), *_options]
