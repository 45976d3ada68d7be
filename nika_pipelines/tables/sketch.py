"""A small picture of a table, kept with its upload, that later versions are compared with.

Belongs here: what is kept of a column, and reading it off the table once. Does not belong here:
comparing two of them (`drift`). A comparison never opens an old table again, which may be gone.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.intake.masking import masked_text
from nika_pipelines.intake.records import Column
from nika_pipelines.sql import identifier, literal
from nika_pipelines.tables.records import ColumnProfile, TableProfile

if TYPE_CHECKING:
    import numpy as np
    from duckdb import DuckDBPyConnection

    Values = np.ndarray[Any, np.dtype[np.float64]]

Distribution = tuple[list[float], list[int], int, bool]
"""Points, ranks, number of values, and whether every different value is a point."""

SKETCH_SCHEMA_VERSION = 1
POINTS = 200
"""Points of a distribution that are kept; between two of them lies at most 0.5 % of the values."""

SAMPLE_ROWS = 50_000
"""Rows that distributions are read from; a larger table gives about as many of its rows. A sample of this
size is off by less than 0.6 % anywhere, in 95 of 100 tables (1.36 / sqrt(n), Smirnov 1948)."""

MOST_CATEGORIES = 100
_COLUMNS_PER_SCAN = 20
_CATEGORICAL = ("category", "ordinal", "boolean")


@dataclass(frozen=True)
class ColumnSketch:
    """What is kept of one column.

    Attributes:
        nulls: empty cells among the table's rows.
        low: smallest value, as the profile has it; `high` the largest.
        points: values, ascending; null where the column is no number that is measured.
        ranks: how many of the `sampled` values are not greater than each point.
        sampled: values that the points were read from.
        is_exact: whether every different value is a point.
        categories: how often each value comes, where they are few and tell of no person.
    """

    name: str
    type: str
    semantic_type: str
    nulls: int
    distinct: int
    low: float | int | str | None = None
    high: float | int | str | None = None
    points: list[float] | None = None
    ranks: list[int] = field(default_factory=list)
    sampled: int = 0
    is_exact: bool = False
    categories: dict[str, int] | None = None


@dataclass(frozen=True)
class TableSketch:
    """What is kept of a table; the content of ``sketch.json``.

    Attributes:
        newest: latest time in the table's time column, ISO 8601; null without such a column.
    """

    rows: int
    rejected: int
    columns: list[ColumnSketch]
    newest: str | None = None
    schema_version: int = SKETCH_SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "TableSketch":
        """Rebuild the sketch that `to_json` described."""
        columns = [ColumnSketch(**column) for column in document["columns"]]
        return cls(**document | {"columns": columns})


def sketch_table(
    con: "DuckDBPyConnection",
    parquet: Path,
    columns: list[Column],
    profile: TableProfile,
    rejected: int,
) -> TableSketch:
    """Sketch a typed table.

    Args:
        con: an open connection.
        parquet: the typed table.
        columns: its columns.
        profile: its statistics.
        rejected: rows that are not in it.
    """
    profiles = {one.name: one for one in profile.columns}
    measured = [c for c in columns if _is_measured(c, profiles[c.name])]
    counted = [c for c in columns if _is_counted(c, profiles[c.name])]
    distributions = dict(_distributions(con, parquet, measured, profile.rows))
    categories = dict(_categories(con, parquet, counted))
    axis = profile.time_axis
    newest = profiles[axis.column].max if axis else None
    return TableSketch(
        profile.rows,
        rejected,
        [
            replace(
                _column(column, profiles[column.name], distributions.get(column.name)),
                categories=categories.get(column.name),
            )
            for column in columns
        ],
        newest=str(newest) if newest is not None else None,
    )


def distribution(values: "Values") -> Distribution:
    """Points, ranks, number of values and whether they say everything, of numbers in any order."""
    import numpy as np

    ordered = np.sort(values)
    points = np.unique(ordered)
    is_exact = bool(points.size <= POINTS)
    if not is_exact:
        points = np.unique(ordered[np.linspace(0, ordered.size - 1, POINTS).astype(int)])
    ranks = np.searchsorted(ordered, points, side="right")
    return points.tolist(), ranks.tolist(), int(ordered.size), is_exact


def _column(column: Column, profile: ColumnProfile, measured: Distribution | None) -> ColumnSketch:
    points, ranks, sampled, is_exact = measured or (None, [], 0, False)
    return ColumnSketch(
        name=column.name,
        type=column.type,
        semantic_type=column.semantic_type,
        nulls=profile.nulls,
        distinct=profile.distinct,
        low=None if column.personal else profile.min,
        high=None if column.personal else profile.max,
        points=points,
        ranks=ranks,
        sampled=sampled,
        is_exact=is_exact,
    )


def _is_measured(column: Column, profile: ColumnProfile) -> bool:
    numeric = column.type in ("integer", "float")
    return numeric and column.semantic_type != "id" and not column.personal and profile.count > 0


def _is_counted(column: Column, profile: ColumnProfile) -> bool:
    return (
        column.semantic_type in _CATEGORICAL
        and not column.personal
        and 0 < profile.distinct <= MOST_CATEGORIES
    )


def _distributions(
    con: "DuckDBPyConnection", parquet: Path, columns: list[Column], rows: int
) -> Iterator[tuple[str, Distribution]]:
    import numpy as np

    step = -(-rows // SAMPLE_ROWS)
    source = f"read_parquet({literal(str(parquet))}, file_row_number = true)"
    for start in range(0, len(columns), _COLUMNS_PER_SCAN):
        batch = columns[start : start + _COLUMNS_PER_SCAN]
        cells = ", ".join(
            f"{identifier(column.name)}::DOUBLE AS c{n}" for n, column in enumerate(batch)
        )
        # Spread by a hash: neighbouring rows resemble each other, and every nth row may hit the same
        # hour of every day.
        found = con.execute(
            f"SELECT {cells} FROM {source} WHERE hash(file_row_number) % {step} = 0"
        ).fetchnumpy()
        for n, column in enumerate(batch):
            values = np.ma.compressed(np.ma.masked_invalid(found[f"c{n}"]))
            if values.size:
                yield column.name, distribution(values)


def _categories(
    con: "DuckDBPyConnection", parquet: Path, columns: list[Column]
) -> Iterator[tuple[str, dict[str, int]]]:
    source = f"read_parquet({literal(str(parquet))})"
    for start in range(0, len(columns), _COLUMNS_PER_SCAN):
        batch = columns[start : start + _COLUMNS_PER_SCAN]
        counts = ", ".join(f"histogram({identifier(column.name)}::VARCHAR)" for column in batch)
        row = con.execute(f"SELECT {counts} FROM {source}").fetchone() or ()
        for column, found in zip(batch, row, strict=True):
            counted = {str(value): int(count) for value, count in (found or {}).items()}
            # An address may stand in a column that is not personal as a whole.
            if all(masked_text(value) == value for value in counted):
                yield column.name, counted
