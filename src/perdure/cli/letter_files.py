"""Reading dead letters in a database file: `perdure dead-letters list | show --db FILE`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from perdure import assembly
from perdure.cli.files import existing
from perdure.client.errors import DeadLetterNotFound
from perdure.core.names import Topics
from perdure.letters import LetterFilter, LetterPage, LetterRecord, Marks, find_letter, list_letters
from perdure.ports.log import Record

__all__ = ["stored_letter", "stored_letters"]


class _Database(Protocol):
    """What is asked of a file (`perdure.assembly.read_database`)."""

    def partitions(self, topic: str) -> int: ...

    def records(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]: ...

    def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...


class _Source:
    """The file as a list of letters reads a log."""

    def __init__(self, database: _Database) -> None:
        self._database = database

    async def partitions(self, topic: str) -> int:
        return self._database.partitions(topic)

    async def fetch(self, topic: str, partition: int, offset: int, max_records: int) -> list[Record]:
        return self._database.records(topic, partition, offset, max_records)

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return self._database.bounds(topic, partition)


def stored_letters(path: Path, where: LetterFilter, limit: int, after: str) -> LetterPage:
    """Raises NotThere, StoreUnavailable, DatabaseDamaged, TopicMissing; ValueError for a page that is none."""
    with assembly.read_database(existing(path)) as database:
        source, topics = _Source(database), Topics(database.namespace)
        return asyncio.run(list_letters(source, topics, Marks(source, topics), where, limit, after))


def stored_letter(path: Path, letter_id: str) -> LetterRecord:
    """Raises as above, and DeadLetterNotFound."""
    with assembly.read_database(existing(path)) as database:
        source, topics = _Source(database), Topics(database.namespace)
        found = asyncio.run(find_letter(source, topics, Marks(source, topics), letter_id))
    if found is None:
        raise DeadLetterNotFound(f"there is no dead letter {letter_id} in {path}")
    return found
