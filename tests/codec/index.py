"""`schemas/index.json`: every fingerprint there ever was, by file, and what each write version is made of.

`python -m tests.codec.index` adds files that are new. `--new-version` makes the current files the next write version, and
is the only way to one: an earlier version is what namespaces are written with, and does not change.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import fastavro

from perdure.codec.schemas import schema_folder

__all__ = ["FILE", "complaints", "current", "files", "grown", "read"]

FILE = schema_folder() / "index.json"


def fingerprint(source: Any) -> str:
    return fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(source), "CRC-64-AVRO")


def files() -> dict[str, str]:
    """Fingerprint to file, of those that lie there."""
    paths = sorted(schema_folder().glob("*/*.avsc"))
    found = {path: fingerprint(json.loads(path.read_text(encoding="utf-8"))) for path in paths}
    return {found[path]: path.relative_to(schema_folder()).as_posix() for path in paths}


def current() -> dict[str, str]:
    """Record to fingerprint, of the files without a version in their name."""
    names = {fingerprint: name.rpartition("/")[2].removesuffix(".avsc") for fingerprint, name in files().items()}
    return {name: fingerprint for fingerprint, name in sorted(names.items(), key=lambda it: it[1]) if "." not in name}


def read() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def grown(index: dict[str, Any], *, new_version: bool = False) -> dict[str, Any]:
    """With the files that it lacks, and, if asked for, with the next version."""
    known = index["schemas"] | files()
    writes = dict(index["writes"])
    if new_version:
        writes[str(max(map(int, writes), default=0) + 1)] = current()
    return {"schemas": dict(sorted(known.items(), key=lambda it: it[1])), "writes": writes}


def complaints(index: dict[str, Any]) -> list[str]:
    """What does not fit the files, and what to do."""
    lie, newest = files(), max(index["writes"], key=int)
    found = [
        f"{name} ({each}) is gone or was changed: its bytes are on disks; put it back as <Name>.v<N>.avsc"
        for each, name in index["schemas"].items()
        if each not in lie
    ]
    found += [
        f"{lie[each]} is not in schemas/index.json: python -m tests.codec.index"
        for each in lie.keys() - index["schemas"]
    ]
    found += [
        f"{lie[each]} lies elsewhere now: python -m tests.codec.index"
        for each, name in index["schemas"].items()
        if lie.get(each, name) != name
    ]
    for record in sorted(current().items() ^ index["writes"][newest].items()):
        found.append(
            f"{record[0]} ({record[1]}) differs between the files and write version {newest}: copy the earlier file to "
            f"<Name>.v<N>.avsc beside it, and make a new version: python -m tests.codec.index --new-version"
        )
    return found


def main() -> None:
    index = grown(
        read() if FILE.exists() else {"schemas": {}, "writes": {}}, new_version="--new-version" in sys.argv[1:]
    )
    FILE.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    for complaint in complaints(index) if index["writes"] else []:
        print(complaint)


if __name__ == "__main__":
    main()
