"""The rows below the data: found among the last records, or told, and moved out of the table.

Belongs here: what the survey's tail says about a footer. Does not belong here: which words make a
row a footer (structure).
"""

from collections.abc import Sequence
from dataclasses import replace

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.dialect import cells_of
from nika_pipelines.intake.record_kinds import ACCEPTED, REJECTED, Kind, Layout
from nika_pipelines.intake.records import Dialect
from nika_pipelines.intake.structure import footer_start
from nika_pipelines.intake.survey import Survey, TailRecord, recount_footer

MOST_TOLD_ROWS = 1_000
FooterRows = list[list[str | None]]


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
    found = _told(survey, told) if told is not None else _inferred(survey, dialect)
    if not found:
        return layout, []
    recount_footer(survey, found[0].number)
    survey.irregular = True
    rows: FooterRows = [
        [cell or None for cell in [*row, *[""] * columns][:columns]]
        for row in _cells(found, dialect)
    ]
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


def _inferred(survey: Survey, dialect: Dialect) -> list[TailRecord]:
    """The last records that are totals or notes; none when that would be all of the table."""
    kinds = (*ACCEPTED, Kind.SHORT)
    tail = [record for record in survey.tail if record.kind in kinds]
    if len(tail) < len(survey.tail) and survey.tail[-1].kind not in kinds:
        return []
    rows = _cells(tail, dialect)
    start = footer_start(rows, [record.after_blank for record in tail])
    return tail[start:] if survey.accepted > len(tail) - start else []


def _cells(records: Sequence[TailRecord], dialect: Dialect) -> list[list[str]]:
    texts = (record.raw.decode("utf-8", "ignore") for record in records)
    return [(cells_of(text, dialect, whole=True) or [[]])[0] for text in texts]
