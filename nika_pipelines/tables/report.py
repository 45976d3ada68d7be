"""What a table report says: the verdict first, then the picture, the findings and the evidence.

Belongs here: the order and the words of the report. It is a pure function of ``result.json`` and
the Parquet files named there. Tables of the report are built in `report_tables`, its pictures in
`report_charts`, and how blocks look is the business of `reports`.
"""

from pathlib import Path
from typing import Any

from nika_pipelines.reports.chart_specs import Severity, Tone
from nika_pipelines.reports.document import (
    Block,
    BulletList,
    Document,
    Figure,
    Heading,
    Kpi,
    KpiStrip,
    Note,
    Paragraph,
    Run,
    Table,
)
from nika_pipelines.reports.numerals import number, plural, stamp
from nika_pipelines.reports.text import shown
from nika_pipelines.settings import Settings
from nika_pipelines.tables import report_tables as tables
from nika_pipelines.tables.report_charts import figures, listed_anomalies, main_chart
from nika_pipelines.tables.report_drift import drift_blocks
from nika_pipelines.tables.report_rejects import first_rejects_table
from nika_pipelines.tables.verdict import judged_columns

__all__ = ["main_chart", "table_report"]

_VERDICT_TITLES: dict[Tone, str] = {
    "good": "Good",
    "attention": "Needs attention",
    "bad": "Do not use unchecked",
    "neutral": "Result",
}
_MOST_NEXT_STEPS = 5
_NAME_LIMIT = 90  # characters of a file name below the title
_GOOD_SCORE, _FAIR_SCORE = 90, 70
_MOST_NOTES = 8


def table_report(result: dict[str, Any], data_root: Path, settings: Settings) -> Document:
    """The report of one processed table.

    Args:
        result: the content of ``result.json``.
        data_root: the folder that ``result["data_files"]`` are relative to.
        settings: gives the most findings that are listed.
    """
    info = result.get("file_info") or {}
    name = str(info.get("filename") or result.get("upload_id") or "table")
    picture, more_pictures = figures(result, data_root, settings)
    blocks: list[Block] = [
        *_summary(result, picture),
        *_findings(result, settings.max_anomalies_per_report, more_pictures),
        *_statistics(result),
        *drift_blocks(result),
        *_quality(result, first_rejects_table(result, data_root, settings)),
        *_making(result),
    ]
    return Document(
        title=str(result.get("dataset") or name),
        subtitle=_subtitle(result, name),
        blocks=tuple(blocks),
        running_head=("Nika \u00b7 Table report", name),
        foot=_foot(result),
        subject=f"Validation, statistics and anomalies of {name}",
        keywords=("data quality", "anomalies", str(result.get("upload_id") or "")),
    )


def _subtitle(result: dict[str, Any], name: str) -> str:
    metrics, info = result.get("metrics") or {}, result.get("file_info") or {}
    rows = plural(int(metrics.get("accepted_records") or 0), "row")
    columns = plural(len(result.get("columns") or []), "column")
    facts = [shown(name, _NAME_LIMIT), f"{rows}, {columns}"]
    span = _time_span(result)
    if span:
        facts.append(span)
    if info.get("received_at"):
        facts.append(f"received {stamp(info['received_at'])} UTC")
    if result.get("version"):
        facts.append(f"version {result['version']}")
    return " \u00b7 ".join(facts)


def _time_span(result: dict[str, Any]) -> str | None:
    time = result.get("time_column")
    for column in result.get("columns") or []:
        if time and column["name"] == time and column.get("min"):
            return f"{stamp(column['min'])} to {stamp(column['max'])}"
    return None


def _foot(result: dict[str, Any]) -> tuple[str, ...]:
    info = result.get("file_info") or {}
    facts = []
    if info.get("sha256"):
        facts.append(f"SHA-256 {str(info['sha256'])[:12]}\u2026")
    if result.get("run_id"):
        facts.append(f"run {str(result['run_id'])[:8]}")
    if info.get("processed_at"):
        facts.append(f"processed {stamp(info['processed_at'])} UTC")
    return tuple(facts)


def _summary(result: dict[str, Any], picture: Figure | None) -> list[Block]:
    verdict = result.get("verdict") or {}
    level = verdict.get("level")
    tone: Tone = level if level in _VERDICT_TITLES else "neutral"
    blocks: list[Block] = [
        Note(str(verdict.get("text") or ""), tone, _VERDICT_TITLES[tone]),
        _kpis(result),
    ]
    if picture is not None:
        blocks.append(picture)
    steps = [_step_text(step) for step in result.get("recommendations") or []]
    if steps:
        blocks += [
            Heading("What to do next", 2),
            BulletList(tuple(steps[:_MOST_NEXT_STEPS])),
        ]
    return blocks


def _step_text(step: object) -> str:
    if isinstance(step, dict):
        return str(step.get("text") or step.get("message") or "")
    return str(step)


def _kpis(result: dict[str, Any]) -> KpiStrip:
    metrics = result.get("metrics") or {}
    rejected = int(metrics.get("rejected_records") or 0)
    score = metrics.get("quality_score")
    tiles = [
        Kpi(number(metrics.get("accepted_records")), "rows"),
        Kpi(number(rejected), "rejected", "bad" if rejected else "neutral"),
        Kpi(number(len(result.get("columns") or [])), "columns"),
        Kpi(number(score, 3), "quality of 100", _score_tone(score)),
    ]
    counts = tables.severity_counts(result)
    present = [severity for severity in Severity if counts[severity]]
    tiles += [Kpi(number(counts[severity]), severity.value, severity) for severity in present]
    if not present and (judged_columns(result) or not tables.numeric_columns(result)):
        tiles.append(Kpi("0", "anomalies", "good"))
    elif not present:
        tiles.append(Kpi("\u2013", "anomalies: not judged", "attention"))
    return KpiStrip(tuple(tiles))


def _score_tone(score: object) -> Tone:
    if not isinstance(score, int | float):
        return "neutral"
    if score >= _GOOD_SCORE:
        return "good"
    return "attention" if score >= _FAIR_SCORE else "bad"


def _findings(result: dict[str, Any], most: int, pictures: list[Figure]) -> list[Block]:
    listed = listed_anomalies(result, most)
    metrics = result.get("metrics") or {}
    suppressed = int(metrics.get("anomalies_suppressed") or 0)
    found = int(metrics.get("anomalies_detected") or len(listed))
    blocks: list[Block] = [Heading("Findings")]
    if not listed:
        blocks.append(Paragraph(_nothing_found(result, suppressed)))
    else:
        said = f"{plural(found, 'finding')}, worst first."
        if suppressed:
            said += f" {plural(suppressed, 'weaker one')} set aside; the data file holds all."
        blocks += [Paragraph(said), tables.findings_table(result, listed, found)]
    blocks.append(Paragraph(_row_counting(result), muted=True))
    return [*blocks, *_not_judged(result), *pictures]


def _row_counting(result: dict[str, Any]) -> str:
    lines = tables.line_noun(result)
    return (
        "Row numbers count the accepted data rows in the order of the file, from 1; only rejected "
        f"rows are named by their {lines}, header and blank ones included."
    )


def _not_judged(result: dict[str, Any]) -> list[Block]:
    """What was left out of the search, and why."""
    notes = [str(note) for note in result.get("notes") or []]
    if not notes:
        return []
    left = len(notes) - _MOST_NOTES
    more = [f"{left:,} more in result.json."] if left > 0 else []
    return [Heading("What was not judged", 2), BulletList((*notes[:_MOST_NOTES], *more))]


def _nothing_found(result: dict[str, Any], suppressed: int) -> str:
    numeric, judged = len(tables.numeric_columns(result)), len(judged_columns(result))
    if not numeric:
        text = "The table has no numeric column, so only missing values were searched for patterns."
    elif not judged:
        text = "No numeric column could be judged, so only missing values were searched."
    else:
        others = plural(numeric - judged, "other was", "others were")
        rest = f"; {others} not judged" if judged < numeric else ""
        text = f"No anomaly was found in {plural(judged, 'numeric column')}{rest}."
    return text + (f" {plural(suppressed, 'weak one')} set aside." if suppressed else "")


def _statistics(result: dict[str, Any]) -> list[Block]:
    blocks: list[Block] = [Heading("Statistics")]
    for title, table in tables.statistics_tables(result):
        blocks += [Heading(title, 2), table]
    correlations = tables.correlation_table(result)
    if correlations is not None:
        blocks += [Heading("Strongest correlations", 2), correlations]
    return blocks if len(blocks) > 1 else []


def _quality(result: dict[str, Any], rejects: Table | None) -> list[Block]:
    blocks: list[Block] = [Heading("Data quality")]
    parts = tables.quality_table(result)
    if parts is not None:
        blocks.append(parts)
    balance = tables.balance_sentence(result)
    if balance:
        blocks.append(Paragraph(balance))
    for title, table in (
        ("Missing data", tables.missing_table(result)),
        ("Rejected rows by code", tables.rejects_table(result)),
        ("Rejected rows", rejects),
        ("Warnings", tables.warnings_table(result)),
    ):
        if table is not None:
            blocks += [Heading(title, 2), table]
    return blocks


def _making(result: dict[str, Any]) -> list[Block]:
    blocks: list[Block] = [Heading("How this report was made")]
    method = tables.method_sentences(result)
    if method:
        blocks.append(Paragraph(tuple(Run(text, strong) for text, strong in method)))
    times = tables.times_table(result)
    if times is not None:
        blocks.append(times)
    return [*blocks, tables.facts_table(result)]
