"""The engine as separate services on real Kafka and Cassandra, all CPU counted, split by process."""

from loadtest.kafka.bench import ALL, bench

__all__ = ["ALL", "bench"]
