"""Addresses, secrets and shares: no broker is needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.adapters.kafka import KafkaSecurity, KafkaSettings, parse_servers
from perdure.adapters.kafka.assignor import Claim, share_out


def test_an_address_names_its_servers() -> None:
    assert parse_servers("kafka://a:1,b:2") == ("a:1", "b:2")


@pytest.mark.parametrize("address", ["a:1", "kafka://", "kafka://a", "kafka://a:1,b", "kafka://:9"])
def test_a_wrong_address_is_told_what_is_wrong(address: str) -> None:
    with pytest.raises(ValueError, match=r"host:port"):
        parse_servers(address)


def test_secrets_stay_out_of_what_is_printed_and_reach_the_client() -> None:
    security = KafkaSecurity("SASL_PLAINTEXT", "SCRAM-SHA-512", "perdure", "hunter2", key_password="hunter3")
    settings = KafkaSettings(("a:1",), security)
    assert "hunter" not in f"{settings!r} {settings} {security!r}"
    options = settings.client_options()
    assert (options["sasl_mechanism"], options["sasl_plain_password"]) == ("SCRAM-SHA-512", "hunter2")


@given(st.integers(0, 40), st.integers(1, 9), st.data())
def test_every_number_has_one_owner_and_shares_differ_by_one(count: int, members: int, data: st.DataObject) -> None:
    numbers = st.lists(st.integers(0, 50), unique=True).map(tuple)
    claims = {f"m{n}": Claim(data.draw(st.integers(0, 3)), data.draw(numbers)) for n in range(members)}
    shares = share_out(count, claims)
    assert sorted(number for share in shares.values() for number in share) == list(range(count))
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 40), st.integers(1, 9))
def test_a_member_that_stays_loses_no_more_than_the_newcomer_gets(count: int, members: int) -> None:
    first = share_out(count, {f"m{n}": Claim() for n in range(members)})
    assert share_out(count, {member: Claim(1, numbers) for member, numbers in first.items()}) == first
    second = share_out(count, {member: Claim(1, numbers) for member, numbers in first.items()} | {"new": Claim()})
    moved = sum(len(set(first[member]) - set(second[member])) for member in first)
    assert moved == len(second["new"])


def test_of_two_claims_the_later_counts() -> None:
    assert share_out(2, {"a": Claim(1, (0, 1)), "b": Claim(2, (0,))}) == {"a": (1,), "b": (0,)}
