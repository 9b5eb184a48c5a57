"""An independent interpreter of plans: what a generation's history must hold, given its facts."""

from tests.simulation.model.standing import Standing, stand
from tests.simulation.model.values import canonical, read, same

__all__ = ["Standing", "canonical", "read", "same", "stand"]
