"""The pictures of a table report, read from Parquet with min/max decimation inside DuckDB.

Belongs here: which rows of a table a chart shows. A million rows become a few hundred points before
anything reaches Python, and the lowest and highest value of every stretch survive. How a chart
looks belongs to `reports`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.engine import connect
from nika_pipelines.reports.chart_specs import (
    BarChart,
    ChartSpec,
    Histogram,
    Mark,
    SeriesChart,
    Severity,
)
from nika_pipelines.reports.document import Figure
from nika_pipelines.reports.numerals import plural
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STRETCHES = 360
"""Stretches of a series; each keeps its lowest and highest value."""

_FEW_ROWS = 1_200  # up to this many rows without an order, every one is a dot
_MARKS = 50
_CLOSE_UP_ROWS = 60  # rows shown at either side of a finding, at least
_ROWS_PER_STAMP = 3  # more rows than this at one time on average make a line a comb
_FEWEST_SPREAD = 10  # values; fewer of them are no distribution
_TIME_TYPES = frozenset({"date", "timestamp"})
_MOST_BARS = 8


@dataclass(frozen=True)
class _Series:
    """Where a series is: its file and its quoted columns."""

    path: str
    y: str
    time: str | None
    name: str
    time_name: str | None
    joined: bool

    @property
    def x_sql(self) -> str:
        """The horizontal axis as a number of type DOUBLE."""
        if self.time is None:
            return "CAST(file_row_number + 1 AS DOUBLE)"
        return f"CASE WHEN isfinite({self.time}) THEN epoch({self.time}) END"

    @property
    def rows_sql(self) -> str:
        """All rows as ``row``, ``x``, ``y``; takes the file as its only parameter."""
        return (
            f"SELECT file_row_number + 1 AS row, {self.x_sql} AS x, CAST({self.y} AS DOUBLE) AS y "
            "FROM read_parquet(?, file_row_number = true)"
        )


def main_chart(result: dict[str, Any], data_root: Path, settings: Settings) -> ChartSpec | None:
    """The one picture that shows the table best; None if there is nothing to draw."""
    with connect(settings) as connection:
        for chart in result.get("charts") or []:
            spec = _series_chart(connection, _series(result, chart, data_root), result)
            if spec is not None:
                return spec
    return _histogram(result) or _frequent_values(result)


def figures(
    result: dict[str, Any], data_root: Path, settings: Settings
) -> tuple[Figure | None, list[Figure]]:
    """The main picture with its caption, and up to four narrow ones that tell more."""
    wanted = list(result.get("charts") or [])[:4]
    rows = _rows(result)
    drawn: list[tuple[dict[str, Any], SeriesChart]] = []
    close_up: Figure | None = None
    with connect(settings) as connection:
        for chart in wanted:
            series = _series(result, chart, data_root)
            spec = _series_chart(connection, series, result)
            if spec is None:
                continue
            if not drawn:
                close_up = _close_up(connection, series, result)
            drawn.append((chart, spec))
    if not drawn:
        only = _histogram(result) or _frequent_values(result)
        return (None if only is None else Figure(only, _caption(only, rows))), []
    first = drawn[0][1]
    others = [Figure(spec, _caption(spec, rows), narrow=True) for _, spec in drawn[1:]]
    spread = _histogram(result, first.y_label)
    extra = [close_up, spread and Figure(spread, _caption(spread, rows), narrow=True)]
    return Figure(first, _caption(first, rows)), _even(
        [figure for figure in extra if figure], others
    )


def _even(extra: list[Figure], others: list[Figure]) -> list[Figure]:
    """Two or four narrow figures, so that no half of a row stays empty."""
    chosen = [*extra[:1], *others, *extra[1:]][:4]
    return chosen[: len(chosen) - len(chosen) % 2] or chosen


def _series(result: dict[str, Any], chart: dict[str, Any], data_root: Path) -> _Series:
    time = chart.get("time_column")
    types = {column["name"]: column["type"] for column in result.get("columns") or []}
    if types.get(time) not in _TIME_TYPES:
        time = None
    joined = time is not None and not _shares_stamps(result, time)
    if not joined and _rows(result) > _FEW_ROWS:
        time = None  # thinned by time, few dots of every stamp would be left
    return _Series(
        path=str(data_root / result["data_files"]["table"]),
        y=identifier(chart["column"]),
        time=None if time is None else identifier(time),
        name=chart["column"],
        time_name=time,
        joined=joined,
    )


def _rows(result: dict[str, Any]) -> int:
    return int((result.get("metrics") or {}).get("accepted_records") or 0)


def _shares_stamps(result: dict[str, Any], time: str) -> bool:
    """Whether many rows carry the same time, so that neighbours in time are no sequence."""
    for column in result.get("columns") or []:
        if column["name"] == time and column.get("distinct"):
            return bool(column["count"] > _ROWS_PER_STAMP * column["distinct"])
    return False


def _series_chart(
    connection: "DuckDBPyConnection", series: _Series, result: dict[str, Any]
) -> SeriesChart | None:
    points = _points(connection, series, result)
    if not points:
        return None
    return SeriesChart(
        title=f"{series.name} over {series.time_name or 'row number'}",
        x=tuple(x for x, _ in points),
        y=tuple(y for _, y in points),
        x_label="row",
        y_label=series.name,
        x_is_time=series.time is not None,
        joined=series.joined,
        marks=_marks(connection, series, result),
    )


def _points(
    connection: "DuckDBPyConnection", series: _Series, result: dict[str, Any]
) -> list[tuple[float, float]]:
    """The series, decimated where it has more rows than a picture can show."""
    rows = _rows(result)
    usable = (
        f"WITH usable AS (SELECT * FROM ({series.rows_sql}) WHERE isfinite(y) AND x IS NOT NULL)"
    )
    if rows <= _FEW_ROWS:
        query = f"{usable} SELECT x, y FROM usable ORDER BY x, row"
        return [(x, y) for x, y in connection.execute(query, [series.path]).fetchall()]
    query = f"""{usable},
        ends AS (SELECT min(x) AS low, max(x) AS high FROM usable),
        cut AS (
            SELECT x, y, row,
                   least(floor((x - low) / greatest(high - low, 1e-9) * {STRETCHES}),
                         {STRETCHES - 1}) AS stretch
            FROM usable, ends)
        SELECT struct_pack(x := arg_min(x, y), y := min(y)),
               struct_pack(x := arg_max(x, y), y := max(y)),
               struct_pack(x := arg_min(x, row), y := arg_min(y, row))
        FROM cut GROUP BY stretch ORDER BY stretch"""
    found: list[tuple[float, float]] = []
    for row in connection.execute(query, [series.path]).fetchall():
        # A line needs the extremes; dots also need a row that is not extreme.
        kept = row[:2] if series.joined else row
        found += sorted({(point["x"], point["y"]) for point in kept})
    return found


def listed_anomalies(result: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """The findings a report lists, in their order of rank."""
    shown = [a for a in result.get("anomalies") or [] if not a.get("suppressed")]
    return shown[:most]


def concerns(anomaly: dict[str, Any], column: str) -> bool:
    """Whether a finding is about a column; findings of several columns join their names by comma."""
    named = anomaly.get("column")
    return named == column or (isinstance(named, str) and column in named.split(","))


def _marks(
    connection: "DuckDBPyConnection", series: _Series, result: dict[str, Any]
) -> tuple[Mark, ...]:
    """The findings in this column, at their place in the picture."""
    numbered = [
        (number, anomaly)
        for number, anomaly in enumerate(listed_anomalies(result, _MARKS), start=1)
        if concerns(anomaly, series.name) and anomaly.get("row_start")
    ]
    if not numbered:
        return ()
    rows = {row for _, a in numbered for row in (a["row_start"], a.get("row_end")) if row}
    query = f"SELECT row, x, y FROM ({series.rows_sql}) WHERE row IN (SELECT unnest(?))"
    found = connection.execute(query, [series.path, sorted(rows)]).fetchall()
    places = {row: (x, y) for row, x, y in found}
    marks = (_mark(number, anomaly, places) for number, anomaly in numbered)
    return tuple(mark for mark in marks if mark is not None)


def _mark(
    number: int, anomaly: dict[str, Any], places: dict[int, tuple[float | None, float | None]]
) -> Mark | None:
    x, y = places.get(anomaly["row_start"], (None, None))
    if x is None:
        return None
    value = anomaly.get("value")
    if isinstance(value, int | float) and not isinstance(value, bool):
        y = float(value)
    end = places.get(anomaly.get("row_end") or anomaly["row_start"], (None, None))[0]
    return Mark(number, Severity.of(anomaly.get("severity")), x, y, end)


def _close_up(
    connection: "DuckDBPyConnection", series: _Series, result: dict[str, Any]
) -> Figure | None:
    """The worst finding of a series over time, with its surroundings."""
    if series.time is None:
        return None
    ranked = enumerate(listed_anomalies(result, _MARKS), start=1)
    worst = next(((n, a) for n, a in ranked if concerns(a, series.name) and a["row_start"]), None)
    rows = _rows(result)
    if worst is None or rows < 6 * _CLOSE_UP_ROWS:
        return None
    number, anomaly = worst
    first, last = anomaly["row_start"], anomaly.get("row_end") or anomaly["row_start"]
    around = max(_CLOSE_UP_ROWS, 2 * (last - first))
    if last - first + 2 * around > 2_000:
        return None
    query = (
        f"SELECT x, y FROM ({series.rows_sql}) WHERE row BETWEEN ? AND ? "
        "AND isfinite(y) AND x IS NOT NULL ORDER BY x, row"
    )
    bounds = [series.path, first - around, last + around]
    points = connection.execute(query, bounds).fetchall()
    if len(points) < 2:
        return None
    low, high = points[0][0], points[-1][0]
    spec = SeriesChart(
        title=f"{series.name} around finding {number}",
        x=tuple(x for x, _ in points),
        y=tuple(y for _, y in points),
        x_label="row",
        y_label=series.name,
        x_is_time=True,
        joined=series.joined,
        marks=tuple(m for m in _marks(connection, series, result) if low <= m.x <= high),
    )
    return Figure(spec, f"Finding {number} close up: {plural(len(points), 'row')}.", narrow=True)


def _histogram(result: dict[str, Any], name: str | None = None) -> Histogram | None:
    """The spread of one column, or of the first that has one worth a picture."""
    for column in result.get("columns") or []:
        bins = column.get("histogram")
        drawable = bins and len(bins["counts"]) > 1 and sum(bins["counts"]) >= _FEWEST_SPREAD
        if drawable and name in (None, column["name"]):
            return Histogram(
                title=f"How the values of {column['name']} are spread",
                edges=tuple(bins["edges"]),
                counts=tuple(bins["counts"]),
                x_label=column["name"],
            )
    return None


def _frequent_values(result: dict[str, Any]) -> BarChart | None:
    """The most frequent values of the text column that repeats the most."""
    columns = [
        column
        for column in result.get("columns") or []
        if column.get("top") and 1 < (column.get("distinct") or 0) < (column.get("count") or 0)
    ]
    if not columns:
        return None
    column = min(columns, key=lambda column: column["distinct"])
    top = column["top"][:_MOST_BARS]
    return BarChart(
        title=f"The most frequent values of {column['name']}",
        labels=tuple(str(entry["value"]) for entry in top),
        values=tuple(float(entry["count"]) for entry in top),
        x_label=f"{column['name']}: rows",
    )


def _caption(spec: ChartSpec, rows: int) -> str:
    match spec:
        case SeriesChart():
            marks = " Numbers are those of the findings below." if spec.marks else ""
            thinned = spec.joined and rows > _FEW_ROWS
            note = (
                " The line keeps the lowest and highest value of every stretch." if thinned else ""
            )
            return f"{spec.title}.{marks}{note}"
        case Histogram():
            return f"{spec.title}: {plural(sum(spec.counts), 'row')}."
        case BarChart():
            return f"{spec.title}."
