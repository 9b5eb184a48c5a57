"""A subscription's letter, sent again: its message is mapped anew, by the subscription as it is today.

The command has the id that it would have had at the first time, from where the message stands in its topic. So a letter
that is replayed after its message was taken after all (the subscription added again from the beginning, say) has no
second effect.
"""

from __future__ import annotations

from perdure.codec.encoder import Encoder
from perdure.core.headers import REPLAY_OF
from perdure.core.names import Topics
from perdure.letters.letter import LetterRecord
from perdure.letters.resending import NotReplayable
from perdure.ports.errors import TopicMissing
from perdure.ports.log import Log, Outgoing, Record
from perdure.ports.registry import RegistryUnavailable, SchemaRegistry
from perdure.roles.subscriptions.mapping import Misfit, mapped
from perdure.roles.subscriptions.register import read_register
from perdure.roles.subscriptions.schemas import WriterSchemas

__all__ = ["remapped"]


async def remapped(
    found: LetterRecord, log: Log, topics: Topics, registry: SchemaRegistry | None, encode: Encoder
) -> Outgoing | NotReplayable:
    """The command that its message makes today. Raises PortError where the log cannot be read."""
    letter, origin = found.letter, found.letter.origin
    if origin is None or letter.truncated_bytes:
        return NotReplayable("it was cut, or does not say where its message stands: have it published again")
    try:
        declared = (await read_register(log, topics)).declared.get(letter.subscription)
    except TopicMissing as error:
        return NotReplayable(str(error))
    if declared is None or declared.subscription.topic != origin.topic:
        return NotReplayable(f"there is no subscription '{letter.subscription}' of the topic {origin.topic} any more")
    message = Record(
        origin.topic, origin.partition, origin.offset, found.key, found.value, found.headers, letter.at_us // 1_000
    )
    try:
        schema = await WriterSchemas(registry).of(message, declared.subscription)
        command = mapped(message, declared.subscription, schema)
    except (Misfit, RegistryUnavailable) as error:
        return NotReplayable(f"subscription '{letter.subscription}' makes nothing of it: {error}")
    if command is None:
        return NotReplayable(f"subscription '{letter.subscription}' passes it over today: `when` does not give true")
    out = command.outgoing(topics.instances, await log.partitions(topics.instances), encode)
    out.headers = (*out.headers, (REPLAY_OF, letter.letter_id.encode()))
    return out
