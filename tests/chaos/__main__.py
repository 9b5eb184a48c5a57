"""`python -m tests.chaos MINUTES [SEED [FOLDER]]`: what `make chaos` runs. Exit code 1 if the verdict is not sound.

It goes by rounds with fresh namespaces, each judged at its end, for what a follower keeps stays in memory.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.brokers import BrokersUnavailable
from tests.chaos import report
from tests.chaos.deck import deal
from tests.chaos.run import Chaos
from tests.chaos.stage import Stage
from tests.chaos.story import Story

ROUND_SECONDS = 600.0
FOLDER = Path(__file__).parents[2] / ".chaos"


def main(arguments):
    minutes = float(arguments[0]) if arguments else 10.0
    seed = int(arguments[1]) if len(arguments) > 1 else random.SystemRandom().randrange(1 << 32)
    folder = Path(arguments[2]) if len(arguments) > 2 else FOLDER / f"seed-{seed}"
    print(f"chaos for {minutes:g} minutes, seed {seed}", flush=True)
    story = Story(seed)
    try:
        with tempfile.TemporaryDirectory() as scratch, Stage(Path(scratch)) as stage:
            _rounds(Chaos(stage, story), deal(seed), 60 * minutes, Path(scratch))
    finally:
        page = report.write(story, folder)
        print(report.text(story), f"report: {page}", sep="\n", flush=True)
        for each in story.rounds:
            if each.said:
                print(each.said, flush=True)
    return 0 if story.sound else 1


def _rounds(chaos, steps, seconds, scratch):
    """Until the time is over, or one is not sound."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number = len(chaos.story.rounds)
        home = scratch / f"round{number}"
        home.mkdir()
        until = min(end, time.monotonic() + ROUND_SECONDS)
        told = chaos.round(before(until, steps), f"chaos{os.getpid()}x{number}", home)
        if told.verdict != "sound":
            return


def before(until, steps):
    """Those that can begin before that time; a step that is asked for is taken, so the order has no gaps."""
    while time.monotonic() < until:
        yield next(steps)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokersUnavailable as error:
        sys.exit(f"error: {error}")
