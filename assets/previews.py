"""Markdown for the web UI: verdicts with a picture, and the first rows of a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.engine import connect
from nika_pipelines.intake.masking import Masking
from nika_pipelines.intake.names import display_name
from nika_pipelines.intake.records import Column
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    from nika_pipelines.anomalies.records import AnomalyReport
    from nika_pipelines.tables.records import TableProfile

_ROWS, _COLUMNS, _CELL, _LISTED = 5, 8, 40, 10
_PICTURE_LIMIT = 1_000  # the web UI shows markdown inline, without a click, below this length
_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>()#+!|~"})


def markdown_text(text: object, longest: int = 300) -> str:
    """Untrusted text as markdown that shows it literally, on one line and cut visibly."""
    plain = display_name(str(text))
    cut = plain if len(plain) <= longest else f"{plain[: longest - 1]}…"
    return cut.translate(_SPECIAL)


def verdict_markdown(result: dict[str, Any], chart_url: str | None) -> str:
    """The verdict of a table, its headline figures and its picture."""
    verdict, metrics = result["verdict"], result["metrics"]
    lines = [
        f"**{markdown_text(verdict['text'])}**",
        "",
        "| rows | rejected | anomalies | quality |",
        "|---:|---:|---:|---:|",
        (
            f"| {metrics['accepted_records']:,} | {metrics['rejected_records']:,} "
            f"| {metrics['anomalies_detected']:,} | {metrics['quality_score']:.1f} |"
        ),
    ]
    text = "\n".join(lines)
    picture = "" if chart_url is None else f"\n\n![chart]({chart_url})"
    return text + picture if len(text) + len(picture) < _PICTURE_LIMIT else text


def markdown_preview(parquet: Path, columns: Sequence[Column], settings: Settings) -> str:
    """The first rows and columns of a typed table as a markdown table, personal cells masked."""
    masking = Masking.of(columns, settings)
    with connect(settings) as connection:
        cursor = connection.execute("SELECT * FROM read_parquet(?) LIMIT ?", [str(parquet), _ROWS])
        names = [column[0] for column in cursor.description or []][:_COLUMNS]
        rows = [row[:_COLUMNS] for row in cursor.fetchall()]
    shown = [[masking.cell(*cell) for cell in zip(names, row, strict=True)] for row in rows]
    return _table(names, shown)


def statistics_preview(profile: "TableProfile") -> str:
    """The first columns of a profile as a markdown table."""
    figures = ("count", "nulls", "distinct", "mean", "std", "min", "median", "max")
    shown = profile.columns[:_LISTED]
    return _table(
        ["column", *figures],
        [[one.name, *(getattr(one, figure) for figure in figures)] for one in shown],
    )


def findings_preview(report: "AnomalyReport") -> str:
    """The worst findings as a markdown table; a sentence when there are none."""
    if not report.findings:
        return "No findings."
    rows = [[one.severity, one.column, one.explanation] for one in report.findings[:_LISTED]]
    return _table(["severity", "column", "finding"], rows, longest=200)


def _table(names: Sequence[str], rows: Sequence[Sequence[object]], longest: int = _CELL) -> str:
    lines = [list(names), ["---"] * len(names), *rows]
    return "\n".join(
        "| " + " | ".join(_cell(cell, longest) for cell in line) + " |" for line in lines
    )


def _cell(value: object, longest: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "---" if value == "---" else markdown_text(value, longest)
