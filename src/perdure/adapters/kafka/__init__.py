"""The log on Kafka, by aiokafka."""

from perdure.adapters.kafka.limits import Findings
from perdure.adapters.kafka.log import KafkaLog
from perdure.adapters.kafka.settings import KafkaSecurity, KafkaSettings, parse_servers

__all__ = ["Findings", "KafkaLog", "KafkaSecurity", "KafkaSettings", "parse_servers"]
