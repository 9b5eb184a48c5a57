"""A loop whose time jumps to the next thing that waits: days pass in milliseconds, and nothing sleeps."""

import asyncio
import selectors

from perdure.ports.clock import Clock

EPOCH_US = 1_700_000_000_000_000 // 300_000_000 * 300_000_000  # a slice begins here


class _Skipping(selectors.DefaultSelector):
    loop = None

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and self.loop is not None:
            if timeout is None:
                raise RuntimeError("everything waits for something that nobody will do")
            self.loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.now = 0.0
        selector = _Skipping()
        super().__init__(selector)
        selector.loop = self

    def time(self):
        return self.now


class VirtualClock(Clock):
    """Follows the running loop; `step_us` is how far somebody has set it."""

    def __init__(self):
        self.step_us = 0

    def now_us(self):
        try:
            passed = asyncio.get_running_loop().time()
        except RuntimeError:
            passed = 0.0
        return EPOCH_US + round(passed * 1e6) + self.step_us


def run_virtually(coroutine):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
