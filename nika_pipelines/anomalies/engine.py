"""From flags to findings: join the detectors, merge neighbours, hold the budget, rank and word.

Belongs here: every decision about what is reported. Does not belong here: how a detector sees an
outlier (`detectors`) or how far out is too far (`tails`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.anomalies.columns import ColumnView, Refusal, eligible_columns, measure
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
    Unjudged,
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
_UNSTABLE = Refusal(
    f"no stable normal, as over {MOST_FLAGGED_SHARE:.0%} would be flagged",
    f"over {MOST_FLAGGED_SHARE:.0%} of its values would be flagged",
)
_NEARLY_CONSTANT = Refusal(
    "rare values cannot be judged where nearly all values are the same",
    "its rare values only, as nearly all are the same",
    partly=True,
)
_MOSTLY_EMPTY = "at least half empty"


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
    chosen, refusals = eligible_columns(profile, settings)
    names = {column.name for column in columns}
    drafts: list[Draft] = []
    suppressed = 0
    sampled: list[str] = []
    for view in _views(con, parquet, profile, [c for c in chosen if c.name in names]):
        found = _judge(view, settings, has_time=profile.time_axis is not None)
        drafts += found.drafts
        suppressed += found.suppressed
        if found.refusal:
            refusals[view.profile.name] = found.refusal
        if view.measures is not None and view.measures.is_sample:
            sampled.append(view.profile.name)
    return AnomalyReport(
        records=_ranked(con, parquet, profile, _join_columns(drafts)),
        suppressed_count=suppressed,
        notes=_notes(profile, refusals, sampled),
        not_judged=[
            Unjudged(column.name, refusal.brief, refusal.by_nature, refusal.partly)
            for column in profile.columns
            if (refusal := refusals.get(column.name)) is not None
        ],
    )


@dataclass(frozen=True)
class _Judgement:
    drafts: list[Draft]
    suppressed: int
    refusal: Refusal | None = None


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
        return _Judgement(drafts, suppressed, _UNSTABLE)
    kept = _within_budget(spans.drafts, budget)
    over_budget = sum(draft.suppressed for draft in kept) - spans.stored_suppressed
    return _Judgement(
        drafts + kept,
        suppressed + spans.suppressed + over_budget,
        _NEARLY_CONSTANT if spans.unjudged else None,
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


def _notes(profile: TableProfile, refusals: dict[str, Refusal], sampled: list[str]) -> list[str]:
    """One sentence per reason."""
    by_reason: dict[str, list[str]] = {}
    for column in profile.columns:
        if column.name in refusals:
            by_reason.setdefault(refusals[column.name].reason, []).append(column.name)
    notes = [
        _note(names, f"not judged for unusual values ({reason})")
        for reason, names in by_reason.items()
    ]
    gaps = [c.name for c in profile.columns if c.nulls >= MOST_MISSING_SHARE * profile.rows > 0]
    if gaps:
        notes.append(_note(gaps, f"not searched for runs of missing values ({_MOSTLY_EMPTY})"))
    if sampled:
        what = "judged by limits fitted to a sample of the values"
        notes.append(_note(sampled, what))
    return notes


def _note(names: list[str], what: str) -> str:
    listed = ", ".join(names[:NAMES_IN_NOTE])
    more = f" and {len(names) - NAMES_IN_NOTE:,} more" if len(names) > NAMES_IN_NOTE else ""
    return f"{'Column' if len(names) == 1 else 'Columns'} {what}: {listed}{more}."
