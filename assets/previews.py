"""Markdown for the web UI: verdicts with a picture, and the first rows of a table."""

from pathlib import Path
from typing import Any

from nika_pipelines.engine import connect
from nika_pipelines.intake.names import display_name
from nika_pipelines.settings import Settings

_ROWS, _COLUMNS, _CELL = 5, 8, 40
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


def markdown_preview(parquet: Path, settings: Settings) -> str:
    """The first rows and columns of a Parquet file as a markdown table."""
    with connect(settings) as connection:
        cursor = connection.execute("SELECT * FROM read_parquet(?) LIMIT ?", [str(parquet), _ROWS])
        names = [column[0] for column in cursor.description or []][:_COLUMNS]
        rows = [row[:_COLUMNS] for row in cursor.fetchall()]
    table = [names, ["---"] * len(names), *rows]
    return "\n".join(
        "| " + " | ".join("" if cell is None else _cell(cell) for cell in row) + " |"
        for row in table
    )


def _cell(value: object) -> str:
    return "---" if value == "---" else markdown_text(value, _CELL)
