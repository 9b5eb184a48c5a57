"""The engine as separate processes: each role by itself, on Kafka and Cassandra.

process.py        the process: settings, ports, role, probes, signals, drain
roles.py          one role over ports, as its process sees it
watched.py        a log that tells how far its readers have come
watchdog.py       finds readers that stand still; how often a role may begin again
start_checks.py   settings of topics under which a service does not start
settings.py       what the environment tells, and what to do about what it tells wrongly
probes.py         /healthz, /readyz and /metrics
samples.py        what the roles count, as Prometheus reads it
backlog.py        what waits for services that may not be there, as orchestrators tell it
hash_seed.py      the same order of sets in every process
library_logs.py   what the libraries log, in the form of our own
layout.py         what bootstrap recorded of a namespace, compared at every start
bootstrap.py      topics and tables: created and checked
bootstrapping.py  bootstrap from settings, over ports that it opens
kafka_topics.py   topics as Kafka has them: copies and settings
keyspace.py       copies of the keyspace, compared
plan.py           what `perdure bootstrap --print` tells those who own the clusters
grants.py         the same for Cassandra, table by table
growth.py         `perdure grow`: more partitions
restoration.py    `perdure restore`: after a log was lost
upgrade.py        `perdure upgrade`: the namespace's write version
"""
