"""Quoting for DuckDB SQL: the only place where names, texts and paths become SQL."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def identifier(name: str) -> str:
    """A name as an SQL identifier, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def parquet_rows(path: Path) -> str:
    """The table function that reads one Parquet file.

    Characters that DuckDB would take for a glob pattern are bracketed, so that a folder called
    ``[new]`` is read and not matched.
    """
    exact = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))
    return f"read_parquet({literal(exact)})"


def parquet_bytes(con: "DuckDBPyConnection", rows: str) -> int:
    """How many bytes the cells behind `parquet_rows` take, as they are encoded."""
    pages = rows.replace("read_parquet", "parquet_metadata", 1)
    found = con.execute(f"SELECT sum(total_uncompressed_size) FROM {pages}").fetchone()
    return int(found[0] or 0) if found else 0
