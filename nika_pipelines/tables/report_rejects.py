"""The first rejected rows of a table, read from the file that holds all of them.

Belongs here: which rejects a report lists and how much of each. The texts are cells of an upload,
so they are only ever passed on as text.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nika_pipelines.engine import connect
from nika_pipelines.intake.masking import Masking
from nika_pipelines.intake.semantic_types import PERSONAL_TYPES
from nika_pipelines.reports.document import Number, Table, TableColumn, TableRow
from nika_pipelines.reports.numerals import number
from nika_pipelines.settings import Settings
from nika_pipelines.tables.verdict import MOST_REJECTS_LISTED

_RAW_CHARACTERS = 100
_REASON_CHARACTERS = 200


@dataclass(frozen=True)
class RejectedRow:
    """One rejected row; its text is masked as the settings ask for."""

    line: int
    column: str | None
    code: str
    reason: str
    raw: str | None


def first_rejects(
    result: dict[str, Any], data_root: Path, settings: Settings
) -> tuple[list[RejectedRow], int]:
    """The first rejected rows of an upload, and how many more there are on disk."""
    stored = (result.get("data_files") or {}).get("rejects")
    if not stored or not result.get("rejects_by_code") or not (data_root / stored).is_file():
        return [], 0
    query = f"""
        SELECT line, "column", code, left(reason, {_REASON_CHARACTERS}), raw, count(*) OVER ()
        FROM read_parquet(?) ORDER BY line, "column" LIMIT {MOST_REJECTS_LISTED}"""
    with connect(settings) as connection:
        found = connection.execute(query, [str(data_root / stored)]).fetchall()
    masking = _masking(result, settings)
    delimiter = ((result.get("file_info") or {}).get("dialect") or {}).get("delimiter")
    rows = [
        RejectedRow(line, column, code, reason or "", masking.rejected(column, raw, delimiter))
        for line, column, code, reason, raw, _ in found
    ]
    return rows, found[0][-1] - len(found) if found else 0


def first_rejects_table(
    result: dict[str, Any], data_root: Path, settings: Settings
) -> Table | None:
    """The first rejected rows with line, reason and raw text; None if there are none on disk."""
    found, left = first_rejects(result, data_root, settings)
    if not found:
        return None
    rows = tuple(
        TableRow(
            (
                Number(number(one.line), one.line),
                one.column or "\u2013",
                one.code,
                one.reason,
                _raw_text(one.raw),
            )
        )
        for one in found
    )
    heading = (
        TableColumn("Line", "right"),
        TableColumn("Column"),
        TableColumn("Code"),
        TableColumn("Reason", wrap=True),
        TableColumn("Raw text", wrap=True),
    )
    file = str(result["data_files"]["rejects"]).rsplit("/", 1)[-1]
    return Table(heading, rows, f"{left:,} more in {file}." if left > 0 else None)


def _masking(result: dict[str, Any], settings: Settings) -> Masking:
    columns = result.get("columns") or []
    personal = frozenset(one["name"] for one in columns if one.get("personal"))
    # Such a column is not personal only where a person said so.
    cleared = frozenset(
        one["name"] for one in columns if one.get("semantic_type") in PERSONAL_TYPES
    )
    return Masking(personal, settings.mask_personal_data, cleared - personal)


def _raw_text(raw: str | None) -> str:
    if raw is None:
        return "\u2013"
    cut = len(raw) - _RAW_CHARACTERS
    return f"{raw[:_RAW_CHARACTERS]}\u2026 (+{cut:,} characters)" if cut > 0 else raw
