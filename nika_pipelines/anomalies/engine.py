"""From flags to findings: join the detectors, merge neighbours, hold the budget, rank and word.

Belongs here: every decision about what is reported. Does not belong here: how a detector sees an
outlier (`detectors`) or how far out is too far (`tails`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.anomalies.columns import ColumnView, eligible_columns, measure
from nika_pipelines.anomalies.detectors import (
    DETECTORS,
    MOST_MISSING_SHARE,
    OUTLIER_METHODS,
    SHORTEST_MISSING_RUN,
    Flags,
)
from nika_pipelines.anomalies.drafts import Draft
from nika_pipelines.anomalies.records import (
    FINDING_SCORE,
    SEVERITY_ORDER,
    Anomaly,
    AnomalyReport,
    severity_of,
)
from nika_pipelines.anomalies.spans import outlier_spans
from nika_pipelines.anomalies.wording import TimeStamps, anomaly_of
from nika_pipelines.intake.records import Column
from nika_pipelines.settings import Settings
from nika_pipelines.tables.records import ColumnProfile, TableProfile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SIDES = 2
BUDGET_SHARE = 0.002
"""Most findings per column, as a share of the rows; at least `SMALLEST_BUDGET`."""
SMALLEST_BUDGET = 3
LARGEST_BUDGET = 500
MOST_FLAGGED_SHARE = 0.05
MOST_STORED_SUPPRESSED = 200
NAMES_IN_NOTE = 8


def time_column(profile: TableProfile) -> str | None:
    """The name of the table's time column, if it has one; `tables.time_axis` decides."""
    return profile.time_axis.column if profile.time_axis else None


def finding_score(settings: Settings) -> float:
    """The score that makes a flag a finding.

    Scores count a value once per outlier method, but the methods mostly agree, so the limit on
    expected false flags is reached at that many times its value.
    """
    return max(FINDING_SCORE, -math.log10(OUTLIER_METHODS * settings.expected_false_flags))


def detect_anomalies(
    con: "DuckDBPyConnection",
    parquet: Path,
    columns: list[Column],
    profile: TableProfile,
    settings: Settings,
) -> AnomalyReport:
    """Find what does not fit in the typed table in ``parquet``.

    Args:
        con: an open connection that keeps the order of rows, as DuckDB does by default.
        parquet: the typed table.
        columns: the table's columns.
        profile: the table's statistics.
        settings: thresholds, the limit on false flags, the fewest values worth judging.
    """
    chosen, notes_by_reason = eligible_columns(profile, settings)
    names = {column.name for column in columns}
    drafts: list[Draft] = []
    suppressed = 0
    for view in _views(con, parquet, profile, [c for c in chosen if c.name in names]):
        found = _judge(view, settings, has_time=profile.time_axis is not None)
        drafts += found.drafts
        suppressed += found.suppressed
        if found.refusal:
            notes_by_reason.setdefault(found.refusal, []).append(view.profile.name)
    for column in profile.columns:
        if column.nulls >= MOST_MISSING_SHARE * profile.rows > 0:
            reason = "is at least half empty, so runs of missing values mean nothing"
            notes_by_reason.setdefault(reason, []).append(column.name)
    records = _ranked(con, parquet, profile, _join_columns(drafts))
    return AnomalyReport(records, suppressed, _notes(notes_by_reason))


@dataclass(frozen=True)
class _Judgement:
    drafts: list[Draft]
    suppressed: int
    refusal: str | None = None


def _views(
    con: "DuckDBPyConnection", parquet: Path, profile: TableProfile, chosen: list[ColumnProfile]
) -> Iterator[ColumnView]:
    """The columns that any detector can say something about, one in memory at a time."""
    measured = {column.name for column in chosen}
    gappy = [
        column
        for column in profile.columns
        if SHORTEST_MISSING_RUN <= column.nulls < MOST_MISSING_SHARE * profile.rows
    ]
    for column in profile.columns:
        if column.name in measured or column in gappy:
            yield ColumnView(
                con=con,
                parquet=parquet,
                rows=profile.rows,
                profile=column,
                looks=max(1, len(chosen)) * OUTLIER_METHODS * SIDES,
                gappy_columns=max(1, len(gappy)),
                measures=measure(con, parquet, column) if column.name in measured else None,
            )


def _judge(view: ColumnView, settings: Settings, *, has_time: bool) -> _Judgement:
    """Everything the detectors find in one column, within the column's budget."""
    flags = [found for detect in DETECTORS if (found := detect(view, settings)) is not None]
    outliers = [found for found in flags if found.kind == "statistical_outlier"]
    missing = [found for found in flags if found.kind == "missing_data_pattern"]
    budget = min(LARGEST_BUDGET, max(SMALLEST_BUDGET, math.ceil(BUDGET_SHARE * view.rows)))
    drafts = [draft for found in missing for draft in _missing_drafts(view, found)]
    drafts = _within_budget(drafts, budget)
    suppressed = sum(draft.suppressed for draft in drafts)
    if not outliers or view.measures is None:
        return _Judgement(drafts, suppressed)
    spans = outlier_spans(view, outliers, finding_score(settings), gap=3 if has_time else 1)
    if spans.flagged > MOST_FLAGGED_SHARE * view.measures.n:
        return _Judgement(drafts, suppressed, "has no stable normal: over 5 % would be flagged")
    kept = _within_budget(spans.drafts, budget)
    over_budget = sum(draft.suppressed for draft in kept) - spans.stored_suppressed
    reason = "has rare values that cannot be judged, as nearly all values are the same"
    return _Judgement(
        drafts + kept,
        suppressed + spans.suppressed + over_budget,
        reason if spans.unjudged else None,
    )


def _missing_drafts(view: ColumnView, found: Flags) -> list[Draft]:
    return [
        Draft(
            kind=found.kind,
            method=found.method,
            columns=(view.profile.name,),
            score=float(score),
            first=int(first),
            last=int(last),
            flagged=int(value),
            value=float(value),
            low=found.low,
            high=found.high,
            effect=None,
            suppressed=False,
        )
        for first, last, value, score in zip(
            found.first, found.last, found.value, found.score, strict=True
        )
    ]


def _within_budget(drafts: list[Draft], budget: int) -> list[Draft]:
    """Suppress the weakest findings beyond the budget."""
    findings = sorted((d for d in drafts if not d.suppressed), key=lambda d: (-d.score, -d.size))
    others = [draft for draft in drafts if draft.suppressed]
    return findings[:budget] + [draft.as_suppressed() for draft in findings[budget:]] + others


def _join_columns(drafts: list[Draft]) -> list[Draft]:
    """One draft for runs of missing values that cover the same rows in several columns."""
    joined: dict[tuple[int, int], Draft] = {}
    others: list[Draft] = []
    for draft in drafts:
        if draft.kind != "missing_data_pattern" or draft.suppressed:
            others.append(draft)
            continue
        rows = (draft.first, draft.last)
        joined[rows] = joined[rows].joined(draft) if rows in joined else draft
    return others + list(joined.values())


def _ranked(
    con: "DuckDBPyConnection", parquet: Path, profile: TableProfile, drafts: list[Draft]
) -> list[Anomaly]:
    """Findings by severity and score, then the strongest suppressed ones."""
    findings = sorted(
        (draft for draft in drafts if not draft.suppressed),
        key=lambda d: (
            SEVERITY_ORDER.index(severity_of(d.score)),
            -d.score,
            -d.size,
            d.columns,
            d.first,
        ),
    )
    suppressed = sorted(
        (draft for draft in drafts if draft.suppressed),
        key=lambda d: (-d.score, -d.size, d.columns, d.first),
    )
    shown = findings + suppressed[:MOST_STORED_SUPPRESSED]
    stamps = TimeStamps.read(con, parquet, profile, shown)
    return [anomaly_of(draft, f"a{place}", stamps) for place, draft in enumerate(shown, start=1)]


def _notes(names_by_reason: dict[str, list[str]]) -> list[str]:
    """One sentence per reason."""
    notes = []
    for reason, names in names_by_reason.items():
        listed = ", ".join(names[:NAMES_IN_NOTE])
        more = f" and {len(names) - NAMES_IN_NOTE} more" if len(names) > NAMES_IN_NOTE else ""
        subject = "Column" if len(names) == 1 else "Columns"
        notes.append(f"{subject} not judged ({reason}): {listed}{more}.")
    return notes
