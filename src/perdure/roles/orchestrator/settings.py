"""What an orchestrator is given: ports, bounds, and where it counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from perdure.codec.encoder import Encoder
from perdure.core.limits import REQUEST_RESEND_SECONDS
from perdure.core.names import Topics
from perdure.ports.clock import Clock
from perdure.ports.log import Log
from perdure.ports.registry import SchemaRegistry
from perdure.ports.store import HistoryStore
from perdure.telemetry.metrics import Histogram

__all__ = ["DEAD_LETTER_DAYS", "OrchestratorPorts", "OrchestratorSettings", "Stats", "due_every_s"]

DEAD_LETTER_DAYS = 30.0
LOOKS_PER_AGE = 10
LOOK_SECONDS_MIN, LOOK_SECONDS_MAX = 1.0, 600.0


def due_every_s(age_s: float, most_s: float = LOOK_SECONDS_MAX) -> float:
    """How often to look for what is older than that: it goes a tenth of its age late at most."""
    return min(max(age_s / LOOKS_PER_AGE, LOOK_SECONDS_MIN), most_s)


@dataclass(slots=True)
class OrchestratorPorts:
    log: Log
    store: HistoryStore
    clock: Clock
    topics: Topics
    registry: SchemaRegistry | None = None  # none: commands in Confluent's framing become dead letters
    encode: Encoder = field(default_factory=Encoder)


@dataclass(slots=True)
class OrchestratorSettings:
    """Bounds of one process. Seconds and counts."""

    owner: str = "orchestrator"  # who commits: unique per process life
    epoch: int = 0  # of the topics; raised when they are recreated
    batch_requests_max: int = 2_000
    commits_per_second: float = 0.0  # of the process, over all its partitions; 0: as many as can be
    commits_burst: int = 20
    cache_instances_max: int = 20_000
    cache_ended_max: int = 2_000  # ended ones among them: only late questions still want these
    cache_bytes_max: int = 256 * 1024 * 1024  # over all partitions of the process, in equal shares
    write_behind_s: float = 0.4
    store_lag_bytes_max: int = 64 * 1024 * 1024  # above it the owner stops reading until the store has caught up
    store_lag_process_bytes_max: int = 512 * 1024 * 1024  # the same over the process's partitions, with the instances
    delete_every: int = 2_000  # offsets between two requests to the log to let go of what is decided
    retain: Mapping[str, float] = field(default_factory=dict)  # seconds by status; else an instance is kept for ever
    retain_per_second: float = 50.0  # purges for their age, over the namespace
    history_s: float = 0.0  # that followers of the history topic have; 0: it goes once it is stored
    dead_letters_s: float = DEAD_LETTER_DAYS * 86_400  # 0: they are kept for ever
    waiter_silence_s: float = 3 * REQUEST_RESEND_SECONDS  # a client that has not asked again is gone
    retry_s: float = 0.2  # after a failed commit or store
    retry_s_max: float = 5.0
    registry_patience_s: float = 30.0  # a schema registry that is away for longer costs a dead letter


@dataclass(slots=True)
class Stats:
    """Counted as it happens; read by metrics and tests."""

    turns: int = 0
    events: int = 0
    commits: int = 0
    commit_seconds: Histogram = field(default_factory=Histogram)  # from handing it to the log until it was committed
    commits_failed: int = 0
    loads: int = 0
    evictions: int = 0
    stalled: int = 0
    dead_letters: int = 0
    forwarded: int = 0
    takeovers: int = 0
    store_failures: int = 0
    retention_asked: int = 0
    retention_purged: int = 0
    retention_failures: int = 0
    retention_offsets: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
