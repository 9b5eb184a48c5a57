"""The token that continues a listing: the place of the last row shown, (created_at_us, instance id)."""

from __future__ import annotations

import base64
import binascii

__all__ = ["page_token", "place_of"]

TIME_END = 1 << 62  # no time of ours, and as much as a store's column takes
_PREFIX = "1."  # the token's version: one of another meaning is refused, not misread


def page_token(created_at_us: int, instance_id: str) -> str:
    text = base64.urlsafe_b64encode(f"{created_at_us}:{instance_id}".encode())
    return _PREFIX + text.decode().rstrip("=")


def place_of(token: str) -> tuple[int, str]:
    """Raises ValueError for anything that `page_token` did not make."""
    body = token.removeprefix(_PREFIX)
    try:
        text = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True).decode()
        created, _, instance_id = text.partition(":")
        place = int(created), instance_id
    except (ValueError, binascii.Error):
        place = 0, ""
    if page_token(*place) != token or not -TIME_END <= place[0] <= TIME_END:  # only what we made comes out the same
        raise ValueError(f"{token[:80]!r} is no page token: give what an earlier page returned as `next`")
    return place
