import pytest

from perdure.client.errors import InstanceIdTooLong, InvalidInstanceId
from perdure.client.ids import IdMint, check_chosen_id, check_command_id, check_known_id, derived_id
from perdure.ports.clock import Clock, Entropy


class Fixed(Clock, Entropy):
    def __init__(self, now_us, byte):
        self.now, self.byte = now_us, byte

    def now_us(self):
        return self.now

    def bytes(self, count):
        return self.byte * count


@pytest.mark.parametrize("byte", [b"\x00", b"\xff", b"\xa5"])
def test_a_minted_id_is_a_uuid_of_version_7_whatever_chance_gives(byte):
    import uuid

    made = IdMint(Fixed(1_700_000_000_123_999, byte), Fixed(0, byte)).mint()
    parsed = uuid.UUID(hex=made)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert len(made) == 32


def test_a_minted_id_begins_with_its_milliseconds():
    made = IdMint(Fixed(1_700_000_000_123_999, b"\x01"), Fixed(0, b"\x01")).mint()
    assert int(made[:12], 16) == 1_700_000_000_123
    check_chosen_id(made)


def test_an_id_derived_from_a_command_id_is_always_the_same_and_fits_the_rule():
    assert derived_id("k-1") == derived_id("k-1") != derived_id("k-2")
    check_chosen_id(derived_id("k-1"))


@pytest.mark.parametrize("bad", ["", "a b", "a:b", "ä", "a\n", "a/b", "."])
def test_a_chosen_id_holds_letters_digits_dash_and_underscore_only(bad):
    with pytest.raises(InvalidInstanceId, match="letters, digits"):
        check_chosen_id(bad)


def test_a_chosen_id_has_at_most_64_characters():
    check_chosen_id("x" * 64)
    with pytest.raises(InstanceIdTooLong, match="65 characters"):
        check_chosen_id("x" * 65)


def test_an_id_the_engine_derived_may_be_long_and_hold_colons_but_not_over_512_bytes():
    check_known_id("parent:0001:" + "ä" * 250)
    with pytest.raises(InstanceIdTooLong):
        check_known_id("ä" * 257)
    with pytest.raises(InvalidInstanceId, match="empty"):
        check_known_id("")
    with pytest.raises(InvalidInstanceId, match="Unicode"):
        check_known_id("\ud800")


@pytest.mark.parametrize("bad", ["", "a b", "x" * 257, "line\nbreak", "ü"])
def test_a_command_id_fits_an_http_header(bad):
    with pytest.raises(ValueError, match="printable ASCII"):
        check_command_id(bad)
