"""The test kit: workflows under test on an engine in memory, with time that is skipped.

    from perdure import testing

    def test_an_unanswered_approval_times_out():
        with testing.engine(app, activities={"send_mail": testing.returns(None)}) as env:
            assert env.run(approval, input={"amount": 7}) == {"status": "timeout"}  # its three days take milliseconds

`engine` makes the environment; `returns`, `fails` and `hangs` stand in for activities; `replay` holds a recorded history
against the code; `dump_history` and `load_history` keep one in a JSON file.
"""

from perdure.core.execution import Diverged
from perdure.testing.activities import Activities, Call
from perdure.testing.environment import START_AT, Environment, NotCompleted, engine, kit_settings
from perdure.testing.fakes import Fake, fails, hangs, returns
from perdure.testing.histories import History, HistoryUnreadable, dump_history, load_history
from perdure.testing.portal import WaitsForever
from perdure.testing.replays import Replayed, replay
from perdure.workflow.guard import Finding

__all__ = [
    "START_AT", "Activities", "Call", "Diverged", "Environment", "Fake", "Finding", "History", "HistoryUnreadable",
    "NotCompleted", "Replayed", "WaitsForever", "dump_history", "engine", "fails", "hangs", "kit_settings",
    "load_history", "replay", "returns",
]  # fmt: skip
