"""Ids that a client makes, and the rules for those it is given.

A minted id is a UUID of version 7 in 32 hex digits: it begins with the time in milliseconds, by which the engine
knows that an instance this young cannot be in its store.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from perdure.client.errors import InstanceIdTooLong, InvalidInstanceId
from perdure.core.limits import DERIVED_ID_BYTES_MAX, INSTANCE_ID_CHARS_MAX, NAME_BYTES_MAX
from perdure.ports.clock import Clock, Entropy

__all__ = [
    "COMMAND_ID_CHARS_MAX",
    "IdMint",
    "check_chosen_id",
    "check_command_id",
    "check_event_name",
    "check_known_id",
    "derived_id",
]

COMMAND_ID_CHARS_MAX: Final = 256
"""A command id that a user chooses: it is remembered with the instance, a thousand of them at a time."""

_CHOSEN = re.compile(r"[A-Za-z0-9_-]+")
_COMMAND_ID = re.compile(rf"[!-~]{{1,{COMMAND_ID_CHARS_MAX}}}")
_VERSION_7 = 0x7 << 76 | 0x2 << 62
_RANDOM_BITS = (1 << 80) - 1 & ~(0xF << 76) & ~(0x3 << 62)
_TIME_BITS = (1 << 48) - 1


class IdMint:
    """Makes ids from a clock and from chance."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy

    def mint(self) -> str:
        """A new id: UUID version 7, 32 hex digits."""
        time_ms = self._clock.now_us() // 1000 & _TIME_BITS
        chance = int.from_bytes(self._entropy.bytes(10)) & _RANDOM_BITS
        return f"{time_ms << 80 | _VERSION_7 | chance:032x}"


def derived_id(command_id: str) -> str:
    """The id of an instance whose start carries a command id but no id: a repeat must name the same instance."""
    return hashlib.sha256(f"perdure/start/{command_id}".encode()).hexdigest()[:32]


def check_chosen_id(instance_id: str) -> None:
    """Dapr's rule for an id that a user chooses. Raises InvalidInstanceId, InstanceIdTooLong."""
    _check_text(instance_id)
    if len(instance_id) > INSTANCE_ID_CHARS_MAX:
        raise InstanceIdTooLong(
            f"the instance ID has {len(instance_id)} characters; at most {INSTANCE_ID_CHARS_MAX} are allowed"
        )
    if not _CHOSEN.fullmatch(instance_id):
        raise InvalidInstanceId(f"the instance ID {instance_id!r} may hold only letters, digits, - and _")


def check_known_id(instance_id: str) -> None:
    """The rule for the id of an instance that exists: the engine derives longer ones, with other characters."""
    _check_text(instance_id)
    if not instance_id:
        raise InvalidInstanceId("the instance ID is empty")
    try:
        size = len(instance_id.encode())
    except UnicodeEncodeError:
        raise InvalidInstanceId(f"the instance ID {instance_id!r} is not valid Unicode") from None
    if size > DERIVED_ID_BYTES_MAX:
        raise InstanceIdTooLong(f"the instance ID has {size} bytes; at most {DERIVED_ID_BYTES_MAX} are possible")


def _check_text(instance_id: object) -> None:
    if not isinstance(instance_id, str):
        raise InvalidInstanceId(f"an instance ID is a str, not {instance_id!r}")


def check_event_name(name: object) -> None:
    """1 to 256 bytes of UTF-8. Raises ValueError."""
    try:
        fits = isinstance(name, str) and 0 < len(name.encode()) <= NAME_BYTES_MAX
    except UnicodeEncodeError:
        raise ValueError(f"the event name {name!r} is not valid Unicode") from None
    if not fits:
        raise ValueError(f"an event name is a str of 1 to {NAME_BYTES_MAX} bytes, not {str(name)[:64]!r}")


def check_command_id(command_id: str) -> None:
    """Printable ASCII without spaces, so that it fits an HTTP header. Raises ValueError."""
    if not _COMMAND_ID.fullmatch(command_id):
        raise ValueError(
            f"the command ID {command_id[:64]!r} must be 1 to {COMMAND_ID_CHARS_MAX} printable ASCII "
            "characters without spaces"
        )
