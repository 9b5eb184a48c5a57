"""`make bench`: the embedded engine at its default durability (SQLite, synchronous=FULL, one fsync a group of commits)."""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from loadtest.scenarios import ALL
from loadtest.workflows import app
from perdure.assembly import Engine, sqlite_ports
from perdure.client.client import AsyncWorkflowClient
from perdure.core.names import Topics
from perdure.embedding import embedded_settings


async def bench(names, size, folder, console):
    table = Table("scenario", "figure", "value", title="embedded engine, SQLite, synchronous=FULL")
    for name in names:
        scenario = ALL[name]
        console.print(f"[bold]{name}[/]: {scenario.__doc__.splitlines()[0]}")
        settings = embedded_settings()
        ports = await sqlite_ports(Path(folder) / f"{name}.db", Topics(settings.namespace))
        engine = Engine(app, ports, settings)
        await engine.start()
        begin = time.perf_counter()
        try:
            rows = await scenario(AsyncWorkflowClient(engine.transport, app=app), size)
        finally:
            await engine.stop()
        for figure, value in rows:
            console.print(f"   {figure}: {value}")
            table.add_row(name, figure, value)
        console.print(f"   [dim]{time.perf_counter() - begin:.1f} s in all[/]")
    console.print(table)


def main():
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[[], *ALL], help=f"any of {', '.join(ALL)}; all by default")
    parser.add_argument("--small", action="store_true", help="a tenth of the work: for a quick look, and for the tests")
    parser.add_argument(
        "--folder", help="where the database files go; default: a temporary folder on the disk of this one"
    )
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    load = os.getloadavg()[0]
    console = Console()
    console.print(
        f"{os.cpu_count()} cores, load average {load:.1f}" + (" (busy: ratios hold, times do not)" if load > 1 else "")
    )
    with tempfile.TemporaryDirectory(dir=options.folder or ".", prefix=".bench-") as folder:
        asyncio.run(bench(options.scenario or list(ALL), 10 if options.small else 1, folder, console))


if __name__ == "__main__":
    main()
