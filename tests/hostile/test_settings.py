"""Any environment at all: settings, or one error that names the variable and repeats no secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.services.settings import SettingsWrong, read_gateway_settings, read_settings
from tests.hostile.strangers import many

GOOD = {"PERDURE_LOG": "kafka://127.0.0.1:9092", "PERDURE_STORE": "cassandra://127.0.0.1:9042/perdure"}
NAMES = (
    "PERDURE_LOG", "PERDURE_STORE", "PERDURE_NAMESPACE", "PERDURE_EPOCH", "PERDURE_PARTITIONS", "PERDURE_REPLICATION",
    "PERDURE_KAFKA_TLS", "PERDURE_KAFKA_CA_FILE", "PERDURE_KAFKA_MECHANISM", "PERDURE_KAFKA_BOGUS", "PERDURE_HEALTH_PORT",
    "PERDURE_DRAIN_SECONDS", "PERDURE_THREADS", "PERDURE_TASK_QUEUE", "PERDURE_GATEWAY_PORT", "PERDURE_GATEWAY_HOST",
    "PERDURE_GATEWAY_BODY_BYTES_MAX",
)  # fmt: skip
ODD = (
    "9" * 5_000, "-1", "NaN", "inf", "1e999", "0x10", "٣", "true", "kafka://u:sesame@h:1", "kafka://h:99999", "kafka://[::1]:9",
    "cassandra://h:1/9", "cassandra://h:1", "\udcff", "0.0.0.0", "a" * 10_000, "/dev/null", "null", "[]",
)  # fmt: skip
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@many
@given(st.dictionaries(st.sampled_from(NAMES), TEXT | st.sampled_from(ODD), max_size=5))
def test_any_environment_is_settings_or_one_error_in_words(environment):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**GOOD, **environment}.items():
            patch.setenv(name, value)
        for read in (read_settings, read_gateway_settings):
            try:
                read()
            except SettingsWrong as error:
                assert "PERDURE_" in str(error) or "gateway" in str(error)
                assert "sesame" not in str(error)
