"""The way from bytes to an all-text table; the one door that typing comes in by.

Belongs here: the order of the steps. Does not belong here: what a step does, or the verdict.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from nika_pipelines.intake.codes import WarningCode
from nika_pipelines.intake.dialect import cells_of
from nika_pipelines.intake.footer import MOST_TOLD_ROWS, FooterRows, take_footer
from nika_pipelines.intake.gate import Shape
from nika_pipelines.intake.names import companion_names, display_name
from nika_pipelines.intake.one_byte import with_one_byte_delimiter
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
from nika_pipelines.intake.record_kinds import TAIL_RECORDS, Kind, Layout
from nika_pipelines.intake.record_scan import Marks, without_quotes
from nika_pipelines.intake.records import OTHER_TABLES, IntakeWarning, TextTable
from nika_pipelines.intake.structure import Structure, infer_structure
from nika_pipelines.intake.survey import Survey, survey_file
from nika_pipelines.intake.verdict import balance_of, judge
from nika_pipelines.settings import Settings

TEXT_PARQUET = "text.parquet"
REJECTS_PARQUET = "rejects.parquet"


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
        if shape in ("json", "json lines", "parquet"):
            return _read_records(content, shape, out_dir, work, settings, clock, options)
        if shape == "workbook":
            text = open_workbook(content, filename, work, settings, clock, options)
        else:
            text = open_text(content, work, clock, options)
        wish = _Wish(options, display_name(companion_names(filename)[-1]))
        table = _read_decoded(text, out_dir, work, settings, clock, wish)
        with timed(clock, "other tables"):
            return _with_other_tables(table, text, out_dir, work, settings, options)
    except BaseException:
        for name in (TEXT_PARQUET, REJECTS_PARQUET):
            (out_dir / name).unlink(missing_ok=True)
        shutil.rmtree(out_dir / OTHER_TABLES, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _read_records(
    content: Path,
    shape: Shape,
    out_dir: Path,
    work: Path,
    settings: Settings,
    clock: dict[str, float],
    options: ReadingOptions,
) -> TextTable:
    """Read a format that says itself what its columns and records are."""
    out = (out_dir / TEXT_PARQUET, out_dir / REJECTS_PARQUET)
    if shape == "parquet":
        from nika_pipelines.intake.parquet_table import read_parquet_file

        return read_parquet_file(content, out, settings, clock)
    from nika_pipelines.intake.json_table import read_json

    lines = shape == "json lines"
    return read_json(content, out, work, settings, clock, options, only_lines=lines)


def _with_other_tables(
    table: TextTable,
    text: OpenedText,
    out_dir: Path,
    work: Path,
    settings: Settings,
    options: ReadingOptions,
) -> TextTable:
    """Read the other sheets of a workbook like its table, with nothing said about them."""
    if not text.other_sheets:
        return table
    from nika_pipelines.intake.other_tables import unread_sheets, write_other_tables

    def read(sheet: OpenedText, folder: Path) -> TextTable:
        return _read_decoded(sheet, folder, folder, settings, {}, _Wish(NOTHING_SAID, "sidecar"))

    others = write_other_tables(text.other_sheets, out_dir, work, settings, read)
    # Who named the sheet knows that there are others.
    warnings = [] if options.sheet else unread_sheets(table, others, out_dir, settings)
    return replace(table, other_tables=others, warnings=[*warnings, *table.warnings])


@dataclass(frozen=True)
class _Wish:
    """What a person said, and the name of the file to say more in."""

    options: ReadingOptions
    sidecar: str


def _read_decoded(
    text: OpenedText,
    out_dir: Path,
    work: Path,
    settings: Settings,
    clock: dict[str, float],
    wish: _Wish,
) -> TextTable:
    """Read decoded text: structure, survey, verdict, parse."""
    with timed(clock, "structure"):
        path, marks, stand_in = with_one_byte_delimiter(text.path, text.guess.dialect, work)
        structure, layout = _structure(text, marks, settings, wish.options)
    with timed(clock, "scan"):
        survey = survey_file(path, marks, layout, settings)
        if survey.records[Kind.LONG] and structure.dropped_last:
            # The last columns were empty in the sample only.
            structure, layout = _structure(text, marks, settings, wish.options, keep=True)
            survey = survey_file(path, marks, layout, settings)
        survey.irregular |= layout.records_are_lines
        cut = replace(text.guess.dialect, delimiter=chr(marks.delimiter))
        told, columns = wish.options.footer_rows, len(structure.names)
        layout, footer = take_footer(survey, layout, columns, cut, told)
        judge(survey, structure, settings)
        balance = balance_of(survey, text.sheet_rows)
    with timed(clock, "parse"):
        target, rejects = out_dir / TEXT_PARQUET, out_dir / REJECTS_PARQUET
        reading = Reading(path, marks, layout, structure.names, stand_in)
        write_tables(reading, survey, work, target, rejects, settings)
    if stand_in:
        footer = [
            [cell and cell.replace(chr(marks.delimiter), stand_in) for cell in row]
            for row in footer
        ]
    return TextTable(
        parquet=target,
        rejects_parquet=rejects,
        names=structure.names,
        source_names=structure.source_names,
        encoding=text.encoding,
        dialect=text.public_dialect,
        header_rows=structure.header_rows,
        preamble_rows=structure.preamble,
        footer_rows=survey.records[Kind.FOOTER],
        balance=balance,
        warnings=_warnings(text, structure, survey, footer, wish.sidecar),
        footer=footer,
        records_are_lines=text.sheet_rows is not None,
    )


def _structure(
    text: OpenedText,
    marks: Marks,
    settings: Settings,
    options: ReadingOptions,
    *,
    keep: bool = False,
) -> tuple[Structure, Layout]:
    """Infer the structure from the sample's records; an Excel ``sep=`` line is preamble."""
    guess = text.guess
    sample, whole = sample_of(text.path)
    records = cells_of(sample, guess.dialect, whole=whole)
    if not records:
        records = cells_of(sample, guess.dialect, whole=True)
    if guess.sep_line:
        # Its cells say nothing about the table, and it is above the header whatever was told.
        records[0] = []
        options = replace(options, preamble_rows=max(1, options.preamble_rows or 1))
    structure = infer_structure(
        list(records), settings, whole=whole, keep_empty_last=keep, options=options
    )
    header = records[structure.preamble : structure.preamble + structure.header]
    lines = [chr(marks.delimiter).join(record).encode("utf-8", "replace") for record in header]
    layout = Layout(
        preamble=structure.preamble,
        header=structure.header,
        width=structure.width,
        header_cells=tuple(filter(None, (without_quotes(line, marks) for line in lines))),
        records_are_lines=text.sheet_rows is not None,
        undecodable=text.undecodable,
        tail_records=max(TAIL_RECORDS, min(options.footer_rows or 0, MOST_TOLD_ROWS)),
    )
    return structure, layout


def _warnings(
    text: OpenedText, structure: Structure, survey: Survey, footer: FooterRows, sidecar: str
) -> list[IntakeWarning]:
    warnings = [*text.warnings, *structure.warnings]
    for code, doubt, remedy in (
        (WarningCode.DIALECT_UNSURE, text.guess.unsure, text.guess.remedy),
        (WarningCode.HEADER_UNSURE, structure.doubt, structure.remedy),
    ):
        if doubt:
            advice = f" If that is wrong, write `{remedy}` into {sidecar}." if remedy else ""
            warnings.append(IntakeWarning(code, doubt + advice))
    if survey.title_lines:
        lines = ", ".join(f"{line:,}" for line in survey.title_lines)
        message = (
            f"Titles of sections stand between the rows, first in line {lines}: they are no data "
            "and were left out. Rows of a section with other columns are read by the first header."
        )
        warnings.append(IntakeWarning(WarningCode.HEADER_UNSURE, message))
    if text.removed_nuls:
        message = f"{_counted(text.removed_nuls, 'NUL byte')} removed."
        warnings.append(IntakeWarning(WarningCode.FORMAT_MISMATCH, message))
    if footer:
        message = (
            f"{_last_rows(len(footer))}: kept as "
            "text and flagged as footer, but left out of the typed table, so of types and "
            "statistics."
        )
        warnings.append(IntakeWarning(WarningCode.FOOTER_KEPT, message))
    return warnings


def _last_rows(count: int) -> str:
    if count == 1:
        return "The last row of the file is a total or a note"
    return f"The last {count:,} rows of the file are totals or notes"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
