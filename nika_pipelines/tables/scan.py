"""SQL fragments that read a stored table; the only place that quotes names and paths."""

from pathlib import Path


def quoted(name: str) -> str:
    """A column name as an SQL identifier, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def parquet_source(parquet: Path) -> str:
    """The table function that reads one Parquet file.

    Characters that DuckDB would take for a glob pattern are bracketed, so that a folder called
    ``[new]`` is read and not matched.
    """
    return f"read_parquet({literal(_without_globs(parquet))})"


def _without_globs(parquet: Path) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(parquet))
