"""`make upgrade FROM=REF`: from the services of any earlier commit to this tree's, under load, on real brokers."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.brokers import acquire
from tests.upgrade.release import Release
from tests.upgrade.rolling import Rolling, roll


def main():
    if len(sys.argv) != 2:
        raise SystemExit("from which commit? make upgrade FROM=<git ref>")
    leases = [acquire(name) for name in ("kafka", "cassandra")]
    try:
        with tempfile.TemporaryDirectory() as folder:
            before = Release.at(sys.argv[1], Path(folder) / "before")
            print(f"from {before.name}, which writes version {before.writes}", flush=True)
            addresses = [lease.address for lease in leases]
            with Rolling(*addresses, f"up{os.getpid()}", Path(folder), before=before, live=True) as scene:
                roll(scene)
    finally:
        for lease in leases:
            lease.release()
    print("upgraded: sound")


if __name__ == "__main__":
    main()
