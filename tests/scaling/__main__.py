"""The long form: `python -m tests.scaling MINUTES`. Dance after dance, each in a fresh namespace and judged at its end."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.brokers import acquire
from tests.scaling.dance import Dance, dance


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    leases = [acquire(name) for name in ("kafka", "cassandra")]
    addresses = [lease.address for lease in leases]
    number, end = 0, time.monotonic() + 60 * minutes
    try:
        while number == 0 or time.monotonic() < end:
            number += 1
            with (
                tempfile.TemporaryDirectory() as folder,
                Dance(*addresses, f"dance{os.getpid()}x{number}", Path(folder), live=True) as scene,
            ):
                dance(scene, restarted=tuple(scene.services))
    finally:
        for lease in leases:
            lease.release()
    print(f"dances: {number}, all sound")


if __name__ == "__main__":
    main()
