"""Text cells that a spreadsheet would run as a formula.

Belongs here: finding and telling them. Does not belong here: exports, which make them harmless.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.intake.codes import WarningCode
from nika_pipelines.intake.column_counts import unoptimized
from nika_pipelines.intake.records import Column, IntakeWarning
from nika_pipelines.sql import identifier, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COLUMNS_PER_SCAN = 100
_FORMULA_STARTS = ", ".join(str(ord(character)) for character in "=+-@\t\r")


def formula_warnings(
    con: "DuckDBPyConnection",
    text_parquet: Path,
    columns: Sequence[Column],
) -> list[IntakeWarning]:
    """Warn of text cells that a spreadsheet would run, in columns whose types are known."""
    source = parquet_rows(text_parquet)
    text = [column.name for column in columns if column.type == "text"]
    found: dict[str, int] = {}
    for start in range(0, len(text), _COLUMNS_PER_SCAN):
        batch = text[start : start + _COLUMNS_PER_SCAN]
        counts = ", ".join(formulas_in(identifier(name)) for name in batch)
        with unoptimized(con):
            row = con.execute(f"SELECT {counts} FROM {source}").fetchone()
        found |= zip(batch, row or (), strict=True)
    return told_formulas(found)


def formulas_in(raw: str) -> str:
    """The aggregate that counts them in a column; ``raw`` is the reference to its cell."""
    starts = f"ascii({raw}) IN ({_FORMULA_STARTS})"
    harmless = f"regexp_full_match({raw}, '[+-]+|[+-][0-9.,][0-9.,eE ()]*')"
    return f"count_if({starts} AND NOT {harmless})"


def told_formulas(counts: Mapping[str, int]) -> list[IntakeWarning]:
    """The warning about so many such cells per column; none if there are none."""
    found = {name: count for name, count in counts.items() if count}
    if not found:
        return []
    columns = ", ".join(f"{name!r} ({count})" for name, count in found.items())
    return [
        IntakeWarning(
            WarningCode.FORMULA_LIKE.value,
            f"Text cells that a spreadsheet would run as a formula, in {columns}; "
            "they are kept exactly as written, also in CSV files made of this table. Open those "
            "in a spreadsheet only with such columns imported as text.",
        )
    ]
