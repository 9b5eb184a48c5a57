"""The namespace's write version, as a process hears of it: at its start, and every few seconds while it runs.

It is never urgent: whoever has yet to hear of a raised version writes what everybody reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from perdure.codec.encoder import Encoder
from perdure.core.names import Topics
from perdure.ports.errors import PortError, TopicMismatch
from perdure.ports.log import Log
from perdure.services.layout import read_layout, refuse_unknown

__all__ = ["LOOK_SECONDS", "follow_write_version", "learn_write_version"]

LOOK_SECONDS: Final = 5.0
"""Between two looks: three small requests, and so long an upgrade takes to be everywhere."""

log = structlog.get_logger("perdure.service")


async def learn_write_version(at: Log, topics: Topics, encode: Encoder) -> bool:
    """Raise the encoder to what is recorded, and say whether that was news; what cannot be read now leaves it as it is.

    It tells nothing: a client's standard output is its own. Raises TopicMismatch where this release would meet records that it cannot read.
    """
    try:
        layout = await read_layout(at, topics)
    except TopicMismatch:
        raise
    except PortError:
        return False
    if layout is None:
        return False
    refuse_unknown(layout, topics)
    return encode.raise_to(layout.writes)


async def follow_write_version(at: Log, topics: Topics, encode: Encoder, fail: Callable[[str], None]) -> None:
    """Until it is cancelled, or `fail` was told that this release can read the namespace no longer."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            if await learn_write_version(at, topics, encode):
                log.info("the namespace's write version is raised", namespace=topics.namespace, writes=encode.version)
        except TopicMismatch as error:
            fail(str(error))
            return
