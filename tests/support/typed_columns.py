"""Columns typed by inference and cast, made from cells in a test."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from text_tables import engine, stored, write_text_table

from nika_pipelines.intake.column_types import infer_columns
from nika_pipelines.intake.reading_options import ColumnOption
from nika_pipelines.intake.records import Column, IntakeWarning
from nika_pipelines.intake.typed_table import cast_table
from nika_pipelines.settings import Settings

Typed = tuple[list[Column], list[IntakeWarning], list[tuple[Any, ...]]]


def typed_columns(
    folder: Path,
    cells: Mapping[str, Sequence[str | None]],
    said: Mapping[int, ColumnOption] | None = None,
) -> Typed:
    """Infer the types of columns and cast them; gives columns, warnings and the typed rows."""
    names = list(cells)
    rows = list(zip(*cells.values(), strict=True))
    text = write_text_table(folder / "text.parquet", names, rows)
    with engine() as con:
        found, warnings = infer_columns(con, text, names, names, Settings(), said or {})
        cast_table(con, text, found, folder / "table.parquet", folder / "cast.parquet")
    return found, warnings, stored(folder / "table.parquet")


def typed_values(
    folder: Path, name: str, cells: Sequence[str | None], option: ColumnOption | None = None
) -> tuple[Column, list[Any]]:
    """One column and its values."""
    columns, _, rows = typed_columns(folder, {name: cells}, {0: option} if option else None)
    return columns[0], [row[0] for row in rows]
