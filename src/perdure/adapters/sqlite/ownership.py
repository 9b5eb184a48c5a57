"""One process owns a database: it holds the lock of `<file>-owner`, in which its pid stands.

The kernel frees the lock with the process, however it ends. The lock file is removed by the owner that closes; who
locks a file that was removed in between notices by its inode and tries again.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from perdure.ports.errors import DatabaseInUse, StoreUnavailable

__all__ = ["Ownership"]


class Ownership:
    """Taken when made. Raises DatabaseInUse, naming the owner's pid. `database` is the file's absolute path."""

    def __init__(self, path: str | Path) -> None:
        self.database = Path(path).resolve()  # as SQLite does: two names of one file must find one lock
        self._path = self.database.with_name(self.database.name + "-owner")
        self._descriptor = self._lock()
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        except OSError as error:
            self.release()
            raise StoreUnavailable(
                f"cannot use the database {self.database}: {error.strerror} ({self._path}). Make room, then start again"
            ) from None

    def release(self) -> None:
        """Twice is harmless."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)  # while it is still ours
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock(self) -> int:
        database = self.database
        while True:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise StoreUnavailable(
                    f"cannot use the database {database}: {error.strerror} ({self._path})."
                    " Its folder must exist and be writable"
                ) from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                raise DatabaseInUse(
                    f"the database {database} is in use by process {owner}: one engine owns a file."
                    f" `perdure list --db {database}` reads beside it"
                ) from None
            if self._still_there(descriptor):
                return descriptor
            os.close(descriptor)

    def _still_there(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
