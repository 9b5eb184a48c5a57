"""Each trouble in three parts: it begins, it is ended (`heal`), and what it took away is there again (`whole`).

So that two may be at once: both begin, both are held, both are ended, both are waited for.
"""

from __future__ import annotations

import signal
import time

from tests.chaos.cast import CUT_OFF
from tests.chaos.deck import BROKERS

DRAIN_SECONDS = 60.0  # PERDURE_DRAIN_SECONDS, the four that follow it, and a slow machine's


class Act:
    """`since`: when its cause was gone; None while it lasts."""

    def __init__(self, cast, trouble):
        self.cast, self.trouble = cast, trouble
        self.since = None
        self._undo = lambda: None
        self._wait = lambda alone: None

    def begin(self):
        self.cast.report.note(f"now {self.trouble}")
        if self.trouble.broker:
            self._on_links()
        elif self.trouble.subject in BROKERS:
            self._on_broker()
        else:
            getattr(self, f"_{self.trouble.what}")()

    def heal(self):
        """Twice is harmless."""
        if self.since is None:
            self._undo()
            self.since = time.time()

    def whole(self, *, alone):
        """Wait until there are as many processes as before. `alone`: nothing else was wrong meanwhile."""
        self._wait(alone)

    # -- services ---------------------------------------------------------------------------------------------

    def _killed(self):
        role = self.trouble.subject
        _, self.since = self.cast.kill(role, self.trouble.place)
        another = self.cast.replace(role)
        self._wait = lambda alone: another.result()

    def _stopped(self):
        service = self.cast.send(self.trouble.subject, signal.SIGSTOP, self.trouble.place)
        self._undo = lambda: service.process.send_signal(signal.SIGCONT)

    def _restarted(self):
        """As a rolling update does: another one starts while the first one leaves."""
        role, self.since = self.trouble.subject, time.time()
        leaving = self.cast.tell_to_go(role, self.trouble.place)
        another = self.cast.replace(role)

        def wait(alone):
            code = leaving.ended(DRAIN_SECONDS)
            self.cast.report.note(f"{role} {leaving.process.pid} has left with {code}")
            assert code == 0 or (code == CUT_OFF and not alone), f"{role} left with {code}:\n{leaving.said[-4000:]}"
            another.result()

        self._wait = wait

    # -- brokers ----------------------------------------------------------------------------------------------

    def _on_broker(self):
        broker = self.cast.stage.broker(self.trouble.subject)
        away, back = {
            "killed": ("kill", "start"),
            "stopped": ("pause", "resume"),
            "restarted": ("stop", "start"),
        }[self.trouble.what]
        getattr(broker, away)()
        self._undo = getattr(broker, back)

    # -- links ------------------------------------------------------------------------------------------------

    def _on_links(self):
        trouble, cast = self.trouble, self.cast
        if trouble.of_all:
            links = cast.stage.links_to(trouble.broker)
        else:
            service = cast.services[trouble.subject][trouble.place]
            links = [cast.lane_of(service).links[trouble.broker]]
        ways = {"toward": trouble.way != "back", "back": trouble.way != "toward"}
        for link in links:
            if trouble.what == "cut":
                link.cut()
            elif trouble.what == "swallowed":
                link.swallows(**ways)
            else:
                link.slows(delay_s=trouble.delay_s, bytes_per_s=trouble.bytes_per_s, **ways)

        def mend():
            for link in links:
                link.passes()

        self._undo = mend
