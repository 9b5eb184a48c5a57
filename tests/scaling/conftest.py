from tests.on_brokers import cassandra_address, kafka_address, namespace

__all__ = ["cassandra_address", "kafka_address", "namespace"]
