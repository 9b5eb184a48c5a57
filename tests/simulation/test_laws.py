"""The laws themselves: sound evidence is sound, and each of them sees what it is for."""

import pytest

from tests.simulation.doctored import DOCTORS, doctored
from tests.simulation.laws import LAWS, shown, verdict
from tests.simulation.laws.places import home
from tests.simulation.ordinary import ordinary


def test_the_ordinary_evidence_is_sound_before_it_is_doctored():
    assert verdict(ordinary()) == {}


@pytest.mark.parametrize(("law", "doctor"), DOCTORS, ids=[f"{law}-{doctor.__name__}" for law, doctor in DOCTORS])
def test_a_law_sees_what_it_is_for(law, doctor):
    complaints = verdict(doctored(doctor)).get(law, [])

    assert complaints, "the law did not see it"
    assert "cannot read" not in complaints[0], shown({law: complaints})


def test_every_law_has_been_seen_to_fail():
    assert {law.__name__ for law in LAWS} == {law for law, _ in DOCTORS}


def test_a_law_that_cannot_read_the_evidence_says_so():
    def nonsense(evidence):
        evidence.history.insert(0, evidence.history[-1]._replace(instance="s-0009", name="What", fields={}))

    complaints = verdict(doctored(nonsense))

    assert any("cannot read" in each for found in complaints.values() for each in found)


@pytest.mark.parametrize(
    ("key", "partition"), [("foobar", -790332482), ("21", -973932308), ("a-little-bit-long-string", -985981536)]
)
def test_a_home_is_where_the_java_client_sends_a_key(key, partition):
    """Hashes of Kafka's own UtilsTest."""
    assert home(key, 1 << 31) == partition & 0x7FFFFFFF
