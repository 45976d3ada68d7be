"""The warehouse: one DuckDB file with views over the lake and small tables of results.

DuckDB allows one writer per file across processes and a reader blocks it, so nobody ever opens
the live file for writing: a copy is changed and put in its place under a lock file.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_duckdb import DuckDBResource

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Warehouse(DuckDBResource):
    """A DuckDB resource whose readers and writers never meet in one file."""

    @contextmanager
    def reader(self) -> Iterator["DuckDBPyConnection"]:
        """A read-only connection to the newest published state.

        Raises:
            FileNotFoundError: nothing has been published yet.
        """
        import duckdb

        if not self._path.exists():
            raise FileNotFoundError(f"{self._path.name}: nothing has been published yet")
        connection = duckdb.connect(os.fspath(self._path), read_only=True)
        try:
            yield connection
        finally:
            connection.close()

    def publish(self, change: Callable[["DuckDBPyConnection"], None]) -> None:
        """Apply a change to a copy and put the copy in place; readers keep what they opened.

        Args:
            change: called with a connection to the copy; if it raises, nothing is published.
        """
        self._put_in_place(change, self._path)

    def rebuild(self, build: Callable[["DuckDBPyConnection"], None]) -> None:
        """Build everything anew; free blocks of the old file still held what was deleted.

        Args:
            build: called with a connection to an empty file; if it raises, nothing is published.
        """
        self._put_in_place(build, None)

    def _put_in_place(
        self, change: Callable[["DuckDBPyConnection"], None], base: Path | None
    ) -> None:
        import duckdb

        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._writer_lock():
            draft = self._path.with_name(f".{self._path.name}.part")
            draft.unlink(missing_ok=True)
            draft.with_name(f"{draft.name}.wal").unlink(missing_ok=True)
            if base is not None and base.exists():
                shutil.copyfile(base, draft)
            connection = duckdb.connect(os.fspath(draft))
            try:
                change(connection)
                connection.execute("CHECKPOINT")
            finally:
                connection.close()
            draft.replace(self._path)

    @property
    def _path(self) -> Path:
        return Path(self.database)

    @contextmanager
    def _writer_lock(self) -> Iterator[None]:
        with self._path.with_name(f"{self._path.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
