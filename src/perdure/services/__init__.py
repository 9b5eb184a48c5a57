"""The engine as separate processes: each role by itself, on Kafka and Cassandra.

settings.py     what the environment tells a process, and what to do about what it tells wrongly
layout.py       what bootstrap recorded of a namespace, and every start compares
bootstrap.py    topics, keyspace and tables: created, checked, printed for another team
kafka_topics.py the topics as Kafka has them: settings read and set
plan.py         what `perdure bootstrap --print` tells: topics, access rights, connections
roles.py        one role over ports, as a process sees it: start, readiness, samples, stop
process.py      the process: settings, ports, role, probes, signals, drain
probes.py       /healthz, /readyz and /metrics
samples.py      counts of the roles as Prometheus reads them
hash_seed.py    the same order of sets in every process
"""
