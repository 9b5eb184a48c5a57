"""The embedded engine at its default durability (SQLite, synchronous=FULL, one fsync a group of commits)."""

import tempfile
import time
from pathlib import Path

from rich.table import Table

from loadtest.scenarios import ALL
from loadtest.workflows import app
from perdure.assembly import Engine, sqlite_ports
from perdure.client.client import AsyncWorkflowClient
from perdure.core.names import Topics
from perdure.embedding import embedded_settings

__all__ = ["ALL", "bench"]


async def bench(names, options, console):
    """Every scenario on a fresh database. Returns {scenario: {figure: value as text}}."""
    table = Table("scenario", "figure", "value", title="embedded engine, SQLite, synchronous=FULL")
    found = {}
    with tempfile.TemporaryDirectory(dir=options.folder or ".", prefix=".bench-") as folder:
        for name in names:
            console.print(f"[bold]{name}[/]: {ALL[name].__doc__.splitlines()[0]}")
            begin = time.perf_counter()
            rows = await _one(ALL[name], 10 if options.small else 1, Path(folder) / f"{name}.db")
            found[name] = dict(rows)
            for figure, value in rows:
                console.print(f"   {figure}: {value}")
                table.add_row(name, figure, value)
            console.print(f"   [dim]{time.perf_counter() - begin:.1f} s in all[/]")
    console.print(table)
    return found


async def _one(scenario, size, file):
    settings = embedded_settings()
    ports = await sqlite_ports(file, Topics(settings.namespace))
    engine = Engine(app, ports, settings)
    await engine.start()
    try:
        return await scenario(AsyncWorkflowClient(engine.transport, app=app), size)
    finally:
        await engine.stop()
