"""The schema's versions: the files of the folder schema, 001_….cql and so on, applied in order.

The law: what was released is never changed, a later version is a file of its own; and every statement may run twice
(IF NOT EXISTS, IF EXISTS), because nobody knows how far a bootstrap came that died.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple, Protocol

__all__ = ["Migration", "known_migrations", "read_migrations"]

_FILE = re.compile(r"(\d{3})_([a-z0-9_]+)\.cql")


class Migration(NamedTuple):
    """The way to a version from the one before it."""

    version: int
    name: str
    statements: tuple[str, ...]


class _File(Protocol):
    """Of a folder or of a wheel."""

    @property
    def name(self) -> str: ...

    def read_text(self, encoding: str) -> str: ...


def read_migrations(found: Iterable[_File]) -> tuple[Migration, ...]:
    """In order. ValueError: a file's name says no version, or the versions are not 1, 2, 3 and so on."""
    migrations = []
    for file in sorted(found, key=lambda file: file.name):
        name = _FILE.fullmatch(file.name)
        if name is None:
            raise ValueError(f"{file.name} is no migration: name it 007_what_it_brings.cql")
        migrations.append(Migration(int(name[1]), name[2], _statements(file.read_text("utf-8"))))
    versions = [migration.version for migration in migrations]
    if versions != list(range(1, len(versions) + 1)):
        raise ValueError(f"versions of the schema are {versions}: they begin at 1 and leave none out")
    return tuple(migrations)


@cache
def known_migrations() -> tuple[Migration, ...]:
    """Those of this Perdure."""
    return read_migrations((files(__package__) / "schema").iterdir())


def _statements(text: str) -> tuple[str, ...]:
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return tuple(statement.strip() for statement in bare.split(";") if statement.strip())
