"""The simulation from the command line: `make simulate`, or

python -m tests.simulation --minutes 10            many seeds, on all cores; one line for each that fails
python -m tests.simulation --seed 7                one, with its trace; --shrink makes it small first
python -m tests.simulation --scenario FILE         one that was written down
python -m tests.simulation --planted NAME          until a planted bug is found (--list tells which there are)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import count
from pathlib import Path

from tests.simulation.laws import shown
from tests.simulation.planted import BUGS, planted
from tests.simulation.run import play
from tests.simulation.scenario import scenario_of
from tests.simulation.shrink import shrunk

FOLDER = Path(".simulation")
SHARE = 25  # seeds that a process plays at a time
LINE_CHARS = 200


def main():
    given = _arguments()
    if given.list:
        print("\n".join(f"{name:45} {(make.__doc__ or '').split(chr(10))[0]}" for name, make in BUGS.items()))
        return 0
    if given.planted:
        return _find(given.planted, given.first, given.seeds or 2_000)
    if given.seed is not None or given.scenario:
        scenario = (
            json.loads(Path(given.scenario).read_text(encoding="utf-8")) if given.scenario else scenario_of(given.seed)
        )
        return _one(scenario, shrink=given.shrink)
    return _many(given.first, given.seeds, given.minutes)


def _arguments():
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, help="how many")
    parser.add_argument("--minutes", type=float, help="how long, if no number of seeds is given (default 1)")
    parser.add_argument(
        "--first", type=int, default=None, help="the first seed (default: by the clock, 0 for --planted)"
    )
    parser.add_argument("--seed", type=int, help="this one alone, with its trace")
    parser.add_argument("--scenario", help="a scenario from a file, with its trace")
    parser.add_argument("--shrink", action="store_true", help="look for a smaller scenario that fails by the same law")
    parser.add_argument("--planted", metavar="NAME", help="plant this bug, and play seeds until it is found")
    parser.add_argument("--list", action="store_true", help="the bugs that can be planted")
    return parser.parse_args()


# -- one seed ------------------------------------------------------------------------------------------------------


def _one(scenario, *, shrink):
    outcome = play(scenario)
    if shrink and not outcome.sound:
        scenario = shrunk(scenario, outcome.complaints, tell=lambda text: print(text, flush=True))
        outcome = play(scenario)
    FOLDER.mkdir(exist_ok=True)
    trace, written = FOLDER / f"seed-{scenario['seed']}.txt", FOLDER / f"seed-{scenario['seed']}.json"
    trace.write_text(outcome.text(), encoding="utf-8")
    written.write_text(json.dumps(scenario, indent=1), encoding="utf-8")
    print(outcome.text(), end="")
    print(f"\nseed {scenario['seed']}: {shown(outcome.complaints)}")
    print(
        f"{len(scenario['ops'])} operations, {outcome.faults} faults, {outcome.virtual_s:.0f} simulated seconds in "
        f"{outcome.cpu_s:.2f} s of CPU\ntrace: {trace}\nscenario: {written} (--scenario plays it)"
    )
    return 0 if outcome.sound else 1


def _find(name, first, most):
    began = time.process_time()
    for seed in range(first or 0, (first or 0) + most):
        with planted(name):
            outcome = play(scenario_of(seed))
        if not outcome.sound:
            seconds = time.process_time() - began
            print(f"{name} was found by seed {seed}, number {seed - (first or 0) + 1}, in {seconds:.1f} s of CPU")
            print(shown(outcome.complaints))
            return 0
    print(f"{name} was not found by {most} seeds")
    return 1


# -- many seeds ----------------------------------------------------------------------------------------------------


def _many(first, seeds, minutes):
    first = int(time.time()) % 1_000_000 * 1_000 if first is None else first
    end = time.monotonic() + 60 * (minutes or 1) if seeds is None else float("inf")
    starts = range(first, first + seeds, SHARE) if seeds is not None else count(first, SHARE)
    last = first + seeds if seeds is not None else 1 << 62
    print(f"seeds from {first} on", flush=True)
    total, failed, began = Counter(), [], time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        shares, running, said = iter(starts), set(), began
        while True:
            while (
                len(running) < 2 * os.cpu_count()
                and time.monotonic() < end
                and (start := next(shares, None)) is not None
            ):
                running.add(pool.submit(_share, start, min(start + SHARE, last)))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                counted, lines = each.result()
                total.update(counted)
                failed += lines
                for line in lines:
                    print(line, flush=True)
            if time.monotonic() - said > 10:
                said = time.monotonic()
                print(_summary(total, len(failed), said - began), flush=True)
    print(_summary(total, len(failed), time.monotonic() - began))
    return 1 if failed or not total["seeds"] else 0


def _share(start, end):
    """Seeds of one process: counts, and a line for each that fails."""
    total, lines = Counter(), []
    for seed in range(start, end):
        outcome = play(scenario_of(seed))
        total.update(
            seeds=1, faults=outcome.faults, simulated_s=int(outcome.virtual_s), callbacks=outcome.callbacks,
            cpu_ms=int(outcome.cpu_s * 1000), records=len(outcome.evidence.history) if outcome.evidence else 0,
        )  # fmt: skip
        if not outcome.sound:
            found = next(iter(outcome.complaints.values()))
            lines.append(f"seed {seed} fails: {', '.join(outcome.complaints)}: {found[0][:LINE_CHARS]}")
    return total, lines


def _summary(total, failed, seconds):
    hours = total["simulated_s"] / 3600
    return (
        f"{total['seeds']} seeds, {failed} failed; {hours:.1f} simulated hours, {total['faults']} faults, "
        f"{total['records']} records of history in {seconds:.0f} s ({total['cpu_ms'] / 1000:.0f} s of CPU): "
        f"{60 * hours / seconds:.1f} hours and {60 * total['faults'] / seconds:.0f} faults a minute"
    )


if __name__ == "__main__":
    sys.exit(main())
