"""Who may ask: the API tokens, each with the name of who holds it.

Tokens are known by their hashes, so that a look-up takes the same time whatever was sent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perdure.core.limits import GATEWAY_TOKEN_CHARS_MIN, GATEWAY_TOKENS_MAX

__all__ = ["Caller", "Callers", "read_tokens"]

MAY_NAME_OTHERS: Final = "may-name-others"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


@dataclass(slots=True, frozen=True)
class Caller:
    """`name` is "" for whoever holds the one token without a name. `may_name_others`: X-Requested-By is believed."""

    name: str = ""
    may_name_others: bool = True


class Callers:
    def __init__(self, api_token: str, named: Mapping[str, Caller]) -> None:
        self._known = {_hashed(token.encode()): caller for token, caller in named.items()}
        if api_token:
            self._known.setdefault(_hashed(api_token.encode()), Caller())

    @property
    def are_known(self) -> bool:
        """Whether a token is asked for at all."""
        return bool(self._known)

    def of(self, token: bytes) -> Caller | None:
        return self._known.get(_hashed(token))


def read_tokens(file: Path) -> dict[str, Caller]:
    """Callers by token, of a file with one `NAME TOKEN` a line. Raises ValueError, without a word of a token."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"names no file of text that can be read: {file}") from None
    found: dict[str, Caller] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or line.lstrip().startswith("#"):
            continue
        if len(words) not in (2, 3) or words[2:] not in ([], [MAY_NAME_OTHERS]) or not _NAME.fullmatch(words[0]):
            raise ValueError(f"{file}, line {number}: write NAME TOKEN, and {MAY_NAME_OTHERS} after it if it may")
        name, token = words[0], words[1]
        if len(token) < GATEWAY_TOKEN_CHARS_MIN or not token.isascii():
            raise ValueError(
                f"{file}, line {number}: a token has {GATEWAY_TOKEN_CHARS_MIN} ASCII characters or more, such as "
                "`openssl rand -hex 32` makes"
            )
        if token in found:
            raise ValueError(f"{file}, line {number}: {name} has the same token as {found[token].name}")
        found[token] = Caller(name, may_name_others=len(words) == 3)
    if not found:
        raise ValueError(f"{file} holds no token: write NAME TOKEN, one a line")
    if len(found) > GATEWAY_TOKENS_MAX:
        raise ValueError(f"{file} holds {len(found):,} tokens: at most {GATEWAY_TOKENS_MAX:,}")
    return found


def _hashed(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
