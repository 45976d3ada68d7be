"""Which column of a table is its time axis, and how evenly the rows run along it."""

from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.sql import identifier, parquet_rows
from nika_pipelines.tables.records import ColumnProfile, TimeAxis

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_NULL_SHARE = 0.10
LEAST_ORDERED_SHARE = 0.90
MOST_CANDIDATES = 5
LONG_GAP_STEPS = 10
FEWEST_ROWS = 3


def time_axis_of(
    con: "DuckDBPyConnection", parquet: Path, profiles: list[ColumnProfile]
) -> TimeAxis | None:
    """The first date or timestamp column that is mostly filled and mostly in order."""
    candidates = [column for column in profiles if _may_be_axis(column)][:MOST_CANDIDATES]
    for column in candidates:
        axis = _measure(con, parquet, column)
        if axis.ordered_share >= LEAST_ORDERED_SHARE:
            return axis
    return None


def _may_be_axis(column: ColumnProfile) -> bool:
    rows = column.count + column.nulls
    return (
        column.type in ("date", "timestamp")
        and rows >= FEWEST_ROWS
        and column.distinct > 1
        and column.nulls <= MOST_NULL_SHARE * rows
    )


def _measure(con: "DuckDBPyConnection", parquet: Path, column: ColumnProfile) -> TimeAxis:
    """Steps between neighbouring rows, in file order; a null row breaks the chain."""
    seconds = f"epoch({identifier(column.name)}::TIMESTAMP)"
    steps = (
        f"SELECT t - lag(t) OVER () AS step FROM "
        f"(SELECT {seconds} AS t FROM {parquet_rows(parquet)})"
    )
    row = con.execute(
        f"WITH steps AS MATERIALIZED ({steps}), usual AS ("
        f"SELECT approx_quantile(step, 0.5) AS median FROM steps WHERE step > 0) "
        f"SELECT count(step), count(*) FILTER (WHERE step >= 0), any_value(median), "
        f"count(*) FILTER (WHERE step > {LONG_GAP_STEPS} * median) FROM steps, usual"
    ).fetchone()
    count, ordered, median, gaps = row or (0, 0, None, 0)
    return TimeAxis(
        column=column.name,
        ordered_share=ordered / count if count else 0.0,
        median_step_s=float(median) if median is not None else None,
        long_gaps=gaps,
        steps=count,
    )
