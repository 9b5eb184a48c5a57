"""Names of headers of records: what producers may say, and what the engine says of a record."""

from __future__ import annotations

from typing import Final

__all__ = [
    "COMMAND_ID",
    "CONTENT_TYPE",
    "CUT",
    "FORWARDED",
    "ORIGIN",
    "OURS_BEGIN",
    "REASON",
    "REPLAY_OF",
    "SUBSCRIPTION",
    "TRUNCATED",
]

CONTENT_TYPE: Final = "content-type"
"""A producer's: how a command is framed."""

OURS_BEGIN: Final = "perdure-"

COMMAND_ID: Final = "perdure-command-id"
"""A producer's: the command's id, beside the message."""

FORWARDED: Final = "perdure-forwarded"
"""An owner's: where a command came to, that was not its home; it is passed on once."""

REASON: Final = "perdure-reason"
ORIGIN: Final = "perdure-origin"
TRUNCATED: Final = "perdure-truncated-bytes"
SUBSCRIPTION: Final = "perdure-subscription"
"""Of a dead letter: why it is one, the topic/partition/offset that it was at, how long it was before it was cut, and
the subscription that made nothing of it."""

CUT: Final = "perdure-cut"
"""Of a dead letter that the log would not take with its value."""

REPLAY_OF: Final = "perdure-replay-of"
"""Of a record that was sent again: the dead letter that it was."""
