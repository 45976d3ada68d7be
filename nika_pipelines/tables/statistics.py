"""Statistics of a stored table: every column and every pair, set-based in DuckDB over Parquet.

Belongs here: the order of the scans, counts, quartiles and frequent values.
Does not belong here: moments and histograms (`moments`), correlations, the time axis.

A first scan counts and finds the quartiles; a second one, which can now shift each column by its
median, takes power sums without cancellation. Frequent values and distinct counts come from one
GROUP BY, which DuckDB spills to disk when it must. Columns are read in batches, so
that the exact quartiles of a batch fit in memory.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.intake.masking import Masking
from nika_pipelines.intake.records import DUCKDB_TYPES, Column
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, parquet_rows
from nika_pipelines.tables.correlations import pearson_correlations
from nika_pipelines.tables.moments import Moments, Spread, moments_of
from nika_pipelines.tables.records import ColumnProfile, Scalar, TableProfile, TopValue
from nika_pipelines.tables.time_axis import time_axis_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TOP_VALUES = 10
TOP_TEXT_CHARACTERS = 200
BATCH_COLUMNS = 20
"""Most columns in one SELECT: planning grows faster than the number of expressions."""
BYTES_PER_QUANTILE_CELL = 24
"""An exact quantile keeps its column in a growing vector: 8 bytes, doubled, plus the old copy."""
GROUPED_CELLS = 500_000
"""Columns are grouped together while they hold no more cells than this."""
DUPLICATE_CHECK_COLUMNS = 200

_NUMERIC = ("integer", "float")
_TEMPORAL = ("date", "timestamp")


def profile_table(
    con: "DuckDBPyConnection", parquet: Path, columns: list[Column], settings: Settings
) -> TableProfile:
    """Profile the typed table in ``parquet``.

    Args:
        con: an open connection; its memory limit and temporary folder bound the work.
        parquet: the typed table, one column per entry of ``columns``.
        columns: the table's columns, in order.
        settings: ``duckdb_memory_mb`` decides how many columns are sorted at once,
            ``mask_personal_data`` whether the values of personal columns are told.
    """
    source = parquet_rows(parquet)
    rows = _scalar(con, f"SELECT count(*) FROM {source}")
    basics = _basics(con, source, columns, rows, settings)
    spreads = {
        column.name: spread
        for column in columns
        if (spread := _spread(column, basics[column.name])) is not None
    }
    moments = moments_of(con, source, spreads)
    frequencies = _frequencies(con, source, columns, rows)
    profiles = [
        _profile(
            column,
            rows,
            basics[column.name],
            moments.get(column.name),
            frequencies[column.name],
        )
        for column in columns
    ]
    notes: list[str] = []
    correlations, note = pearson_correlations(con, source, profiles, spreads, rows)
    notes += [note] if note else []
    duplicates = _duplicate_rows(con, source, profiles, rows)
    if duplicates is None:
        notes.append(
            f"Duplicate rows were not counted: over {DUPLICATE_CHECK_COLUMNS} columns to compare."
        )
    masking = Masking.of(columns, settings)
    return TableProfile(
        rows=rows,
        columns=[_masked(profile, masking) for profile in profiles],
        correlations=correlations,
        duplicate_rows=duplicates,
        # The times of rows are told with their anomalies.
        time_axis=time_axis_of(con, parquet, [p for p in profiles if not p.personal]),
        notes=notes,
    )


@dataclass(frozen=True)
class _Basics:
    count: int
    finite: int
    low: Any = None
    high: Any = None
    quartiles: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class _Frequencies:
    distinct: int
    top: list[TopValue]


def _basics(
    con: "DuckDBPyConnection", source: str, columns: list[Column], rows: int, settings: Settings
) -> dict[str, _Basics]:
    """Counts, extremes and quartiles of every column, a batch of columns per scan."""
    cells = settings.duckdb_memory_mb * 1_000_000 // 2 // BYTES_PER_QUANTILE_CELL
    sorts_in_memory = rows <= cells
    width = max(1, min(BATCH_COLUMNS, cells // max(rows, 1)))
    found: dict[str, _Basics] = {}
    for batch in _batches(columns, width):
        expressions = [_basics_expression(column, sorts_in_memory) for column in batch]
        row = _row(con, f"SELECT {', '.join(expressions)} FROM {source}")
        for column, values in zip(batch, row, strict=True):
            found[column.name] = _read_basics(values)
    for column in columns:
        if column.type in _NUMERIC and _needs_sorting(found[column.name]):
            found[column.name] = _with_sorted_quartiles(con, source, column, found[column.name])
    return found


def _basics_expression(column: Column, sorts_in_memory: bool) -> str:
    name = identifier(column.name)
    fields = {"n": f"count({name})"}
    if column.type in _NUMERIC:
        keep = finite_filter(column.type, name)
        fields |= {
            "finite": f"count({name}) {keep}",
            "low": f"min({name}) {keep}",
            "high": f"max({name}) {keep}",
        }
        if sorts_in_memory:
            fields["quartiles"] = (
                f"quantile_cont({name}::DOUBLE, [0.25::DOUBLE, 0.5::DOUBLE, 0.75::DOUBLE]) {keep}"
            )
    elif column.type in _TEMPORAL:
        fields |= {"low": f"min({name})", "high": f"max({name})"}
    return "{" + ", ".join(f"'{key}': {sql}" for key, sql in fields.items()) + "}"


def finite_filter(column_type: str, name: str) -> str:
    """The FILTER clause that keeps NaN and infinities out of an aggregate."""
    return f"FILTER (WHERE isfinite({name}))" if column_type == "float" else ""


def _read_basics(values: dict[str, Any]) -> _Basics:
    quartiles = values.get("quartiles")
    return _Basics(
        count=values["n"],
        finite=values.get("finite", values["n"]),
        low=values.get("low"),
        high=values.get("high"),
        quartiles=(quartiles[0], quartiles[1], quartiles[2]) if quartiles else None,
    )


def _needs_sorting(basics: _Basics) -> bool:
    """Whether quartiles were not taken, or overflowed between values of 1e308 and -1e308."""
    if not basics.finite:
        return False
    return basics.quartiles is None or not all(map(math.isfinite, basics.quartiles))


def _with_sorted_quartiles(
    con: "DuckDBPyConnection", source: str, column: Column, basics: _Basics
) -> _Basics:
    """Quartiles by a sort that may spill to disk, two order statistics for each."""
    name = identifier(column.name)
    where = f"isfinite({name})" if column.type == "float" else f"{name} IS NOT NULL"
    places = [(basics.finite - 1) * share for share in (0.25, 0.5, 0.75)]
    ranks = sorted({int(place) + step for place in places for step in (1, 2)})
    found = dict(
        con.execute(
            f"SELECT r, v FROM (SELECT v, row_number() OVER (ORDER BY v) AS r FROM "
            f"(SELECT {name}::DOUBLE AS v FROM {source} WHERE {where})) "
            f"WHERE r IN ({', '.join(map(str, ranks))})"
        ).fetchall()
    )
    quartiles = []
    for place in places:
        low = found[int(place) + 1]
        high = found[min(int(place) + 2, basics.finite)]
        quartiles.append(_between(low, high, place - int(place)))
    return _Basics(
        basics.count,
        basics.finite,
        basics.low,
        basics.high,
        (quartiles[0], quartiles[1], quartiles[2]),
    )


def _between(low: float, high: float, share: float) -> float:
    step = high - low
    return low + step * share if math.isfinite(step) else low * (1 - share) + high * share


def _spread(column: Column, basics: _Basics) -> Spread | None:
    if basics.quartiles is None or basics.finite == 0:
        return None
    return Spread(
        is_integer=column.type == "integer",
        n=basics.finite,
        low=basics.low,
        high=basics.high,
        quartiles=basics.quartiles,
    )


def _frequencies(
    con: "DuckDBPyConnection", source: str, columns: list[Column], rows: int
) -> dict[str, _Frequencies]:
    """Distinct counts and frequent values of every column, columns of one type together."""
    found: dict[str, _Frequencies] = {}
    width = max(1, min(BATCH_COLUMNS, GROUPED_CELLS // max(rows, 1)))
    for column_type in DUCKDB_TYPES:
        alike = [column for column in columns if column.type == column_type]
        for batch in _batches(alike, width):
            found |= _batch_frequencies(con, source, batch)
    return found


def _batch_frequencies(
    con: "DuckDBPyConnection", source: str, batch: list[Column]
) -> dict[str, _Frequencies]:
    """One GROUP BY over the columns of ``batch``, stacked into one; all are of one type."""
    names = ", ".join(f"c{place}" for place in range(len(batch)))
    renamed = ", ".join(
        f"{identifier(column.name)} AS c{place}" for place, column in enumerate(batch)
    )
    stacked = f"(SELECT 'c0' AS c, {identifier(batch[0].name)} AS v FROM {source})"
    if len(batch) > 1:
        stacked = f"(UNPIVOT (SELECT {renamed} FROM {source}) ON {names} INTO NAME c VALUE v)"
    where = "isfinite(v)" if batch[0].type == "float" else "v IS NOT NULL"
    shown = f"left(v, {TOP_TEXT_CHARACTERS})" if batch[0].type == "text" else "v"
    found = con.execute(
        f"SELECT c, count(*), min(row(-n, {shown}), {TOP_VALUES}) FROM "
        f"(SELECT c, v, count(*) AS n FROM {stacked} WHERE {where} GROUP BY c, v) GROUP BY c"
    ).fetchall()
    return {column.name: _Frequencies(0, []) for column in batch} | {
        batch[int(label[1:])].name: _Frequencies(
            distinct, [TopValue(_plain(value), -count) for count, value in top]
        )
        for label, distinct, top in found
    }


def _profile(
    column: Column,
    rows: int,
    basics: _Basics,
    moments: Moments | None,
    frequencies: _Frequencies,
) -> ColumnProfile:
    q1, median, q3 = basics.quartiles or (None, None, None)
    return ColumnProfile(
        name=column.name,
        type=column.type,
        semantic_type=column.semantic_type,
        count=basics.count,
        nulls=rows - basics.count,
        distinct=frequencies.distinct,
        mean=moments.mean if moments else None,
        std=moments.std if moments else None,
        min=_plain(basics.low) if basics.low is not None else None,
        q1=q1,
        median=median,
        q3=q3,
        max=_plain(basics.high) if basics.high is not None else None,
        skewness=moments.skewness if moments else None,
        kurtosis=moments.kurtosis if moments else None,
        top=frequencies.top,
        histogram=moments.histogram if moments else None,
        non_finite=basics.count - basics.finite,
        personal=column.personal,
    )


def _masked(profile: ColumnProfile, masking: Masking) -> ColumnProfile:
    """The profile as it may be shown: no value of a personal column is left in it."""
    top = [replace(one, value=masking.cell(profile.name, one.value)) for one in profile.top]
    if not masking.hides(profile.name):
        return replace(profile, top=top)
    figures = ("mean", "std", "min", "q1", "median", "q3", "max", "skewness", "kurtosis")
    nothing: dict[str, Any] = dict.fromkeys((*figures, "histogram"))
    return replace(profile, top=top, **nothing)


def _duplicate_rows(
    con: "DuckDBPyConnection", source: str, profiles: list[ColumnProfile], rows: int
) -> int | None:
    """Rows that repeat an earlier one exactly; None if there are too many columns to tell."""
    if any(column.nulls == 0 and column.distinct == rows for column in profiles):
        return 0
    if len(profiles) > DUPLICATE_CHECK_COLUMNS:
        return None
    names = ", ".join(identifier(column.name) for column in profiles)
    groups = _scalar(con, f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM {source})")
    return rows - groups


def _batches(columns: list[Column], width: int) -> Iterator[list[Column]]:
    remaining = iter(columns)
    while batch := list(islice(remaining, width)):
        yield batch


def _plain(value: Any) -> Scalar:
    """A value of DuckDB as JSON can hold it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, str | bool | int | float):
        return value
    return str(value)


def _row(con: "DuckDBPyConnection", sql: str) -> tuple[Any, ...]:
    row = con.execute(sql).fetchone()
    if row is None:
        raise LookupError("an aggregate without groups returned no row")
    return row


def _scalar(con: "DuckDBPyConnection", sql: str) -> int:
    return int(_row(con, sql)[0])
