"""The code of another release, unpacked into a folder that comes first on PYTHONPATH."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.integration.services.processes import ROOT

__all__ = ["Release"]

RELEASES = Path(__file__).parent / "releases"


class Release:
    """`source` is the folder with `perdure` in it; `writes` the newest write version that it knows."""

    def __init__(self, source, name):
        self.source = source
        self.name = name
        found = self.run("-c", "import perdure; print(perdure.__file__)")
        assert Path(found.stdout.strip()).is_relative_to(source), (
            f"{name} runs the code of {found.stdout or found.stderr}"
        )
        index = next(
            (each for each in (source / "perdure/_schemas", source.parent / "schemas") if each.is_dir()), source
        )
        known = index / "index.json"
        writes = json.loads(known.read_text(encoding="utf-8"))["writes"] if known.is_file() else {"1": {}}
        self.writes = max(map(int, writes))

    @classmethod
    def kept(cls, name, folder):
        """One of tests/upgrade/releases."""
        (wheel,) = (RELEASES / name).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        return cls(folder, name)

    @classmethod
    def at(cls, ref, folder):
        """Of a commit of this repository."""
        packed = subprocess.run(
            ["git", "-C", str(ROOT), "archive", ref, "src", "schemas"], capture_output=True, check=False
        )
        if packed.returncode:
            raise SystemExit(f"no such commit: {packed.stderr.decode(errors='replace').strip()}")
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        return cls(folder / "src", ref)

    @property
    def environ(self):
        """Its code before this tree's; programs of the tests, which it runs, from here."""
        return {"PYTHONPATH": os.pathsep.join((str(self.source), str(ROOT))), "PYTHONHASHSEED": "0"}

    def run(self, *arguments, **more):
        """A command of its Python, to its end."""
        environ = {**os.environ, **self.environ, **more}
        return subprocess.run(
            [sys.executable, *arguments], env=environ, cwd=self.source, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
