"""Real Kafka and Cassandra on loopback, on a machine that has neither.

Where they come from, in this order: the addresses in PERDURE_TEST_KAFKA and PERDURE_TEST_CASSANDRA (nothing is
started), Docker if an engine answers, Maven artefacts run by the machine's Java. All that is kept lies in `.brokers/`
of the checkout: libraries, data, logs and the state of what runs. Tests that stop or kill a broker start one of their
own (`tests.brokers.private`). Nothing here needs a package outside the standard library, so `python -m tests.brokers
start` works before anything is installed.
"""

from tests.brokers.errors import BrokersUnavailable
from tests.brokers.running import Lease, acquire, fetch, start, stop

__all__ = ["BrokersUnavailable", "Lease", "acquire", "fetch", "start", "stop"]
