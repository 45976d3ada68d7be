"""The DuckDB engine with the limits of the settings: bounded memory, spilling, UTC, no network."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@contextmanager
def connect(settings: Settings, spill: Path | None = None) -> Iterator["DuckDBPyConnection"]:
    """An empty in-memory database within the memory and thread limits.

    Args:
        settings: gives the limits.
        spill: existing folder to spill into; a temporary one in the data folder when left out.
    """
    import duckdb

    folder = _new_spill_folder(settings) if spill is None else spill
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{settings.duckdb_memory_mb}MB",
            "threads": settings.duckdb_threads,
            "temp_directory": str(folder),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    try:
        connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()
        if spill is None:
            shutil.rmtree(folder, ignore_errors=True)


def _new_spill_folder(settings: Settings) -> Path:
    parent = settings.data / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="duckdb-", dir=parent))
