"""Runs the scenarios and tells what they found."""

import time

from loadtest.kafka import edges, load, recovery, resting
from loadtest.kafka.cluster import Lab, brokers
from loadtest.kafka.report import figures_table, splits_table

ALL = {
    "throughput": load.throughput,
    "alone": load.alone,
    "timers": load.timers,
    "fan-out": load.fan_out,
    "gateway": edges.gateway,
    "subscriber": edges.subscriber,
    "idle": resting.idle,
    "scaling": load.scaling,
    "recovery": recovery.recovery,
    "takeover": recovery.takeover,
    "memory": resting.memory,
    "waiting": resting.waiting,
}


async def bench(names, options, console):
    """Every scenario named. Returns {scenario: its figures}; prints them, also when a later one fails."""
    found = {}
    with brokers(options) as (kafka, cassandra, folder):
        lab = Lab(kafka, cassandra, folder, options, lambda text: console.print(f"   [dim]{text}[/]"))
        for name in lab.uncounted:
            console.print(f"[yellow]the CPU of {name} is not counted: its process cannot be seen from here[/]")
        try:
            for name in names:
                console.print(f"[bold]{name}[/]: {ALL[name].__doc__.splitlines()[0]}")
                begin = time.perf_counter()
                found[name] = await ALL[name](lab)
                for figure in found[name].figures:
                    console.print(f"   {figure.name}: {figure.text}")
                lab.say(f"{time.perf_counter() - begin:.1f} s in all")
        finally:
            await lab.close()
            await lab.sweep()
            console.print(figures_table(found, "services on Kafka and Cassandra"))
            console.print(splits_table(found))
    return {name: each.as_json() for name, each in found.items()}
