"""Text tables as the reader writes them, made from rows in a test."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import parquet

from nika_pipelines.intake.records import LINE_COLUMN

Rows = Sequence[Sequence[str | None]]


def write_text_table(path: Path, names: Sequence[str], rows: Rows) -> Path:
    """Write rows as a text table; the first row is in line 2, below the header."""
    cells = {
        name: pa.array([row[place] for row in rows], pa.string())
        for place, name in enumerate(names)
    }
    lines = pa.array(range(2, len(rows) + 2), pa.int64())
    parquet.write_table(pa.table({**cells, LINE_COLUMN: lines}), path)
    return path


@contextmanager
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """A small DuckDB in UTC; a cursor of one that stays open, which costs far less."""
    with _engine().cursor() as con:
        con.execute("SET TimeZone = 'UTC'")
        yield con


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 2, "memory_limit": "192MB"})


def stored(path: Path) -> list[tuple[Any, ...]]:
    """All rows of a Parquet file, in order."""
    with engine() as con:
        return con.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
