"""Reading a database file, beside the engine that owns it or without one: `--db FILE`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perdure import assembly
from perdure.cli.exits import NotThere
from perdure.client.errors import InstanceNotFound
from perdure.client.stored import snapshot_of
from perdure.codec.avro import decode
from perdure.core.replies import InstanceSnapshot
from perdure.core.rows import InstanceRow
from perdure.ports.store import Filter, Page

__all__ = ["existing", "stored_events", "stored_instance", "stored_page"]


def stored_page(path: Path, where: Filter, limit: int, after: str) -> Page:
    """Raises NotThere, StoreUnavailable, DatabaseDamaged; ValueError for a page that is none."""
    with assembly.read_database(existing(path)) as database:
        return database.page(where, limit, after)


def stored_instance(path: Path, instance_id: str) -> InstanceSnapshot:
    """As stored, which is behind the engine by what it has not written yet. Raises as above, and InstanceNotFound."""
    with assembly.read_database(existing(path)) as database:
        return snapshot_of(_row(database.row(instance_id), instance_id, path))


def stored_events(path: Path, instance_id: str) -> Sequence[Any]:
    """Every event of the latest stored run and generation that is committed. Raises as above."""
    with assembly.read_database(existing(path)) as database:
        row = _row(database.row(instance_id), instance_id, path)
        return [decode(event.value) for event in database.events(row)]


def existing(path: Path) -> Path:
    """Raises NotThere."""
    if not path.is_file():
        raise NotThere(f"there is no database {path}: give the path that the engine was started with")
    return path


def _row(row: InstanceRow | None, instance_id: str, path: Path) -> InstanceRow:
    if row is None or row.status == "PURGED":
        raise InstanceNotFound(f"no workflow instance in {path} has the ID '{instance_id}'")
    return row
