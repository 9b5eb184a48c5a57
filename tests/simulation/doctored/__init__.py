"""Evidence with something wrong in it, and the law that has to see it."""

from tests.simulation.doctored import ageing, commands, entering, histories, rest, work  # noqa: F401 - they fill DOCTORS
from tests.simulation.doctored.practice import DOCTORS, doctored

__all__ = ["DOCTORS", "doctored"]
