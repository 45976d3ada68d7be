"""Put a finding into words: where it is, when it happened, what a person should see in it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.anomalies.drafts import Draft
from nika_pipelines.anomalies.records import KIND_LABELS, Anomaly, severity_of
from nika_pipelines.sql import identifier, parquet_rows
from nika_pipelines.tables.records import TableProfile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

GREATEST_SCORE = 20.0
"""Beyond one in 10^20 the number says more about the model than about the data."""


@dataclass(frozen=True)
class TimeStamps:
    """The times of the rows that are reported, as ISO 8601 text; empty without a time column."""

    by_row: dict[int, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        con: "DuckDBPyConnection",
        parquet: Path,
        profile: TableProfile,
        drafts: list[Draft],
    ) -> "TimeStamps":
        """Look up the first and last rows of ``drafts`` in one scan."""
        axis = profile.time_axis
        if axis is None or not drafts:
            return cls()
        is_date = profile.column(axis.column).type == "date"
        pattern = "%Y-%m-%d" if is_date else "%Y-%m-%dT%H:%M:%SZ"
        rows = sorted({row for draft in drafts for row in (draft.first, draft.last)})
        found = con.execute(
            f"SELECT r, strftime(t, '{pattern}') FROM (SELECT row_number() OVER () AS r, "
            f"{identifier(axis.column)} AS t FROM {parquet_rows(parquet)}) "
            f"WHERE t IS NOT NULL AND r IN (SELECT unnest($1::BIGINT[]))",
            [rows],
        ).fetchall()
        return cls(dict(found))


def anomaly_of(draft: Draft, anomaly_id: str, stamps: TimeStamps) -> Anomaly:
    """The record of a draft."""
    score = max(-GREATEST_SCORE, min(GREATEST_SCORE, draft.score))
    start, end = stamps.by_row.get(draft.first), stamps.by_row.get(draft.last)
    describe = _missing_text if draft.kind == "missing_data_pattern" else _outlier_text
    return Anomaly(
        id=anomaly_id,
        type=KIND_LABELS[draft.kind],
        kind=draft.kind,
        method=draft.method,
        severity=severity_of(score),
        score=round(score, 3),
        confidence=round(1 / (1 + 10**-score), 4),
        column=",".join(draft.columns),
        row_start=draft.first,
        row_end=draft.last,
        time_start=start,
        time_end=end,
        value=draft.value,
        expected_range=[_finite(draft.low), _finite(draft.high)],
        effect=None if draft.effect is None else _finite(round(draft.effect, 2)),
        location=f"{_columns_text(draft)}, {_rows_text(draft)}{_time_text(start, end)}",
        explanation=describe(draft, _rows_text(draft) + _time_text(start, end)),
        suppressed=draft.suppressed,
    )


def number_text(number: float) -> str:
    """A number for people: six significant digits, thousands separated."""
    if number == 0 or not math.isfinite(number):
        return "0" if number == 0 else str(number)
    magnitude = math.floor(math.log10(abs(number)))
    if not -5 <= magnitude < 15:
        return f"{number:.4g}"
    text = f"{number:,.{max(0, 5 - magnitude)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _outlier_text(draft: Draft, where: str) -> str:
    side = "above" if (draft.effect or 0) > 0 else "below"
    sigmas = f"{abs(draft.effect or 0):,.3g} robust sigmas {side} the median"
    usual = _range_text(draft)
    column = _columns_text(draft)
    if draft.flagged == 1:
        return f"{column}: value {number_text(draft.value)} in {where} is {sigmas}{usual}."
    return (
        f"{column}: {draft.flagged:,} values in {where} lie far {side} the others; the farthest, "
        f"{number_text(draft.value)}, is {sigmas}{usual}."
    )


def _range_text(draft: Draft) -> str:
    low, high = _finite(draft.low), _finite(draft.high)
    if low is not None and high is not None:
        return f", outside the usual {number_text(low)} to {number_text(high)}"
    if high is not None:
        return f"; usual are values up to {number_text(high)}"
    if low is not None:
        return f"; usual are values from {number_text(low)}"
    return ""


def _missing_text(draft: Draft, where: str) -> str:
    count = f"{draft.last - draft.first + 1:,} values in a row are missing"
    usual = f"{number_text(draft.high or 0)} in a row would be no surprise"
    return f"{_columns_text(draft)}: {count} in {where}; up to {usual} here."


def _columns_text(draft: Draft) -> str:
    kind = "columns" if len(draft.columns) > 1 else "column"
    return f"{kind} {', '.join(draft.columns)}"


def _rows_text(draft: Draft) -> str:
    if draft.first == draft.last:
        return f"row {draft.first:,}"
    return f"rows {draft.first:,} to {draft.last:,}"


def _time_text(start: str | None, end: str | None) -> str:
    shown = [_short(time) for time in (start, end) if time is not None]
    if not shown:
        return ""
    return f" ({shown[0]})" if len(set(shown)) == 1 else f" ({shown[0]} to {shown[1]})"


def _short(time: str) -> str:
    return time.replace("T", " ").removesuffix("Z").removesuffix(":00")


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
