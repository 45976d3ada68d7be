"""The verdict over a whole file: whether enough of it is one table, and whether the count closes.

Belongs here: refusals that follow from the counts of the survey. Does not belong here: counting.
"""

from typing import Any

from nika_pipelines.intake.classify import unclosed_quote
from nika_pipelines.intake.codes import IntakeFault, UploadRejected
from nika_pipelines.intake.record_kinds import ACCEPTED, Kind
from nika_pipelines.intake.records import RowBalance
from nika_pipelines.intake.structure import Structure
from nika_pipelines.intake.survey import BAD_RECORDS, BadRecord, Survey
from nika_pipelines.settings import Settings

_FEW_BAD_ROWS = 5
"""Fewer structural faults than this are no verdict over a short file while good rows prevail."""
_MAX_OPEN_SHARE = 0.01


def judge(survey: Survey, structure: Structure, settings: Settings) -> None:
    """Refuse the file when too little of it is a table.

    Raises:
        UploadRejected: UNCLOSED_QUOTE, MULTIPLE_TABLES, RAGGED, FIELD_TOO_LONG or NO_DATA_ROWS.
    """
    if survey.open_lines > max(1, _MAX_OPEN_SHARE * survey.physical_lines):
        raise unclosed_quote(survey.open_line, survey.open_lines)
    if survey.other_table_line is not None:
        raise UploadRejected(
            "MULTIPLE_TABLES",
            f"In line {survey.other_table_line:,}, below a blank line, another table with other "
            "columns begins.",
            {"line": survey.other_table_line},
        )
    _judge_rejected(survey, structure, settings)
    if not survey.accepted:
        raise UploadRejected(
            "NO_DATA_ROWS",
            f"No row has the {structure.width} cells of the header{_first_ragged(survey)}.",
            {"expected_cells": structure.width},
        )


def _judge_rejected(survey: Survey, structure: Structure, settings: Settings) -> None:
    bad, good = survey.rejected_lines, sum(survey.lines[kind] for kind in ACCEPTED)
    if not bad or bad / (bad + good) <= settings.max_bad_row_share:
        return
    ragged = survey.records[Kind.SHORT] + survey.records[Kind.LONG]
    if ragged == survey.rejected and bad < _FEW_BAD_ROWS and bad <= good:
        return
    share = bad / (bad + good)
    details = {"detected": round(share, 4), "limit": settings.max_bad_row_share}
    if survey.records[Kind.FIELD] > ragged:
        raise _fields_too_long(survey.first_bad[Kind.FIELD][0], structure, settings)
    if survey.lines[Kind.QUOTE] > ragged:
        lines = [record.line for record in survey.first_bad[Kind.QUOTE]]
        raise UploadRejected(
            "UNCLOSED_QUOTE",
            f"Quotes do not match and swallow {survey.lines[Kind.QUOTE]:,} lines, first in the "
            f"record that begins in line {lines[0]:,}.",
            details | {"line": lines[0], "first_lines": lines},
        )
    if survey.longest_other_run >= max(_FEW_BAD_ROWS, 0.5 * survey.rejected):
        raise UploadRejected(
            "MULTIPLE_TABLES",
            f"{survey.longest_other_run:,} rows in a row, from line {survey.other_run_line:,} on, "
            f"agree on another number of cells than {structure.width}.",
            details | {"line": survey.other_run_line},
        )
    if survey.lines[Kind.ENCODING] > ragged:
        line = survey.first_bad[Kind.ENCODING][0].line
        raise UploadRejected(
            "MIXED_ENCODING",
            f"{survey.lines[Kind.ENCODING]:,} lines hold bytes of no encoding that fits the file, "
            f"first in the record that begins in line {line:,}.",
            details | {"line": line},
        )
    raise _too_ragged(survey, structure, share, details)


def _too_ragged(
    survey: Survey, structure: Structure, share: float, details: dict[str, Any]
) -> UploadRejected:
    """The refusal of rows that disagree; the header tells which of them are in the wrong."""
    width, header = structure.width, structure.header_cells
    message = f"{share:.0%} of the rows do not have the {width} cells of the table"
    message += f"{_first_ragged(survey)}."
    if header and header != width:
        message = (
            f"The header has {header:,} {'cell' if header == 1 else 'cells'}, but {1 - share:.0%} "
            f"of the rows have {width:,}, first in line {survey.first_accepted_line:,}; the others "
            f"do not{_first_ragged(survey)}. Are there commas in numbers or texts that are not in "
            "quotes, or is the delimiter another one?"
        )
    return UploadRejected(
        "RAGGED",
        message,
        details
        | {
            "expected_cells": width,
            "header_cells": header or None,
            "first_accepted_line": survey.first_accepted_line or None,
            "first_lines": {one.line: one.fields for one in _ragged(survey)},
        },
    )


def _ragged(survey: Survey) -> list[BadRecord]:
    """The first records with another number of cells, in file order."""
    found = [one for kind in (Kind.SHORT, Kind.LONG) for one in survey.first_bad.get(kind, [])]
    return sorted(found, key=lambda one: one.line)[:BAD_RECORDS]


def _first_ragged(survey: Survey) -> str:
    told = ", ".join(f"line {one.line:,} has {one.fields:,}" for one in _ragged(survey))
    return f": {told}" if told else ""


def _fields_too_long(first: BadRecord, structure: Structure, settings: Settings) -> UploadRejected:
    # A record of too many cells has some without a column.
    names = dict(enumerate(structure.names, start=1))
    name = names.get(first.longest_cell)
    column = f"cell {first.longest_cell:,}" if name is None else f"column {name!r}"
    return UploadRejected(
        "FIELD_TOO_LONG",
        f"Too many rows hold a cell over {settings.max_field_bytes:,} bytes: in line "
        f"{first.line:,}, {column} has {first.cell_bytes:,}.",
        {
            "line": first.line,
            "column": name or first.longest_cell,
            "detected": first.cell_bytes,
            "limit": settings.max_field_bytes,
        },
    )


def balance_of(survey: Survey, sheet_rows: int | None) -> RowBalance:
    """The row balance; raises IntakeFault when it does not close."""
    balance = RowBalance(
        physical_lines=survey.physical_lines if sheet_rows is None else sheet_rows,
        preamble=survey.lines[Kind.PREAMBLE],
        header=survey.lines[Kind.HEADER],
        blank=survey.lines[Kind.BLANK],
        footer=survey.lines[Kind.FOOTER],
        accepted_lines=sum(survey.lines[kind] for kind in ACCEPTED),
        rejected_lines=survey.rejected_lines,
        records=survey.accepted + survey.rejected,
        accepted=survey.accepted,
        rejected=survey.rejected,
    )
    if not balance.closes:
        raise IntakeFault("The row balance does not close.", {"balance": str(balance)})
    return balance
