"""`python -m tests.brokers start|stop|fetch`: what `make brokers`, `make brokers-stop` and `make distributed` run."""

from __future__ import annotations

import sys

from tests.brokers import BrokersUnavailable, fetch, start, stop
from tests.brokers.running import BROKERS


def main(arguments: list[str]) -> int:
    match arguments:
        case ["start"]:
            addresses = [start(name) for name in BROKERS]
            print(f"PERDURE_LOG=kafka://{addresses[0]}")
            print(f"PERDURE_STORE=cassandra://{addresses[1]}/perdure")
        case ["stop"]:
            for name in BROKERS:
                stop(name)
        case ["fetch"]:
            for name in BROKERS:
                fetch(name)
        case _:
            print("usage: python -m tests.brokers start|stop|fetch", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokersUnavailable as error:
        sys.exit(f"error: {error}")
