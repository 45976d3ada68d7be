"""The rows below the data: found among the last records, or told, and moved out of the table.

Belongs here: what the survey's tail says about a footer. Does not belong here: what one row says of
itself (footer_rows).
"""

from collections.abc import Sequence
from dataclasses import replace

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.dialect import cells_of
from nika_pipelines.intake.footer_rows import Line, first_below_table, is_footer, may_be_footer
from nika_pipelines.intake.record_kinds import ACCEPTED, REJECTED, Kind, Layout
from nika_pipelines.intake.records import Dialect
from nika_pipelines.intake.survey import Survey, TailRecord, recount_footer

MOST_TOLD_ROWS = 1_000
FooterRows = list[list[str | None]]
_POSSIBLE = (*ACCEPTED, Kind.SHORT, Kind.LONG)


def take_footer(
    survey: Survey, layout: Layout, columns: int, dialect: Dialect, told: int | None
) -> tuple[Layout, FooterRows]:
    """Move the footer out of the data; the counts of the survey change with it.

    Args:
        survey: the counts; its tail holds at least as many records as were told.
        layout: where the table lies.
        columns: cells that a row of the footer is filled up or cut to.
        dialect: how the records of the tail are cut.
        told: rows of the footer, where a person said how many there are.

    Raises:
        UploadRejected: NO_DATA_ROWS or CONTRACT_BROKEN, when what was told cannot be.
    """
    found = _told(survey, told) if told is not None else _inferred(survey, columns, dialect)
    if not found:
        return layout, []
    recount_footer(survey, found[0])
    survey.irregular = True
    rows = [_fitted(_cells(record, dialect), columns, dialect) for record in found]
    return replace(layout, footer_from=found[0].number), rows


def _told(survey: Survey, told: int) -> list[TailRecord]:
    """The last records below the header, whatever they hold."""
    tail = [record for record in survey.tail if record.kind in (*ACCEPTED, *REJECTED)]
    if told > MOST_TOLD_ROWS:
        raise UploadRejected(
            "CONTRACT_BROKEN",
            f"The footer was said to have {told:,} rows; at most {MOST_TOLD_ROWS:,} are taken.",
            {"footer_rows": told, "limit": MOST_TOLD_ROWS},
        )
    if told and survey.accepted + survey.rejected <= told:
        raise UploadRejected(
            "NO_DATA_ROWS",
            f"The footer was said to have {told:,} rows; above it there are none.",
            {"footer_rows": told},
        )
    return tail[len(tail) - told :] if told else []


def _inferred(survey: Survey, columns: int, dialect: Dialect) -> list[TailRecord]:
    """The last records that are totals or notes; none when that would be all of the table."""
    lines: list[Line] = []
    records: list[TailRecord] = []
    start = 0
    for above, record in enumerate(reversed(survey.tail), start=1):
        line = Line(_cells(record, dialect), record.after_blank)
        if record.kind not in _POSSIBLE or not may_be_footer(line, columns):
            break
        records.append(record)
        lines.append(line)
        if is_footer(line):
            start = above
    found = records[:start][::-1]
    found = found[first_below_table(lines[:start][::-1]) :]
    accepted = sum(1 for record in found if record.kind in ACCEPTED)
    return found if survey.accepted > accepted else []


def _cells(record: TailRecord, dialect: Dialect) -> list[str]:
    text = record.raw.decode("utf-8", "ignore")
    return (cells_of(text, dialect, whole=True) or [[]])[0]


def _fitted(row: Sequence[str], columns: int, dialect: Dialect) -> list[str | None]:
    """A row of so many cells; a sentence that the delimiter cut apart ends in the last one."""
    if len(row) > columns and any(row[columns:]):
        row = [*row[: columns - 1], (dialect.delimiter or " ").join(row[columns - 1 :])]
    return [cell or None for cell in [*row, *[""] * columns][:columns]]
