"""The write versions: by which schema each record is written. `schemas/index.json` lists them, and only grows.

What can be read is every schema there ever was. What is written is one set of them, the namespace's: no newer one than
all who read there know, which nobody but an operator can tell (`perdure upgrade`, docs/upgrades.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from perdure.codec.schemas import Schema, SchemaError, load_schemas, schema_folder

__all__ = ["OLDEST", "current_schemas", "marked", "newest", "read_by", "schemas_of"]

OLDEST: Final = 1
"""What every release reads, and a namespace is written with that says nothing else."""


_MARK: Final = re.compile(r"-w([0-9]{1,9})$")


def marked(client_id: str) -> str:
    """The client.id of a member that reads what this release does: the broker tells it of every member of a group, in
    whatever state the group is, and Kafka's own tools show it.
    """
    return f"{client_id}-w{newest()}"


def read_by(client_id: str) -> int:
    """The newest write version that a member of this client.id reads; what tells nothing is from before there were any."""
    found = _MARK.search(client_id)
    return OLDEST if found is None else int(found[1])


def newest() -> int:
    """The one that this release writes unless it is held back, and the latest that it reads."""
    return max(_writes())


def current_schemas() -> dict[str, Schema]:
    """By record: those that the dataclasses agree with."""
    return {schema.name: schema for schema in load_schemas() if schema.current}


@cache
def schemas_of(version: int) -> Mapping[str, Schema]:
    """By record. Raises SchemaError for a version that this release does not know."""
    known = _writes()
    if version not in known:
        raise SchemaError(f"write version {version} is not known here: this release knows up to {max(known)}")
    files = {schema.fingerprint: schema for schema in load_schemas()}
    return {record: files[fingerprint] for record, fingerprint in known[version].items()}


@cache
def _writes() -> dict[int, dict[str, str]]:
    try:
        index = json.loads((schema_folder() / "index.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SchemaError(
            "schemas/index.json is not there: the installation is incomplete, install perdure again"
        ) from None
    return {int(version): records for version, records in index["writes"].items()}
