"""The sheets of a workbook that are not its table: each is kept as text in a file of its own.

Belongs here: which of them are kept, where, and as what. Does not belong here: how a sheet becomes
a text table, which is read like the main one.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nika_pipelines.engine import connect
from nika_pipelines.intake.codes import UploadRejected, WarningCode
from nika_pipelines.intake.deadline import check_time, interruptible
from nika_pipelines.intake.dialect import DialectGuess
from nika_pipelines.intake.names import safe_stem
from nika_pipelines.intake.opening import OpenedText
from nika_pipelines.intake.records import (
    LINE_COLUMN,
    OTHER_TABLES,
    Dialect,
    IntakeWarning,
    TextTable,
)
from nika_pipelines.intake.spreadsheet import Sheet
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, literal, parquet_rows

_FEWEST_COLUMNS = 2
"""A sheet of one column is a note, not a table."""
_MOST_TOLD = 10

Read = Callable[[OpenedText, Path], TextTable]
"""Reads opened text into text tables below a folder."""


def write_other_tables(
    sheets: Sequence[Sheet], out_dir: Path, work: Path, settings: Settings, read: Read
) -> list[dict[str, Any]]:
    """Keep sheets as Parquet files, all columns as text.

    Returns:
        ``{name, rows, columns, parquet}`` of each, with the path relative to ``out_dir``. It is
        null for a sheet that could not be kept; its rows and columns are then those of the sheet.
    """
    if not sheets:
        return []
    (out_dir / OTHER_TABLES).mkdir(exist_ok=True)
    drafts = work / "other"
    drafts.mkdir(exist_ok=True)
    kept = []
    for number, sheet in enumerate(sheets, start=1):
        check_time()
        # The number makes names unique that differ only in what a safe name leaves out.
        target = out_dir / OTHER_TABLES / f"{number:02}_{safe_stem(sheet.name)}.parquet"
        size = _keep(sheet, target, drafts, settings, read)
        found = size or (sheet.rows, sheet.columns)
        path = f"{OTHER_TABLES}/{target.name}" if size else None
        kept.append({"name": sheet.name, "rows": found[0], "columns": found[1], "parquet": path})
    return kept


def unread_sheets(
    table: TextTable, others: Sequence[dict[str, Any]], out_dir: Path, settings: Settings
) -> list[IntakeWarning]:
    """What to tell of the other sheets that hold a table: nothing of them was judged."""
    unread = [one for one in others if one["columns"] >= _FEWEST_COLUMNS and one["rows"] > 0]
    if not unread:
        return []
    told = ", ".join(
        f"{one['name'][:60]!r} ({one['rows']:,} row{'' if one['rows'] == 1 else 's'})"
        for one in unread[:_MOST_TOLD]
    )
    more = len(unread) - _MOST_TOLD
    told += f" and {more:,} more" if more > 0 else ""
    sheets = "1 other sheet was" if len(unread) == 1 else f"{len(unread):,} other sheets were"
    message = f"Only sheet {table.dialect.sheet!r} was read; {sheets} not judged: {told}."
    alike = [one for one in unread if _columns_of(one, out_dir, settings) == table.names]
    if alike:
        which = "They have" if len(alike) == len(unread) > 1 else f"{len(alike):,} of them have"
        which = "It has" if len(unread) == 1 else which
        message += f" {which} the same columns: put them in one sheet, or one file each."
    else:
        message += " To judge another one, name it as `sheet` in the sidecar, or save it as a file."
    return [IntakeWarning(WarningCode.FORMAT_MISMATCH, message)]


def _columns_of(other: dict[str, Any], out_dir: Path, settings: Settings) -> list[str]:
    """The names of a kept sheet's columns; none if it could not be kept."""
    if other["parquet"] is None:
        return []
    with connect(settings) as con:
        query = con.execute(f"SELECT * FROM {parquet_rows(out_dir / other['parquet'])} LIMIT 0")
        return [str(column[0]) for column in query.description or []]


def _keep(
    sheet: Sheet, target: Path, drafts: Path, settings: Settings, read: Read
) -> tuple[int, int] | None:
    """Write one sheet; returns its rows and columns, or null when it is beyond the limits."""
    if sheet.path is None or sheet.columns > settings.max_columns:
        return None
    text = OpenedText(
        sheet.path, DialectGuess(Dialect(",", '"', sheet=sheet.name)), None, sheet_rows=sheet.rows
    )
    try:
        table = read(text, drafts)
    except UploadRejected as refusal:
        if refusal.code == "TIMEOUT":
            raise
        return _keep_as_it_is(sheet, sheet.path, target, settings)
    rows = _copy(
        f"SELECT * EXCLUDE ({identifier(LINE_COLUMN)}) FROM {parquet_rows(table.parquet)}",
        target,
        settings,
    )
    return rows, len(table.names)


def _keep_as_it_is(
    sheet: Sheet, source: Path, target: Path, settings: Settings
) -> tuple[int, int] | None:
    """Write all rows that hold something, under generated names, of a sheet without a table."""
    import duckdb

    names = [f"column_{place}" for place in range(1, sheet.columns + 1)]
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    scan = (
        f"read_csv({literal(str(source))}, auto_detect = false, header = false, delim = ',', "
        f"quote = '\"', escape = '\"', null_padding = true, parallel = false, "
        f"max_line_size = {settings.max_line_bytes}, columns = {{{columns}}})"
    )
    filled = f"coalesce({', '.join(map(identifier, names))}) IS NOT NULL"
    try:
        return _copy(f"FROM {scan} WHERE {filled}", target, settings), sheet.columns
    except duckdb.InvalidInputException:
        target.unlink(missing_ok=True)
        return None


def _copy(query: str, target: Path, settings: Settings) -> int:
    with connect(settings) as con, interruptible(con):
        written = con.execute(
            f"COPY ({query}) TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        ).fetchone()
    return int(written[0]) if written else 0
