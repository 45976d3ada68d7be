"""Counting over the columns of a text table: the one door through which typing looks at cells.

Belongs here: turning many aggregate expressions into few scans, whole or sampled. Does not belong
here: which expressions to count (`column_types`, `semantic_types`).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nika_pipelines.intake.cell_readings import trimmed, without_tokens
from nika_pipelines.intake.records import LINE_COLUMN
from nika_pipelines.sql import identifier

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SAMPLE_ROWS = 20_000
"""Rows that eliminate hypotheses; a table up to this size is its own sample."""

_EXPRESSIONS_PER_SCAN = 400
_EXPRESSIONS_PER_WHOLE_SCAN = 60
"""Fewer over a large table, which several threads scan: each thread has vectors of its own for
every expression (200 expressions took 160 MB). A column is still read in one or two scans."""

_SAMPLE_BYTES = 24_000_000
"""Cells of this many bytes are sampled at most: the engine holds several copies of them at once."""

TALL_ROWS = 5_000
"""Up to these rows the cells of all columns are counted as rows of one: an expression takes half a
millisecond to prepare, which for many columns is far more than it takes to run."""

_FEWEST_TALL_COLUMNS = 10
_CELL_NAME = re.compile(r"'(?:[^']|'')*'|\b([tc])[0-9]+\b")
_SAMPLE_TABLE = "nika_typing_sample"
_RAW_SAMPLE = "nika_raw_sample"

Key = tuple[int, Any]
"""Position of the column, and what was counted about it."""


def count_rows(con: "DuckDBPyConnection", source: str) -> int:
    """How many rows a FROM item has."""
    row = con.execute(f"SELECT count(*) FROM {source}").fetchone()
    return int(row[0]) if row else 0


@contextmanager
def unoptimized(con: "DuckDBPyConnection") -> Iterator[None]:
    """Run the queries inside as they are written, but read only the columns they name.

    On wide expressions over few rows DuckDB's optimizer takes ten times as long as the query, and
    it pushes the test of a cast below the cast, which then runs twice.
    """
    con.execute(f"SET disabled_optimizers = '{_optimizers()}'")
    try:
        yield
    finally:
        con.execute("RESET disabled_optimizers")


@lru_cache(maxsize=1)
def _optimizers() -> str:
    """DuckDB's optimizer passes but the one that leaves out unused columns."""
    import duckdb

    with duckdb.connect() as con:
        rows = con.execute("SELECT name FROM duckdb_optimizers()").fetchall()
    return ",".join(name for (name,) in rows if name != "unused_columns")


class ColumnCounts:
    """Some columns of a text table, ready to be counted.

    Expressions refer to the cell of column n as ``c<n>`` (as written) and ``t<n>`` (cleaned, see
    `cell_readings.without_tokens`), and to a pseudo-random number of the row as ``h``. The sample
    is cleaned once into a temporary table, which the last instance made on a connection owns.
    """

    def __init__(
        self,
        con: "DuckDBPyConnection",
        source: str,
        rows: int,
        columns: Mapping[int, str],
        size: int = 0,
    ) -> None:
        """Draw the sample.

        Args:
            con: a connection for temporary tables.
            source: the FROM item of the text table (`rows_of`).
            rows: how many they are.
            columns: names by position.
            size: bytes of their cells, if known; of very long cells fewer are sampled.
        """
        self._con = con
        self._source = source
        self._columns = columns
        step = max(-(-rows // SAMPLE_ROWS), -(-size // _SAMPLE_BYTES))
        self.is_sampled = step > 1
        self._is_tall = (
            not self.is_sampled and 0 < rows <= TALL_ROWS and len(columns) >= _FEWEST_TALL_COLUMNS
        )
        if self._is_tall:
            self._stack()
            return
        cells = self._cells(columns)
        if self.is_sampled:
            # Drawn first and cleaned afterwards: in one query, the cleaning of 20 columns next to
            # the scan of large row groups needs more than the worker's memory.
            # The hash keeps the sample spread and free of the file's own periods.
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE {_RAW_SAMPLE} AS FROM {cells} WHERE h % {step} = 0"
            )
            cells = _RAW_SAMPLE
        with unoptimized(con):
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE {_SAMPLE_TABLE} AS "
                f"FROM {cleaned_cells(cells, columns)}"
            )
        con.execute(f"DROP TABLE IF EXISTS {_RAW_SAMPLE}")

    def measure(self, wanted: Mapping[Key, str], *, sampled: bool = False) -> dict[Key, Any]:
        """Evaluate aggregate expressions, several hundred per scan.

        Args:
            wanted: expressions by key; their order keeps the columns of a scan together.
            sampled: over the spread sample instead of all rows.
        """
        if self._is_tall:
            return self._measure_tall(wanted)
        found: dict[Key, Any] = {}
        keys = list(wanted)
        whole = self.is_sampled and not sampled
        size = _EXPRESSIONS_PER_WHOLE_SCAN if whole else _EXPRESSIONS_PER_SCAN
        for start in range(0, len(keys), size):
            batch = keys[start : start + size]
            found |= zip(batch, self._row(batch, wanted, sampled), strict=True)
        return found

    def _row(self, batch: Sequence[Key], wanted: Mapping[Key, str], sampled: bool) -> Sequence[Any]:
        expressions = ", ".join(wanted[key] for key in batch)
        if sampled or not self.is_sampled:
            with unoptimized(self._con):
                row = self._con.execute(f"SELECT {expressions} FROM {_SAMPLE_TABLE}").fetchone()
        else:
            used = {n: self._columns[n] for n in sorted({position for position, _ in batch})}
            query = f"SELECT {expressions} FROM {cleaned_cells(self._cells(used), used)}"
            row = self._con.execute(query).fetchone()
        return row or ()

    def _stack(self) -> None:
        """Put the cells of all columns below each other, as column 0, with their position."""
        places = ", ".join(map(str, self._columns))
        names = ", ".join(map(identifier, self._columns.values()))
        cells = (
            f"(SELECT hash({identifier(LINE_COLUMN)}) AS h, unnest([{places}]) AS n, "
            f"unnest([{names}]) AS c0 FROM {self._source})"
        )
        with unoptimized(self._con):
            self._con.execute(
                f"CREATE OR REPLACE TEMP TABLE {_SAMPLE_TABLE} AS FROM {cleaned_cells(cells, [0])}"
            )

    def _measure_tall(self, wanted: Mapping[Key, str]) -> dict[Key, Any]:
        """Evaluate the expressions once for all columns that have the same ones."""
        of_column: dict[int, dict[Any, str]] = defaultdict(dict)
        for (position, what), expression in wanted.items():
            of_column[position][what] = _CELL_NAME.sub(_of_column_0, expression)
        alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for position, asked in of_column.items():
            alike[tuple(asked.values())].append(position)
        found: dict[Key, Any] = {}
        for expressions, positions in alike.items():
            query = (
                f"SELECT n, {', '.join(expressions)} FROM {_SAMPLE_TABLE} "
                f"SEMI JOIN (SELECT unnest({positions}) AS n) USING (n) GROUP BY n"
            )
            with unoptimized(self._con):
                rows = self._con.execute(query).fetchall()
            for position, *values in rows:
                keys = ((position, what) for what in of_column[position])
                found |= zip(keys, values, strict=True)
        return found

    def _cells(self, columns: Mapping[int, str]) -> str:
        raw = ", ".join(f"{identifier(name)} AS c{n}" for n, name in columns.items())
        return f"(SELECT hash({identifier(LINE_COLUMN)}) AS h, {raw} FROM {self._source})"


def _of_column_0(match: re.Match[str]) -> str:
    """The name of a cell in column 0; a text in quotes stays as it is."""
    return f"{match[1]}0" if match[1] else match[0]


def cleaned_cells(rows: str, positions: Sequence[int] | Mapping[int, str]) -> str:
    """Add the cleaned cell ``t<n>`` of every raw cell ``c<n>`` to a FROM item.

    The white space goes in a layer of its own, so that no expression holds another one twice.
    """
    trims = ", ".join(f"{trimmed(f'c{n}')} AS s{n}" for n in positions)
    cells = ", ".join(f"{without_tokens(f's{n}')} AS t{n}" for n in positions)
    dropped = ", ".join(f"s{n}" for n in positions)
    if not trims:
        return f"(SELECT * FROM {rows})"
    return f"(SELECT * EXCLUDE ({dropped}), {cells} FROM (SELECT *, {trims} FROM {rows}))"
