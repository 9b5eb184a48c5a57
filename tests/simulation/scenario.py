"""What one seed means: processes, their bounds, what clients do, what goes wrong. Plain JSON values, so that a scenario can
be written down, changed and shrunk; the seed then only decides the order of what could happen at the same time.

| fault | what happens |
|---|---|
| crash | a process is abandoned after so many callbacks from then on, and started again a little later |
| crash_all | every process of a role, or all of all roles, at once |
| stop | SIGTERM: it drains, exits, and is started again |
| pause | SIGSTOP for some seconds, then SIGCONT: beyond the session time-out it wakes as a zombie |
| cut | a process cannot reach the log, the store or either for some seconds |
| slow | what a process sends and is sent takes long |
| away | the log or the store answers nobody for some seconds |
| sluggish | the log or the store is slow for everybody |
| rates | of a hundred calls so many are lost, answered in vain, late or refused, for some seconds |
| rebalance | a group gives everything up and is assigned anew |
| miss | a group is assigned anew, and a member asks for its part too late: it gets one in the next round |
| expel | a member is thrown out of its group without being told, and hears of it a little later |
| abort | the brokers end whatever transactions are open |
| full | a partition takes no records for some seconds |
| clock | the clock of a process is set forward or back |
| expire | a partition in which nothing happens loses its history, as by retention |
| deploy | some orchestrators (or all processes) are started again with another version of the user's code |
| poison | garbage, or a command for another partition, among the commands of a partition |
| echo | a record that a worker, a timer or an instance has sent is in the topic once more |
| hang | a reader reads nothing more and says nothing of it |
| join, leave | one more process of a role; one less |
| registry | the schema registry is away, slow, or has forgotten everything, for some seconds |

What comes from outside (strangers, sources, operators, an earlier write version) and what goes wrong with it is drawn from
streams of its own: the rest of a seed's scenario is what it is without it.
"""

from __future__ import annotations

import random as random_of

from tests.simulation.workload.operations import generate
from tests.simulation.workload.sources import errands, source
from tests.simulation.workload.strangers import publications

ROLES = ("orchestrator", "activity-worker", "timer")
SERVICES = (*ROLES, "subscriber")  # the last one only where there are subscriptions
GROUPS = {role: f"sim.{role}" for role in ROLES} | {"subscriber": "sim.subscription.orders"}
FAULTS = {
    "crash": 30, "crash_all": 4, "stop": 8, "pause": 14, "cut": 8, "slow": 4, "away": 6, "sluggish": 4, "rates": 10,
    "rebalance": 10, "miss": 8, "expel": 6, "abort": 5, "full": 3, "clock": 5, "expire": 5, "deploy": 9, "poison": 6, "echo": 10,
    "hang": 5, "join": 5, "leave": 5,
}  # fmt: skip

SECONDS = {"crash": 4, "pause": 6, "cut": 6, "rebalance": 5, "expel": 3, "abort": 2, "away": 2, "rates": 2}
"""Faults that come as the second of a pair."""


def scenario_of(seed, *, size=None):
    """The scenario of a seed: some are calm and some are wild."""
    random = random_of.Random(f"scenario {seed}")
    seconds = random.choice((12.0, 25.0, 40.0))
    counts = {role: random.choice((1, 2, 2, 3)) for role in ROLES}
    partitions = random.choice((1, 2, 3, 4))
    clients = random.choice((1, 2, 3))
    many = random.choice((10, 25, 40)) if size is None else size
    scenario = {
        "seed": seed,
        "seconds": seconds,
        "partitions": partitions,
        "counts": counts,
        "clients": clients,
        "bounds": _bounds(random),
        "ops": generate(random, clients=clients, seconds=seconds, size=many),
    }
    number = random.choice((0, 3, 8, 8, 16, 24))
    faults = [fault for _ in range(number) for fault in _alone_or_in_pairs(random, scenario, counts)]
    scenario["faults"] = sorted(faults, key=lambda fault: fault["at"])
    random = random_of.Random(f"retention {seed}")
    if (retention := _retention(random)) is not None:
        scenario["retention"] = retention
        scenario["ops"] = sorted([*scenario["ops"], *_again_and_again(random, scenario)], key=lambda op: op["at"])
        scenario["bounds"]["orchestrator"]["write_behind_s"] = random.choice((0.05, 2.0, 4.0))
    _outside(seed, scenario)
    return scenario


def _outside(seed, scenario):
    """Who is there beside clients. Each of a stream of its own."""
    seconds = scenario["seconds"]
    random = random_of.Random(f"strangers {seed}")
    if random.random() < 0.3:
        scenario["published"] = publications(random, seconds=seconds, size=random.choice((5, 12, 25)))
        _trouble(random, scenario, {"registry": 1}, random.choice((0, 1, 3)))
    random = random_of.Random(f"sources {seed}")
    if random.random() < 0.25:
        scenario["source"] = source(random, seconds=seconds)
        scenario["counts"] = {**scenario["counts"], "subscriber": random.choice((1, 2))}
        if scenario["faults"]:
            _trouble(random, scenario, OF_SUBSCRIBERS, random.choice((0, 2, 5)))
    random = random_of.Random(f"operators {seed}")
    if random.random() < (0.6 if "published" in scenario or "source" in scenario else 0.1):
        scenario["errands"] = errands(random, seconds=seconds)
        if scenario["faults"]:
            _trouble(random, scenario, OF_OPERATORS, random.choice((0, 1, 3)))
    random = random_of.Random(f"writes {seed}")
    if random.random() < 0.2:
        at = round(random.uniform(0, seconds), 3)
        scenario["writes"] = {"behind_until": round(random.choice((0.0, random.uniform(0, seconds))), 3)}
        upgrade = {"at": at, "operator": 0, "what": "upgrade"}
        scenario["errands"] = sorted([*scenario.get("errands", ()), upgrade], key=lambda each: each["at"])


OF_SUBSCRIBERS = {
    "crash": 8,
    "pause": 4,
    "stop": 2,
    "cut": 2,
    "hang": 3,
    "rebalance": 4,
    "expel": 3,
    "leave": 1,
    "abort": 1,
}
OF_OPERATORS = {"crash": 6, "pause": 2, "cut": 1}


def _trouble(random, scenario, kinds, count):
    """What goes wrong with these in particular, among the rest."""
    role = {id(OF_SUBSCRIBERS): "subscriber", id(OF_OPERATORS): "operator"}.get(id(kinds), "")
    numbers = scenario["counts"].get(role, 2)
    faults = list(scenario["faults"])
    for _ in range(count):
        kind = random.choices(list(kinds), list(kinds.values()))[0]
        fault = {"at": round(random.uniform(0.2, scenario["seconds"]), 3), "kind": kind}
        fault.update(_MORE[kind](random, scenario, dict.fromkeys(ROLES, 1)))
        if role and "role" in fault:
            fault |= {"role": role} | ({"number": random.randrange(numbers)} if "number" in fault else {})
        faults.append(fault)
    scenario["faults"] = sorted(faults, key=lambda fault: fault["at"])


def _retention(random):
    """How long ended instances and records are kept. Of a stream of its own: seeds without it are what they were before it."""
    if random.random() < 0.7:
        return None
    ages = {"COMPLETED": (1, 3, 8, 12), "FAILED": (1, 8), "TERMINATED": (1, 4, 12)}
    some = random.sample(list(ages), random.randint(1, 3))
    return {
        "retain": ",".join(f"{status}={random.choice(ages[status])}s" for status in some),
        "per_second": random.choice((5.0, 50.0, 1_000.0)),
        "history_s": random.choice((0.0, 10.0, 20.0)),
        "dead_letters_s": random.choice((0.0, 8.0)),
    }


def _again_and_again(random, scenario):
    """An id whose runs end soon and follow one another about as fast as they grow old: what was seen of one meets the next."""
    for number in range(random.choice((0, 2, 4))):
        client, instance, at = random.randrange(scenario["clients"]), f"r-{number:04}", random.uniform(0, 4)
        for run in range(12):
            steps = [{"do": "event", "name": "never", "timeout_s": None}]
            start = {"workflow": "plan", "input": {"label": f"{instance}-{run}", "steps": steps}, "delay_s": 0}
            end = {"recursive": True, "output": "stopped"}
            lasts = random.uniform(0.05, 0.5)
            for after, verb, more in ((0, "start", start), (lasts, "terminate", end)):
                op = {"at": round(at + after, 3), "client": client, "verb": verb, "instance": instance}
                yield {**op, "command_id": f"{instance}-{run}-{verb}", **more}
            at += lasts + random.uniform(0.3, 3.0)
            if at > scenario["seconds"]:
                break


def _bounds(random):
    drawn = _drawn_bounds(random)
    bounds = drawn["orchestrator"]
    if bounds["write_behind_s"] >= 2.0 and bounds["batch_requests_max"] == 3:
        bounds["store_lag_process_bytes_max"] = 40_000  # no draw of its own: seeds stay what they were
    return drawn


def _drawn_bounds(random):
    return {
        "orchestrator": {
            "cache_instances_max": random.choice((1, 4, 10, 20_000)),
            "cache_ended_max": random.choice((0, 2, 2_000)),
            "batch_requests_max": random.choice((1, 3, 2_000)),
            "commits_per_second": random.choice((0.0, 0.0, 150.0, 20.0)),
            "write_behind_s": random.choice((0.05, 0.4, 2.0)),
            "store_lag_bytes_max": random.choice((2_000, 64 * 1024 * 1024)),
            "delete_every": random.choice((1, 10, 100)),
        },
        "activity-worker": random.choice(
            (
                {},
                {
                    "lease_after_s": 3.0,
                    "lease_s": 8.0,
                    "lease_renew_s": 2.0,
                    "in_flight_max": 4,
                    "unregistered_window_s": 5.0,
                },
            )
        ),
        "timer": random.choice(({}, {"near_s": 6.0, "slice_s": 20, "flush_s": 0.2, "recheck_s": 1.0})),
    }


def _alone_or_in_pairs(random, scenario, counts):
    """The second of a pair strikes while the first is being dealt with."""
    first = _fault(random, scenario, counts, FAULTS)
    yield first
    if random.random() < 0.35:
        second = _fault(random, scenario, counts, SECONDS)
        soon = random.choice((0.0, 0.001, 0.003, 0.01, 0.5))
        yield {**second, "at": round(first["at"] + soon, 3)}


def _fault(random, scenario, counts, kinds):
    kind = random.choices(list(kinds), list(kinds.values()))[0]
    fault = {"at": round(random.uniform(0.2, scenario["seconds"]), 3), "kind": kind}
    fault.update(_MORE[kind](random, scenario, counts))
    return fault


def _process(random, counts):
    role = random.choices(ROLES, (6, 3, 2))[0]
    return {"role": role, "number": random.randrange(counts[role])}


def _any_process(random, scenario, counts):
    if random.random() < 0.15:
        return {"role": "client", "number": random.randrange(scenario["clients"])}
    return _process(random, counts)


def _seconds(random):
    """Some shorter than a session, some longer."""
    return round(random.choice((random.uniform(0.2, 5), random.uniform(5, 9), random.uniform(7, 20))), 3)


def _rates(random):
    server = random.choice(("log", "store"))
    chance = random.choice((1.0, 5.0, 20.0))
    kinds = random.sample(("requests_lost", "answers_lost", "late", "refused"), random.randint(1, 3))
    return {"server": server, "rates": dict.fromkeys(kinds, chance)}


_MORE = {
    "crash": lambda r, s, c: {**_any_process(r, s, c), "after": r.choice((1, 3, 10, 40, 200)), "down_s": r.choice((0.2, 1.0, 8.0))},
    "crash_all": lambda r, s, c: {"role": r.choice((*ROLES, "")), "down_s": r.choice((0.2, 3.0))},
    "stop": lambda r, s, c: _process(r, c),
    "pause": lambda r, s, c: {**_any_process(r, s, c), "after": r.choice((1, 5, 50)), "seconds": _seconds(r)},
    "cut": lambda r, s, c: {**_any_process(r, s, c), "from": r.choice(("log", "log", "store")), "seconds": _seconds(r)},
    "slow": lambda r, s, c: {**_process(r, c), "by_s": r.choice((0.05, 0.5, 2.0)), "seconds": _seconds(r)},
    "away": lambda r, s, c: {"server": r.choice(("log", "store", "store")), "seconds": _seconds(r)},
    "sluggish": lambda r, s, c: {"server": r.choice(("log", "store")), "by_s": r.choice((0.05, 0.5, 1.5)), "seconds": _seconds(r)},
    "rates": lambda r, s, c: {**_rates(r), "seconds": _seconds(r)},
    "rebalance": lambda r, s, c: {"role": r.choices(ROLES, (4, 2, 2))[0]},
    "miss": lambda r, s, c: {**_process(r, c), "seconds": round(r.choice((r.uniform(0.05, 0.5), r.uniform(0.5, 4))), 3)},
    "expel": lambda r, s, c: {**_process(r, c), "seconds": round(r.uniform(0.2, 6), 3)},
    "abort": lambda r, s, c: {},
    "full": lambda r, s, c: {
        "topic": r.choice(("instances", "history", "activities", "timers", "replies")),
        "partition": r.randrange(s["partitions"]), "seconds": _seconds(r),
    },
    "clock": lambda r, s, c: {**_process(r, c), "by_s": round(r.choice((r.uniform(-2, 2), r.uniform(-30, 30))), 3)},
    "expire": lambda r, s, c: {"partition": r.randrange(s["partitions"])},
    "deploy": lambda r, s, c: {
        "role": r.choice(("orchestrator", "orchestrator", "")), "numbers": r.choice((None, [0])), "version": r.choice((2, 2, 1)),
        "seconds": _seconds(r),
    },
    "poison": lambda r, s, c: {
        "partition": r.randrange(s["partitions"]), "what": r.choice(("garbage", "empty", "schema", "key", "misrouted")),
        "number": r.randrange(1 << 30),
    },
    "echo": lambda r, s, c: {"back": r.choice((1, 2, 5, 30)), "topic": r.choice(("instances", "instances", "activities", "timers"))},
    "hang": lambda r, s, c: {"role": r.choice(ROLES), "number": r.randrange(1 << 30)},
    "join": lambda r, s, c: {"role": r.choices(ROLES, (4, 2, 2))[0], "seconds": _seconds(r)},
    "leave": lambda r, s, c: {**_process(r, c), "seconds": _seconds(r)},
    "registry": lambda r, s, c: {"what": r.choice(("away", "away", "slow", "forgets")), "seconds": _seconds(r)},
}  # fmt: skip
