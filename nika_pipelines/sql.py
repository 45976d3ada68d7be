"""Quoting for DuckDB SQL: the only place where names, texts and paths become SQL."""

from pathlib import Path


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
