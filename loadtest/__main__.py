"""`make bench`: what a workflow costs, on the embedded engine or on services with real Kafka and Cassandra."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

import structlog
from rich.console import Console

from loadtest import embedded, kafka
from tests.brokers import BrokersUnavailable

TARGETS = {"embedded": embedded, "kafka": kafka}


def arguments():
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    names = "; ".join(f"{target}: {', '.join(module.ALL)}" for target, module in TARGETS.items())
    parser.add_argument("scenario", nargs="*", help=f"all by default. {names}")
    parser.add_argument("--only", help="the same, with commas between them", default="")
    parser.add_argument("--target", choices=TARGETS, default="embedded")
    parser.add_argument("--small", action="store_true", help="a tenth of the work: a quick look")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    parser.add_argument("--folder", help="where databases and brokers keep their files; default: a temporary one here")
    cluster = parser.add_argument_group("with --target kafka")
    cluster.add_argument("--kafka", metavar="HOST:PORT", help="running brokers; default: private ones for this run")
    cluster.add_argument("--cassandra", metavar="HOST:PORT")
    cluster.add_argument("--partitions", type=int, default=16, help="where a scenario does not say (default 16)")
    cluster.add_argument("--outstanding", type=int, default=200, help="workflows in flight under load (default 200)")
    cluster.add_argument("--divide", type=int, help="of the work: another divisor than --small's 10")
    options = parser.parse_args()
    options.scenario += [name for name in options.only.split(",") if name]
    unknown = set(options.scenario) - set(TARGETS[options.target].ALL)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: no scenario of {options.target}. There are {names}")
    if bool(options.kafka) != bool(options.cassandra):
        parser.error("--kafka and --cassandra go together")
    return options


def main():
    options = arguments()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(30),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    target, load = TARGETS[options.target], os.getloadavg()[0]
    console = Console()
    console.print(
        f"{os.cpu_count()} cores, load average {load:.1f}" + (" (busy: ratios hold, times do not)" if load > 1 else "")
    )
    try:
        found = asyncio.run(target.bench(options.scenario or list(target.ALL), options, console))
    except BrokersUnavailable as error:
        raise SystemExit(f"error: {error}") from None
    if options.json:
        about = {"target": options.target, "cores": os.cpu_count(), "load_average": load, "small": options.small}
        Path(options.json).write_text(json.dumps({**about, "scenarios": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
