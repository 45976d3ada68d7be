"""Which type every column of a text table has.

Belongs here: the vote over whole columns. Does not belong here: what a column may be
(`hypotheses`), counting (`type_evidence`), how a cell is read (`cell_readings`), what values mean
(`semantic_types`), the cast (`typed_table`), promises about later files (`contract`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from nika_pipelines.intake import semantic_types
from nika_pipelines.intake.codes import WarningCode
from nika_pipelines.intake.column_counts import count_rows
from nika_pipelines.intake.column_options import overruled
from nika_pipelines.intake.formula_cells import told_formulas
from nika_pipelines.intake.hypotheses import PLAIN, TEXT, Evidence, Hypothesis
from nika_pipelines.intake.masking import Masking
from nika_pipelines.intake.mixed_formats import mixed_formats
from nika_pipelines.intake.near_types import (
    NearType,
    mixed_format_warnings,
    near_type_warnings,
    option_line,
)
from nika_pipelines.intake.reading_options import ColumnOption
from nika_pipelines.intake.records import Column, ColumnType, IntakeWarning
from nika_pipelines.intake.type_evidence import collect
from nika_pipelines.settings import Settings
from nika_pipelines.sql import parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COLUMNS_TOLD = 10
_SWAPPED = {
    "%d/%m/%Y": "%m/%d/%Y",
    "%d-%m-%Y": "%m-%d-%Y",
    "%d/%m/%y": "%m/%d/%y",
    "%d-%m-%y": "%m-%d-%y",
}


def infer_columns(
    con: "DuckDBPyConnection",
    text_parquet: Path,
    names: Sequence[str],
    source_names: Sequence[str],
    settings: Settings,
    said: Mapping[int, ColumnOption] = MappingProxyType({}),
    delimiter: str | None = None,
) -> tuple[list[Column], list[IntakeWarning]]:
    """Decide every column's type, format and meaning from all of its cells.

    A type needs `settings.type_vote_share` of the cells that hold a value. The reading that fits
    most cells wins, and the simpler one of equals. No set of types may cost more rows than
    `settings.max_bad_row_share`: the columns with the most misfits then stay text.

    Args:
        con: a connection whose time zone is UTC.
        text_parquet: the text table (see `records`).
        names: final column names, in order.
        source_names: headers as written in the file.
        settings: shares of the vote.
        said: what a person said about columns, by position; a type that was said needs no vote.
        delimiter: what separates the file's cells; a semicolon speaks for decimal commas.

    Returns:
        The columns, and warnings about ambiguous dates and numbers, columns that a few cells keep text, and
        cells that look like formulas.
    """
    source = parquet_rows(text_parquet)
    rows = count_rows(con, source)
    forced = {n: option for n, option in said.items() if option.type is not None}
    as_text = {n for n, option in forced.items() if option.type == "text"}
    collected = collect(con, source, rows, names, as_text)
    settled = {n: _forced(option, collected[n]) for n, option in forced.items()}
    voted, ambiguous, doubtful = _choose(
        collected, settings.type_vote_share, settled, delimiter == ";"
    )
    chosen = _spare_rows(voted, collected, rows * settings.max_bad_row_share, settled)
    columns = [
        _column(name, source, hypothesis, found)
        for name, source, hypothesis, found in zip(
            names, source_names, chosen, collected, strict=True
        )
    ]
    warnings = [
        _ambiguous_date(columns[n]) for n in ambiguous if columns[n].type in ("date", "timestamp")
    ]
    warnings += _ambiguous_numbers([(columns[n], o) for n, o in doubtful if chosen[n] != TEXT])
    near = {
        n: _near_type(name, found, "vote" if vote == TEXT else "rows")
        for n, (name, found, vote, choice) in enumerate(
            zip(names, collected, voted, chosen, strict=True)
        )
        if choice == TEXT and n not in settled
    }
    nearly = {one.name for one in near.values() if one.is_worth_telling}
    columns = _without_meaning(columns, nearly)
    columns = [
        overruled(column, said[n]) if n in said else column for n, column in enumerate(columns)
    ]
    masking = Masking.of(columns, settings)
    warnings += _text_warnings(con, text_parquet, rows, near, collected, settings, masking)
    return columns, warnings + told_formulas(
        {
            c.name: e.facts["formulas"]
            for c, e in zip(columns, collected, strict=True)
            if _is_text(c)
        }
    )


def contracted_text_warnings(
    con: "DuckDBPyConnection",
    text_parquet: Path,
    columns: Sequence[Column],
    settings: Settings,
) -> list[IntakeWarning]:
    """Warn of columns that only an inferred contract keeps text: its first file had bad cells.

    Args:
        con: a connection whose time zone is UTC.
        text_parquet: the text table.
        columns: its columns as the contract has them.
        settings: shares of the vote.
    """
    names = [column.name for column in columns if _is_text(column)]
    source = parquet_rows(text_parquet)
    rows = count_rows(con, source)
    collected = collect(con, source, rows, names)
    for found in collected:
        _drop_deliberate_text(found)
    near = {n: _near_type(name, collected[n], "contract") for n, name in enumerate(names)}
    masking = Masking.of(columns, settings)
    return _text_warnings(con, text_parquet, rows, near, collected, settings, masking)


def _text_warnings(
    con: "DuckDBPyConnection",
    text_parquet: Path,
    rows: int,
    near: Mapping[int, NearType],
    collected: Sequence[Evidence],
    settings: Settings,
    masking: Masking,
) -> list[IntakeWarning]:
    """Warn of text columns that are numbers or dates for the most part, or in two formats."""
    mixed = {}
    for n, one in near.items():
        if one.is_worth_telling:
            continue
        found = mixed_formats(con, text_parquet, rows, one.name, collected[n])
        if found is not None:
            mixed[n] = found
    plain = [one for n, one in near.items() if n not in mixed]
    told = near_type_warnings(con, text_parquet, rows, plain, settings, masking)
    both = list(mixed.values())
    return told + mixed_format_warnings(con, text_parquet, rows, both, settings, masking)


def _is_text(column: Column) -> bool:
    return column.type == "text"


def _forced(option: ColumnOption, found: Evidence) -> Hypothesis:
    """The reading that a person demands; without a format, the one that fits the most cells."""
    kind: ColumnType = option.type or "text"
    if option.format is not None or kind == "text":
        return Hypothesis(kind, option.format)
    fits = {hypothesis: n for hypothesis, n in found.fits.items() if hypothesis.type == kind and n}
    if kind in ("integer", "float") and (found.facts.get("fragile") or not fits):
        return Hypothesis(kind, "leading zeros")
    return max(fits, key=lambda hypothesis: fits[hypothesis], default=Hypothesis(kind))


def _choose(
    evidence: list[Evidence], vote: float, settled: Mapping[int, Hypothesis], semicolons: bool
) -> tuple[list[Hypothesis], list[int], list[tuple[int, Hypothesis]]]:
    """The winning hypothesis of every column, and those that other evidence had to decide.

    These are the columns whose dates were read by custom, and the columns whose numbers mean
    something else in another reading, with that reading.
    """
    tied = [
        [settled[n]] if n in settled else _best(found, vote) for n, found in enumerate(evidence)
    ]
    comma, point = _decimal_marks(tied)
    month_first = any(_is_month_first(hypotheses) for hypotheses in tied)
    day_first = any(_is_day_first(hypotheses) for hypotheses in tied)
    chosen: list[Hypothesis] = []
    ambiguous, doubtful = [], []
    for n, (found, hypotheses) in enumerate(zip(evidence, tied, strict=True)):
        choice = hypotheses[0]
        if n in settled:
            chosen.append(choice)
            continue
        if choice.type in ("integer", "float"):
            choice = _settle_number(hypotheses, found, comma=comma and not point)
            other = _other_number(hypotheses, choice)
            if other is not None and (comma if point else semicolons):
                # Without a decimal point elsewhere, who writes semicolons writes decimal commas.
                choice, other = (choice, other) if point else (other, choice)
                doubtful.append((n, other))
        swapped = _swapped(choice)
        if swapped in hypotheses:
            if month_first and not day_first:
                choice = swapped
            elif not day_first or month_first:
                ambiguous.append(n)
        chosen.append(choice)
    return chosen, ambiguous, doubtful


def _best(found: Evidence, vote: float) -> list[Hypothesis]:
    """The hypotheses that fit the most cells, simplest first; text if none wins the vote."""
    _drop_deliberate_text(found)
    most = max(found.fits.values(), default=0)
    if not most or most < vote * found.filled:
        return [TEXT]
    return [hypothesis for hypothesis, fit in found.fits.items() if fit == most]


def _drop_deliberate_text(found: Evidence) -> None:
    """Take out what would damage values: numbers with leading zeros, mixed currencies."""
    if found.facts.get("fragile"):
        found.fits = {h: n for h, n in found.fits.items() if h.type not in ("integer", "float")}
    if found.facts.get("first_currency") != found.facts.get("last_currency"):
        found.fits = {}


def _decimal_marks(tied: list[list[Hypothesis]]) -> tuple[bool, bool]:
    """Whether some column can only be read with a decimal comma, and some only with a point."""
    numbers = [hs for hs in tied if hs[0].type in ("integer", "float") and PLAIN[0] not in hs]
    comma = any(all(_continental(h) for h in hypotheses) for hypotheses in numbers)
    point = any(not any(_continental(h) for h in hypotheses) for hypotheses in numbers)
    return comma, point


def _continental(hypothesis: Hypothesis) -> bool:
    words = hypothesis.format or ""
    return "decimal comma" in words or "thousands dot" in words


def _other_number(hypotheses: list[Hypothesis], choice: Hypothesis) -> Hypothesis | None:
    """The reading with decimal commas of numbers that the one with points fits as well."""
    if choice == PLAIN[0] or _continental(choice):
        return None
    return next((one for one in hypotheses if _continental(one)), None)


def _settle_number(hypotheses: list[Hypothesis], found: Evidence, *, comma: bool) -> Hypothesis:
    """Choose between readings that fit equally well: is 1.234 a thousand or one and a bit?"""
    other = _other_number(hypotheses, hypotheses[0])
    if other is None:
        return hypotheses[0]
    facts = found.facts
    # Whole numbers up to 999 without a dot beside groups that end in 0: nobody writes decimals so.
    grouped = (
        "thousands dot" in (other.format or "")
        and facts["groups_with_zero"] > 0
        and facts["short_wholes"] > 0
        and facts["long_wholes"] == 0
    )
    return other if comma or grouped else hypotheses[0]


def _swapped(hypothesis: Hypothesis) -> Hypothesis | None:
    """The same date format with day and month exchanged, if such a format exists."""
    day, time, clock = (hypothesis.format or "").partition(" time")
    if hypothesis.type not in ("date", "timestamp") or day not in _SWAPPED:
        return None
    return Hypothesis(hypothesis.type, _SWAPPED[day] + time + clock)


def _is_day_first(hypotheses: list[Hypothesis]) -> bool:
    swapped = _swapped(hypotheses[0])
    return swapped is not None and swapped not in hypotheses


def _is_month_first(hypotheses: list[Hypothesis]) -> bool:
    day = (hypotheses[0].format or "").partition(" time")[0]
    return hypotheses[0].type in ("date", "timestamp") and day in _SWAPPED.values()


def _spare_rows(
    chosen: list[Hypothesis],
    evidence: list[Evidence],
    affordable: float,
    settled: Mapping[int, Hypothesis],
) -> list[Hypothesis]:
    """Leave columns text, those with most misfits first, until their misfits are affordable."""
    misfits = {
        n: found.filled - found.fits[hypothesis]
        for n, (hypothesis, found) in enumerate(zip(chosen, evidence, strict=True))
        if hypothesis != TEXT and n not in settled
    }
    spared = list(chosen)
    for position in sorted(misfits, key=lambda n: misfits[n], reverse=True):
        if sum(misfits.values()) <= affordable:
            break
        spared[position] = TEXT
        del misfits[position]
    return spared


def _column(name: str, source: str, hypothesis: Hypothesis, found: Evidence) -> Column:
    unit = None
    if "percent" in (hypothesis.format or ""):
        unit = "%"
    elif "currency" in (hypothesis.format or ""):
        carried = found.facts.get("currencies") == found.filled
        unit = found.facts["first_currency"] if carried else None
    meaning = semantic_types.semantic_type(hypothesis.type, name, unit, found.facts)
    personal = semantic_types.is_personal(meaning, name, found.facts)
    return Column(name, hypothesis.type, meaning, source, hypothesis.format, unit, personal)


def _without_meaning(columns: list[Column], near: set[str]) -> list[Column]:
    """Nearly typed columns as plain text: as numbers they would be neither ids nor categories."""
    return [
        replace(column, semantic_type="text")
        if column.name in near
        and column.semantic_type in ("id", "category")
        and not semantic_types.is_called_id(column.name)
        else column
        for column in columns
    ]


def _near_type(
    name: str, found: Evidence, kept_by: Literal["vote", "rows", "contract"]
) -> NearType:
    """The type that fits most of a text column's cells, the simplest of equals."""
    best = max(found.fits, key=lambda hypothesis: found.fits[hypothesis], default=TEXT)
    fits = found.fits.get(best, 0)
    return NearType(name, best.type, best.format, found.filled, fits, kept_by)


def _ambiguous_numbers(found: list[tuple[Column, Hypothesis]]) -> list[IntakeWarning]:
    warnings = [_ambiguous_number(column, other) for column, other in found[:_COLUMNS_TOLD]]
    more = ", ".join(repr(column.name) for column, _ in found[_COLUMNS_TOLD:][:_COLUMNS_TOLD])
    if more:
        text = f"{len(found) - _COLUMNS_TOLD} more columns are ambiguous likewise, such as {more}."
        warnings.append(IntakeWarning(WarningCode.FORMAT_MISMATCH.value, text))
    return warnings


def _ambiguous_number(column: Column, other: Hypothesis) -> IntakeWarning:
    both = f"{column.format} {other.format}"
    written = "1,234" if "thousands comma" in both else "1.234"
    return IntakeWarning(
        WarningCode.FORMAT_MISMATCH.value,
        f"Column {column.name!r}: every number is ambiguous, as {written} may be 1234 or a little more "
        f"than one; read as {column.type} ({column.format or 'decimal point'}), a factor of 1000 "
        f"away from {other.type} ({other.format or 'decimal point'}). If that is wrong, write "
        f"into the sidecar `<file>.nika.yaml`: {option_line(column.name, other)}, or this type "
        "and format into the contract.",
    )


def _ambiguous_date(column: Column) -> IntakeWarning:
    other = _swapped(Hypothesis(column.type, column.format))
    return IntakeWarning(
        WarningCode.AMBIGUOUS_DATE.value,
        f"Column {column.name!r}: every date can be read day first and month first; it was read as "
        f"{column.format}. If that is wrong, write into the sidecar `<file>.nika.yaml`: "
        f"{option_line(column.name, other or TEXT)}, or this format into the contract.",
    )
