"""Settings: what is missing or wrong is named, with what to do; secrets are never shown."""

import pytest

from perdure.assembly import cassandra_settings, kafka_settings
from perdure.services.roles import orchestrator_bounds
from perdure.services.settings import HEALTH_PORTS, ServiceSettings, SettingsWrong, read_settings

SECRET = "tiger-9"


def wrong(**given):
    with pytest.raises(SettingsWrong) as caught:
        read_settings(**given)
    return str(caught.value)


def test_two_addresses_are_enough():
    settings = read_settings()
    assert settings.kafka_servers == ("127.0.0.1:9092",)
    assert (settings.cassandra_hosts, settings.keyspace) == ((("127.0.0.1", 9042),), "perdure")
    assert (settings.namespace, settings.epoch, settings.partitions) == ("perdure", 0, 4)
    assert (settings.replication, settings.insync_min) == (3, 2)


def test_several_servers_and_ipv6_are_taken(environment):
    environment.setenv("PERDURE_LOG", "kafka://a.example:9092, [::1]:9093")
    environment.setenv("PERDURE_STORE", "cassandra://[::1]:9042,b:9043/keys")
    settings = read_settings()
    assert settings.kafka_servers == ("a.example:9092", "[::1]:9093")
    assert settings.cassandra_hosts == (("::1", 9042), ("b", 9043))


def test_what_is_missing_is_told_with_an_example(environment):
    environment.delenv("PERDURE_LOG")
    environment.delenv("PERDURE_STORE")
    told = wrong()
    assert "PERDURE_LOG is not set: say where it is, such as PERDURE_LOG=kafka://127.0.0.1:9092" in told
    assert "PERDURE_STORE is not set" in told


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("LOG", "localhost:9092", "PERDURE_LOG is no address of Kafka: write kafka://"),
        ("LOG", "kafka://localhost", "PERDURE_LOG is no address of Kafka"),
        ("LOG", "kafka://localhost:99999", "PERDURE_LOG is no address of Kafka"),
        ("STORE", "cassandra://localhost:9042", "PERDURE_STORE is no address of Cassandra"),
        ("STORE", "cassandra://localhost:9042/a-b", "PERDURE_STORE is no address of Cassandra"),
        ("NAMESPACE", "a.b", "PERDURE_NAMESPACE cannot begin the names of topics"),
        ("PARTITIONS", "0", "PERDURE_PARTITIONS: "),
        ("PARTITIONS", "many", "PERDURE_PARTITIONS: "),
        ("EPOCH", "-1", "PERDURE_EPOCH: "),
        (
            "RETAIN",
            "DONE=3d",
            "PERDURE_RETAIN cannot be: 'DONE' is no status that an instance ends with: write COMPLETED",
        ),
        (
            "RETAIN",
            "FAILED=soon",
            "PERDURE_RETAIN cannot be: 'soon' is no age for FAILED: a whole number and s, m, h or d",
        ),
        ("RETAIN_PER_SECOND", "0", "PERDURE_RETAIN_PER_SECOND: "),
        ("HISTORY_HOURS", "-1", "PERDURE_HISTORY_HOURS: "),
        ("HISTORY_HOURS", "nan", "PERDURE_HISTORY_HOURS: "),
        ("DEAD_LETTER_DAYS", "inf", "PERDURE_DEAD_LETTER_DAYS: "),
        ("KAFKA_MECHANISM", "MD5", "PERDURE_KAFKA_MECHANISM: "),
        ("KAFKA_MECHANISM", "PLAIN", "PERDURE_KAFKA_MECHANISM is set without PERDURE_KAFKA_USERNAME"),
        ("KAFKA_USERNAME", "u", "PERDURE_KAFKA_USERNAME is set without PERDURE_KAFKA_PASSWORD: set both or none"),
        ("CASSANDRA_PASSWORD", "p", "PERDURE_CASSANDRA_PASSWORD is set without PERDURE_CASSANDRA_USERNAME"),
        ("KAFKA_CA_FILE", "/nowhere/ca.pem", "PERDURE_KAFKA_CA_FILE is set, but TLS is off"),
        ("KAFKA_SASL_PASSWORD", "p", "PERDURE_KAFKA_SASL_PASSWORD is no setting of Perdure"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(environment, variable, value, told):
    environment.setenv(f"PERDURE_{variable}", value)
    assert told in wrong()


def test_a_file_that_is_not_there_is_named(environment):
    environment.setenv("PERDURE_CASSANDRA_TLS", "true")
    environment.setenv("PERDURE_CASSANDRA_CA_FILE", "/nowhere/ca.pem")
    assert "PERDURE_CASSANDRA_CA_FILE names no file that can be read: /nowhere/ca.pem" in wrong()


def test_secrets_reach_the_clients_and_are_shown_nowhere(environment, caplog, capsys):
    for name, value in (
        ("KAFKA_USERNAME", "ann"), ("KAFKA_PASSWORD", SECRET), ("KAFKA_MECHANISM", "SCRAM-SHA-512"),
        ("CASSANDRA_USERNAME", "ann"), ("CASSANDRA_PASSWORD", SECRET),
    ):  # fmt: skip
        environment.setenv(f"PERDURE_{name}", value)
    settings = read_settings()
    kafka, cassandra = kafka_settings(settings, "test"), cassandra_settings(settings)
    assert (kafka.security.password, cassandra.security.password) == (SECRET, SECRET)
    assert (kafka.security.protocol, kafka.security.mechanism) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    for shown in (settings, kafka, cassandra, settings.model_dump(), settings.model_dump_json()):
        assert SECRET not in f"{shown!r} {shown}"


@pytest.mark.parametrize("variable", ["PERDURE_LOG", "PERDURE_STORE"])
@pytest.mark.parametrize("scheme", ["kafka", "cassandra", "nonsense"])
def test_a_password_in_an_address_is_refused_without_being_repeated(environment, variable, scheme):
    environment.setenv(variable, f"{scheme}://ann:{SECRET}@host:1/k")
    told = wrong()
    assert "holds a user or a password" in told
    assert SECRET not in told


def test_a_wrong_setting_beside_a_secret_does_not_show_it(environment):
    environment.setenv("PERDURE_KAFKA_PASSWORD", SECRET)
    environment.setenv("PERDURE_EPOCH", "x")
    assert SECRET not in wrong()
    environment.delenv("PERDURE_EPOCH")
    assert SECRET not in wrong()  # a password without a user


def test_settings_of_other_parts_are_left_alone(environment):
    environment.setenv("PERDURE_LOG_LEVEL", "DEBUG")
    environment.setenv("PERDURE_GATEWAY_PORT", "1")
    assert isinstance(read_settings(), ServiceSettings)


def test_a_given_value_comes_before_the_environment_and_none_does_not(environment):
    environment.setenv("PERDURE_PARTITIONS", "4")
    assert read_settings(partitions=8).partitions == 8
    assert read_settings(partitions=None).partitions == 4


def test_every_role_has_a_port_of_its_own():
    assert len(set(HEALTH_PORTS.values())) == len(HEALTH_PORTS) == 5


def test_what_is_kept_and_for_how_long(environment):
    settings = read_settings()
    assert (settings.ages, settings.history_hours, settings.dead_letter_days) == ({}, 24, 30)
    environment.setenv("PERDURE_RETAIN", "COMPLETED=30d,FAILED=90d")
    assert read_settings().ages == {"COMPLETED": 30 * 86_400, "FAILED": 90 * 86_400}


def test_an_orchestrator_is_told_what_the_environment_says_of_ages(environment):
    environment.setenv("PERDURE_RETAIN", "TERMINATED=1h")
    environment.setenv("PERDURE_RETAIN_PER_SECOND", "7")
    environment.setenv("PERDURE_HISTORY_HOURS", "0.5")
    environment.setenv("PERDURE_DEAD_LETTER_DAYS", "2")
    bounds = orchestrator_bounds(read_settings())
    assert (bounds.retain, bounds.retain_per_second) == ({"TERMINATED": 3_600}, 7)
    assert (bounds.history_s, bounds.dead_letters_s) == (1_800, 2 * 86_400)
