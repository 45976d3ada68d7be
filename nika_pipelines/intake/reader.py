"""The way from bytes to an all-text table; the one door that typing comes in by.

Belongs here: the order of the steps and the verdict over the whole file. Does not belong here:
what a step does.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from nika_pipelines.intake.codes import IntakeFault, UploadRejected, WarningCode
from nika_pipelines.intake.dialect import STAND_INS, DialectGuess, cells_of, marks_of
from nika_pipelines.intake.opening import (
    OpenedText,
    admit,
    open_text,
    open_workbook,
    sample_of,
    timed,
)
from nika_pipelines.intake.parse import Reading, write_tables
from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.record_scan import Marks
from nika_pipelines.intake.records import OTHER_TABLES, IntakeWarning, RowBalance, TextTable
from nika_pipelines.intake.structure import Structure, footer_start, infer_structure
from nika_pipelines.intake.survey import (
    ACCEPTED,
    BAD_RECORDS,
    BadRecord,
    Kind,
    Layout,
    Survey,
    recount_footer,
    survey_file,
    unclosed_quote,
    without_quotes,
)
from nika_pipelines.settings import Settings

TEXT_PARQUET = "text.parquet"
REJECTS_PARQUET = "rejects.parquet"
_FEW_BAD_ROWS = 5
"""Fewer structural faults than this are no verdict over a short file while good rows prevail."""
_MAX_OPEN_SHARE = 0.01


def read_text_table(
    source: Path,
    filename: str,
    out_dir: Path,
    settings: Settings,
    timings: dict[str, float] | None = None,
    options: ReadingOptions = NOTHING_SAID,
) -> TextTable:
    """Read a file into ``text.parquet`` and ``rejects.parquet`` below ``out_dir``.

    Args:
        source: the bytes; never changed.
        filename: the name under which they came; only its extension counts.
        out_dir: an existing folder; intermediate files in it are removed again.
        settings: the limits in force.
        timings: filled with seconds per step when given.
        options: how the file is to be read, where a person said so; inferred otherwise.

    Raises:
        UploadRejected: the file is refused; see `codes.FILE_CODES`.
    """
    clock = timings if timings is not None else {}
    work = out_dir / "intake_work"
    work.mkdir(parents=True, exist_ok=True)
    try:
        content, shape = admit(source, filename, work, settings, clock)
        if shape == "workbook":
            text = open_workbook(content, filename, work, settings, clock, options)
        else:
            text = open_text(content, work, clock, options)
        table = _read_decoded(text, out_dir, work, settings, clock)
        with timed(clock, "other tables"):
            return replace(table, other_tables=_other_tables(text, out_dir, work, settings))
    except BaseException:
        for name in (TEXT_PARQUET, REJECTS_PARQUET):
            (out_dir / name).unlink(missing_ok=True)
        shutil.rmtree(out_dir / OTHER_TABLES, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _other_tables(
    text: OpenedText, out_dir: Path, work: Path, settings: Settings
) -> list[dict[str, Any]]:
    """Read the other sheets of a workbook like its table, with nothing said about them."""
    if not text.other_sheets:
        return []
    from nika_pipelines.intake.other_tables import write_other_tables

    def read(sheet: OpenedText, folder: Path) -> TextTable:
        return _read_decoded(sheet, folder, folder, settings, {})

    return write_other_tables(text.other_sheets, out_dir, work, settings, read)


def _read_decoded(
    text: OpenedText, out_dir: Path, work: Path, settings: Settings, clock: dict[str, float]
) -> TextTable:
    """Read decoded text: structure, survey, verdict, parse."""
    guess = text.guess
    with timed(clock, "structure"):
        path, marks, stand_in = _one_byte_delimiter(text.path, guess, work)
        structure, layout = _structure(text, marks, settings)
    with timed(clock, "scan"):
        survey = survey_file(path, marks, layout, settings)
        if survey.records[Kind.LONG] and structure.dropped_last:
            # The last columns were empty in the sample only.
            structure, layout = _structure(text, marks, settings, keep=True)
            survey = survey_file(path, marks, layout, settings)
        survey.irregular |= layout.records_are_lines
        layout, footer = _take_footer(survey, layout, guess)
        judge(survey, structure, settings)
        balance = balance_of(survey, text.sheet_rows)
    with timed(clock, "parse"):
        target, rejects = out_dir / TEXT_PARQUET, out_dir / REJECTS_PARQUET
        reading = Reading(path, marks, layout, structure.names, stand_in)
        write_tables(reading, survey, work, target, rejects, settings)
    return TextTable(
        parquet=target,
        rejects_parquet=rejects,
        names=structure.names,
        source_names=structure.source_names,
        encoding=text.encoding,
        dialect=text.public_dialect,
        header_rows=structure.header,
        preamble_rows=survey.records[Kind.PREAMBLE],
        footer_rows=survey.records[Kind.FOOTER],
        balance=balance,
        warnings=_warnings(text, structure, footer),
        footer=footer,
    )


def _one_byte_delimiter(
    path: Path, guess: DialectGuess, work: Path
) -> tuple[Path, Marks, str | None]:
    """The file with a one-byte delimiter; a longer one is replaced in a copy."""
    delimiter = guess.dialect.delimiter or ","
    if len(delimiter) == 1:
        return path, guess.marks, None
    stand_in = _unused_byte(path)
    target = work / "one_byte.txt"
    with path.open("rb") as stream, target.open("wb") as out:
        rest = b""
        while chunk := stream.read(1_048_576):
            chunk = rest + chunk
            # A delimiter may be cut by the end of the chunk.
            keep = len(chunk) - len(chunk.rstrip(delimiter[0].encode()))
            rest = chunk[len(chunk) - keep :]
            out.write(chunk[: len(chunk) - keep].replace(delimiter.encode(), stand_in.encode()))
        out.write(rest.replace(delimiter.encode(), stand_in.encode()))
    return target, marks_of(guess.dialect, stand_in), delimiter


def _unused_byte(path: Path) -> str:
    """A control character that the file does not hold."""
    unused = list(STAND_INS)
    with path.open("rb") as stream:
        while chunk := stream.read(1_048_576):
            unused = [character for character in unused if character.encode() not in chunk]
    if not unused:
        raise UploadRejected(
            "NOT_TEXT",
            "The file uses every separator character at once.",
            {"detected": [f"0x{ord(character):02x}" for character in STAND_INS]},
        )
    return unused[0]


def _structure(
    text: OpenedText, marks: Marks, settings: Settings, *, keep: bool = False
) -> tuple[Structure, Layout]:
    """Infer the structure from the sample's records; an Excel ``sep=`` line is preamble."""
    guess = text.guess
    sample, whole = sample_of(text.path)
    records = cells_of(sample, guess.dialect, whole=whole)
    if not records:
        records = cells_of(sample, guess.dialect, whole=True)
    skipped = 1 if guess.sep_line else 0
    structure = infer_structure(
        list(records[skipped:]), settings, whole=whole, keep_empty_last=keep
    )
    structure = replace(structure, preamble=structure.preamble + skipped)
    header = None
    if structure.header == 1:
        line = chr(marks.delimiter).join(records[structure.preamble])
        header = without_quotes(line.encode("utf-8", "replace"), marks)
    layout = Layout(
        preamble=structure.preamble,
        header=structure.header,
        width=structure.width,
        header_cells=header,
        records_are_lines=text.sheet_rows is not None,
    )
    return structure, layout


def _take_footer(
    survey: Survey, layout: Layout, guess: DialectGuess
) -> tuple[Layout, list[list[str | None]]]:
    """Find the footer among the last records and move it out of the data."""
    kinds = (*ACCEPTED, Kind.SHORT)
    tail = [record for record in survey.tail if record.kind in kinds]
    if len(tail) < len(survey.tail) and survey.tail[-1].kind not in kinds:
        return layout, []
    rows = [
        (cells_of(record.raw.decode("utf-8", "ignore"), guess.dialect, whole=True) or [[]])[0]
        for record in tail
    ]
    start = footer_start(rows, [record.after_blank for record in tail])
    if start == len(tail) or survey.accepted <= len(tail) - start:
        return layout, []
    recount_footer(survey, tail[start].number)
    survey.irregular = True
    footer: list[list[str | None]] = [
        [cell or None for cell in [*row, *[""] * layout.width][: layout.width]]
        for row in rows[start:]
    ]
    return replace(layout, footer_from=tail[start].number), footer


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
        raise _fields_too_long(survey.first_bad[Kind.FIELD][0], settings)
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
    raise UploadRejected(
        "RAGGED",
        f"{share:.0%} of the rows do not have the {structure.width} cells of the table"
        f"{_first_ragged(survey)}.",
        details
        | {
            "expected_cells": structure.width,
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


def _fields_too_long(first: BadRecord, settings: Settings) -> UploadRejected:
    return UploadRejected(
        "FIELD_TOO_LONG",
        f"Too many rows hold a cell over {settings.max_field_bytes:,} bytes: in line "
        f"{first.line:,}, cell {first.longest_cell:,} has {first.cell_bytes:,}.",
        {
            "line": first.line,
            "column": first.longest_cell,
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


def _warnings(
    text: OpenedText, structure: Structure, footer: list[list[str | None]]
) -> list[IntakeWarning]:
    warnings = [*text.warnings, *structure.warnings]
    if text.guess.unsure:
        warnings.append(IntakeWarning(WarningCode.DIALECT_UNSURE, text.guess.unsure))
    if text.removed_nuls:
        message = f"{_counted(text.removed_nuls, 'NUL byte')} removed."
        warnings.append(IntakeWarning(WarningCode.FORMAT_MISMATCH, message))
    if footer:
        message = (
            f"The last {_counted(len(footer), 'row')} of the file are totals or notes: kept as "
            "text and flagged as footer, but left out of the typed table, so of types and "
            "statistics."
        )
        warnings.append(IntakeWarning(WarningCode.FOOTER_KEPT, message))
    return warnings


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
