"""The long form: `python -m tests.faults MINUTES [SEED]`. Steady load, processes in trouble alone and in pairs, a verdict.

It goes by rounds with fresh namespaces, each judged at its end, for what a follower keeps stays in memory. The seed is
told and gives the same troubles in the same order; what they meet is never the same.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.brokers import acquire
from tests.faults.checker import shown
from tests.faults.scene import Scene
from tests.faults.troubles import TROUBLES

ROUND_SECONDS = 300.0
CALM_SECONDS = 5.0


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    print(f"troubles for {minutes:g} minutes, seed {seed}", flush=True)
    leases = [acquire(name) for name in ("kafka", "cassandra")]
    chance, end = random.Random(seed), time.monotonic() + 60 * minutes
    try:
        number = 0
        while time.monotonic() < end and _round(number, chance, end, *(lease.address for lease in leases)):
            number += 1
    finally:
        for lease in leases:
            lease.release()
    sys.exit(0 if time.monotonic() >= end else 1)


def _round(number, chance, end, kafka, cassandra):
    """True if nothing was wrong."""
    name = f"soak{os.getpid()}x{number}"
    until = min(end, time.monotonic() + ROUND_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        planted = {"orchestrator": "hangs_before_commit"}
        with Scene(kafka, cassandra, name, Path(folder), planted=planted, live=True) as scene:
            scene.load.begin()
            try:
                while time.monotonic() < until:
                    time.sleep(CALM_SECONDS)
                    _trouble(scene, chance)
                scene.settle()
                complaints = scene.complaints()
                wrong = shown(complaints) if complaints else ""
            except AssertionError as error:
                wrong = str(error)
            print(scene.report.summary(), flush=True)
            if wrong:
                print(wrong, scene.said(), sep="\n", flush=True)
            return not wrong


def _trouble(scene, chance):
    """One or two, of different services."""
    roles = chance.sample(sorted(TROUBLES), chance.choice((1, 1, 2)))
    troubles = [chance.choice(TROUBLES[role]) for role in roles]
    scene.report.note(
        f"{len(scene.load.told.accepted)} accepted; now " + " and ".join(each.__name__ for each in troubles)
    )
    for served in [trouble(scene) for trouble in troubles]:
        served()


if __name__ == "__main__":
    main()
