"""The DuckDB engine with the limits of the settings: bounded memory, spilling, UTC, no network.

One in-memory database per process: opening one takes longer than a small file's queries, and its
memory limit holds for everything that a worker does.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@contextmanager
def connect(settings: Settings) -> Iterator["DuckDBPyConnection"]:
    """A connection within the memory and thread limits; its temporary tables end with it.

    It spills into ``tmp`` of the data folder and keeps the order of rows.
    """
    # The process id is part of the key, so that a forked process opens a database of its own.
    spill = settings.data / "tmp" / f"spill-{os.getpid()}"
    connection = _database(spill, settings.duckdb_threads, settings.duckdb_memory_mb).cursor()
    try:
        connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def discard() -> None:
    """Let the next connection open a new database: a fatal error leaves the old one unusable."""
    _database.cache_clear()


@lru_cache(maxsize=1)
def _database(spill: Path, threads: int, memory_mb: int) -> "DuckDBPyConnection":
    import duckdb

    spill.parent.mkdir(parents=True, exist_ok=True)
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{memory_mb}MB",
            "threads": threads,
            "temp_directory": str(spill),
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
