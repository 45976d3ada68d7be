"""Which type every column of a text table has.

Belongs here: the vote over whole columns. Does not belong here: how a cell is read
(`cell_readings`), what values mean (`semantic_types`), the cast (`typed_table`), promises about
later files (`contract`).

The vote counts in three passes: the *families* a column may belong to (number, date, boolean);
every format of those families; then, over the whole table, the formats still standing and the
facts that need every cell. The first two look at a spread sample when the table is large. The
sample only eliminates: what decides is counted over the whole column.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nika_pipelines.intake import cell_readings, semantic_types
from nika_pipelines.intake.codes import WarningCode
from nika_pipelines.intake.column_counts import (
    SAMPLE_ROWS,
    ColumnCounts,
    Key,
    count_rows,
    unoptimized,
)
from nika_pipelines.intake.near_types import NearType, near_type_warnings
from nika_pipelines.intake.records import Column, ColumnType, IntakeWarning
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, literal, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SURVIVAL_SHARE = 0.5
"""A hypothesis below this share of the sample cannot reach the vote over the whole column."""

_EXAMPLES = 20
_COLUMNS_PER_SCAN = 100
_CELLS_IN_SAMPLE = 400_000
_SWAPPED = {
    "%d/%m/%Y": "%m/%d/%Y",
    "%d-%m-%Y": "%m-%d-%Y",
    "%d/%m/%y": "%m/%d/%y",
    "%d-%m-%y": "%m-%d-%y",
}
_NUMBER = (
    r"[(]?[+-]?\s?[^0-9\s.,+-]{0,3}\s?[+-]?[.,]?[0-9][0-9.,'’ \x{a0}\x{2007}\x{2009}\x{202f}]*"
    r"(?:[eE][+-]?[0-9]{1,3})?\s?[^0-9\s]{0,3}"
)
_DATE = (
    r"(?:[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}"
    r"|[0-9]{1,2}\.?[ -][A-Za-z]{3,9}\.?,?[ -][0-9]{2,4}"
    r"|[A-Za-z]{3,9}\.?[ -][0-9]{1,2},?[ -][0-9]{4}).*"
)
_FORMULA_STARTS = ", ".join(str(ord(character)) for character in "=+-@\t\r")


@dataclass(frozen=True)
class Hypothesis:
    """A type and format that a column may have; without a format the plain one."""

    type: ColumnType
    format: str | None = None


TEXT = Hypothesis("text")
_PLAIN = (Hypothesis("integer"), Hypothesis("float"))


@dataclass
class _Evidence:
    """What was counted about one column: facts by name, fitting cells by hypothesis."""

    facts: dict[str, Any] = field(default_factory=dict)
    fits: dict[Hypothesis, int] = field(default_factory=dict)

    @property
    def filled(self) -> int:
        return int(self.facts.get("filled") or 0)


def infer_columns(
    con: "DuckDBPyConnection",
    text_parquet: Path,
    names: Sequence[str],
    source_names: Sequence[str],
    settings: Settings,
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

    Returns:
        The columns, and warnings about ambiguous dates, columns that a few cells keep text, and
        cells that look like formulas.
    """
    source = parquet_rows(text_parquet)
    rows = count_rows(con, source)
    collected = _collect(con, source, rows, names)
    voted, ambiguous = _choose(collected, settings.type_vote_share)
    chosen = _spare_rows(voted, collected, rows * settings.max_bad_row_share)
    columns = [
        _column(name, source, hypothesis, found)
        for name, source, hypothesis, found in zip(
            names, source_names, chosen, collected, strict=True
        )
    ]
    warnings = [
        _ambiguous_date(columns[n]) for n in ambiguous if columns[n].type in ("date", "timestamp")
    ]
    near = [
        _near_type(name, found, "vote" if vote == TEXT else "rows")
        for name, found, vote, choice in zip(names, collected, voted, chosen, strict=True)
        if choice == TEXT
    ]
    columns = _without_meaning(columns, {one.name for one in near if one.is_worth_telling})
    warnings += near_type_warnings(con, text_parquet, rows, near, settings)
    return columns, warnings + _formula_warnings(
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
    collected = _collect(con, source, rows, names)
    for found in collected:
        _drop_deliberate_text(found)
    near = [_near_type(name, of, "contract") for name, of in zip(names, collected, strict=True)]
    return near_type_warnings(con, text_parquet, rows, near, settings)


def formula_warnings(
    con: "DuckDBPyConnection",
    text_parquet: Path,
    columns: Sequence[Column],
) -> list[IntakeWarning]:
    """Warn of text cells that a spreadsheet would run, in columns whose types are known."""
    source = parquet_rows(text_parquet)
    text = [column.name for column in columns if _is_text(column)]
    found: dict[str, int] = {}
    for start in range(0, len(text), _COLUMNS_PER_SCAN):
        batch = text[start : start + _COLUMNS_PER_SCAN]
        counts = ", ".join(_formulas(identifier(name)) for name in batch)
        with unoptimized(con):
            row = con.execute(f"SELECT {counts} FROM {source}").fetchone()
        found |= zip(batch, row or (), strict=True)
    return _formula_warnings(found)


def _is_text(column: Column) -> bool:
    return column.type == "text"


# Counting


def _collect(
    con: "DuckDBPyConnection", source: str, rows: int, names: Sequence[str]
) -> list[_Evidence]:
    """Count the three passes over all columns, in batches."""
    evidence = {n: _Evidence() for n in range(len(names))}
    for batch in _batches(rows, len(names)):
        counts = ColumnCounts(con, source, rows, {n: names[n] for n in batch})
        of_batch = {n: evidence[n] for n in batch}
        _count_families(counts, of_batch)
        _count_formats(counts, of_batch)
        _count_everything(counts, of_batch)
    return list(evidence.values())


def _batches(rows: int, columns: int) -> list[range]:
    """Columns to look at together, so that the sample of one batch stays small in memory."""
    width = min(_COLUMNS_PER_SCAN, max(10, _CELLS_IN_SAMPLE // max(1, min(rows, SAMPLE_ROWS))))
    return [range(start, min(start + width, columns)) for start in range(0, columns, width)]


def _count_families(counts: ColumnCounts, evidence: Mapping[int, _Evidence]) -> None:
    """Pass 1: could the column hold numbers, dates, booleans?"""
    words = ", ".join(literal(w) for pair in cell_readings.BOOLEAN_PAIRS for w in pair)
    wanted: dict[Key, str] = {}
    for n in evidence:
        cell = f"t{n}"
        is_date = f"regexp_full_match({cell}, {literal(_DATE)})"
        wanted |= {
            (n, "filled"): f"count({cell})",
            (n, "numbers"): f"count_if(regexp_full_match({cell}, {literal(_NUMBER)}))",
            (n, "plain"): f"count({cell_readings.reading('float', None, cell)})",
            (n, "dates"): f"count_if({is_date})",
            (n, "booleans"): f"count_if(lower({cell}) IN ({words}))",
        }
    _note(evidence, counts.measure(wanted, sampled=True))


def _count_formats(counts: ColumnCounts, evidence: Mapping[int, _Evidence]) -> None:
    """Pass 2: which formats of its families does the column fit?"""
    details: dict[Key, str] = {}
    for n, found in evidence.items():
        if _likely(found, "numbers"):
            details |= _dot_details(n)
            if found.facts["plain"] < found.filled:
                details |= _unit_details(n)
        if _likely(found, "dates"):
            details[n, "examples"] = f"arg_min(t{n}, h, {_EXAMPLES})"
        if _likely(found, "booleans"):
            details[n, "words"] = f"count(DISTINCT lower(t{n}))"
    _note(evidence, counts.measure(details, sampled=True))
    wanted = {
        (n, hypothesis): _fit(n, hypothesis)
        for n, found in evidence.items()
        for hypothesis in _hypotheses(found)
    }
    _note(evidence, counts.measure(wanted, sampled=True))


def _count_everything(counts: ColumnCounts, evidence: Mapping[int, _Evidence]) -> None:
    """Pass 3: what is left to decide, over every cell of the table."""
    wanted: dict[Key, str] = {}
    for n, found in evidence.items():
        standing = [h for h, fit in found.fits.items() if fit >= _SURVIVAL_SHARE * found.filled]
        found.fits = {hypothesis: found.fits[hypothesis] for hypothesis in standing}
        if counts.is_sampled:
            wanted |= {(n, hypothesis): _fit(n, hypothesis) for hypothesis in standing}
        wanted |= _closing_facts(n, found, standing)
    text = {
        (n, fact): expression
        for n, found in evidence.items()
        if not _certain(found)
        for fact, expression in semantic_types.text_facts(n).items()
    }
    _note(evidence, counts.measure(text, sampled=True))
    _note(evidence, counts.measure(wanted))


def _note(evidence: Mapping[int, _Evidence], found: Mapping[Key, Any]) -> None:
    for (position, what), value in found.items():
        if isinstance(what, Hypothesis):
            evidence[position].fits[what] = value
        else:
            evidence[position].facts[what] = value


def _likely(found: _Evidence, family: str) -> bool:
    return found.filled > 0 and found.facts[family] >= _SURVIVAL_SHARE * found.filled


def _certain(found: _Evidence) -> bool:
    """Whether no fact about words is needed, since some type fits every cell of the sample."""
    return any(fit == found.filled for fit in found.fits.values())


def _fit(position: int, hypothesis: Hypothesis) -> str:
    reading = cell_readings.reading(hypothesis.type, hypothesis.format, f"t{position}")
    return f"count({reading})"


def _formulas(raw: str) -> str:
    starts = f"ascii({raw}) IN ({_FORMULA_STARTS})"
    harmless = f"regexp_full_match({raw}, '[+-]+|[+-][0-9.,][0-9.,eE ()]*')"
    return f"count_if({starts} AND NOT {harmless})"


def _dot_details(position: int) -> dict[Key, str]:
    """The three facts that tell 1.000 (a thousand) from 1.000 (one)."""
    cell = f"t{position}"
    return {
        (position, "groups_with_zero"): f"count_if(regexp_full_match({cell}, '.*\\.[0-9]{{2}}0'))",
        (position, "short_wholes"): f"count_if(regexp_full_match({cell}, '[+-]?[0-9]{{1,3}}'))",
        (position, "long_wholes"): f"count_if(regexp_full_match({cell}, '[+-]?[0-9]{{4,}}'))",
    }


def _unit_details(position: int) -> dict[Key, str]:
    cell = f"t{position}"
    currency = cell_readings.currency_of(cell)
    return {
        (position, "percents"): f"count_if(suffix({cell}, '%'))",
        (position, "first_currency"): f"min(nullif({currency}, ''))",
        (position, "last_currency"): f"max(nullif({currency}, ''))",
    }


def _closing_facts(position: int, found: _Evidence, standing: list[Hypothesis]) -> dict[Key, str]:
    cell = f"t{position}"
    facts: dict[Key, str] = {
        (position, "filled"): f"count({cell})",
        (position, "distinct"): f"approx_count_distinct({cell})",
    }
    numbers = [hypothesis for hypothesis in standing if hypothesis.type in ("integer", "float")]
    if numbers:
        value = cell_readings.reading(numbers[0].type, numbers[0].format, cell)
        pattern = literal(cell_readings.LEADING_ZERO_OR_LONG)
        facts |= {
            (position, "fragile"): f"count_if(regexp_full_match({cell}, {pattern}))",
            (position, "low"): f"min({value})",
            (position, "high"): f"max({value})",
        }
        if found.facts.get("first_currency"):
            sign = f"nullif({cell_readings.currency_of(cell)}, '')"
            facts |= {
                (position, "first_currency"): f"min({sign})",
                (position, "last_currency"): f"max({sign})",
                (position, "currencies"): f"count({sign})",
            }
    return facts | {(position, "formulas"): _formulas(f"c{position}")}


# Hypotheses


def _hypotheses(found: _Evidence) -> list[Hypothesis]:
    """What the column may be, simplest first."""
    listed: list[Hypothesis] = []
    if _likely(found, "numbers"):
        listed += _number_hypotheses(found)
    if _likely(found, "booleans"):
        listed += [
            Hypothesis("boolean", f"{yes}/{no}")
            for yes, no in cell_readings.BOOLEAN_PAIRS
            # A single letter alone is rather a code: N for north.
            if len(yes) > 1 or found.facts["words"] > 1
        ]
    if _likely(found, "dates"):
        listed += _date_hypotheses(found.facts["examples"] or [])
    return listed


def _number_hypotheses(found: _Evidence) -> list[Hypothesis]:
    facts = found.facts
    if facts["plain"] == found.filled:
        return [*_PLAIN, Hypothesis("integer", "thousands dot")]
    units = [""]
    if facts["percents"] >= _SURVIVAL_SHARE * found.filled:
        units.append("percent")
    if facts["first_currency"]:
        if facts["first_currency"] != facts["last_currency"]:
            return []  # Dollars and euros are no one quantity.
        units.append(f"currency {facts['first_currency']}")
    return [
        Hypothesis(number, ", ".join(filter(None, (style, unit))) or None)
        for unit in units
        for style in cell_readings.NUMBER_FORMATS
        for number in (("integer", "float") if "decimal" not in (style or "") else ("float",))
    ]


def _date_hypotheses(examples: list[str]) -> list[Hypothesis]:
    """Formats that at least one of the examples has the shape of."""
    dates = [
        day
        for day in cell_readings.DATE_FORMATS
        if any(re.match(cell_readings.date_pattern(day), example) for example in examples)
    ]
    clocks = [" time"]
    if any(re.search(r"[ap]m$", example, re.IGNORECASE) for example in examples):
        clocks.append(" time am/pm")
    if any(re.search(r":.*(?:Z|UTC|[+-][0-9:]+)$", example) for example in examples):
        clocks.append(" time offset")
    stamps = [
        f"{day}{clock}"
        for clock in clocks
        for day in dates
        if f"{day}{clock}" in cell_readings.TIMESTAMP_FORMATS
    ]
    return [
        *(Hypothesis("date", day) for day in dates),
        *(Hypothesis("timestamp", stamp) for stamp in stamps),
    ]


# The vote


def _choose(evidence: list[_Evidence], vote: float) -> tuple[list[Hypothesis], list[int]]:
    """The winning hypothesis of every column, and which columns' dates were read by custom."""
    tied = [_best(found, vote) for found in evidence]
    comma = _uses_decimal_comma(tied)
    month_first = any(_is_month_first(hypotheses) for hypotheses in tied)
    day_first = any(_is_day_first(hypotheses) for hypotheses in tied)
    chosen, ambiguous = [], []
    for n, (found, hypotheses) in enumerate(zip(evidence, tied, strict=True)):
        choice = hypotheses[0]
        if choice.type in ("integer", "float"):
            choice = _settle_number(hypotheses, found, comma)
        swapped = _swapped(choice)
        if swapped in hypotheses:
            if month_first and not day_first:
                choice = swapped
            elif not day_first or month_first:
                ambiguous.append(n)
        chosen.append(choice)
    return chosen, ambiguous


def _best(found: _Evidence, vote: float) -> list[Hypothesis]:
    """The hypotheses that fit the most cells, simplest first; text if none wins the vote."""
    _drop_deliberate_text(found)
    most = max(found.fits.values(), default=0)
    if not most or most < vote * found.filled:
        return [TEXT]
    return [hypothesis for hypothesis, fit in found.fits.items() if fit == most]


def _drop_deliberate_text(found: _Evidence) -> None:
    """Take out what would damage values: numbers with leading zeros, mixed currencies."""
    if found.facts.get("fragile"):
        found.fits = {h: n for h, n in found.fits.items() if h.type not in ("integer", "float")}
    if found.facts.get("first_currency") != found.facts.get("last_currency"):
        found.fits = {}


def _uses_decimal_comma(tied: list[list[Hypothesis]]) -> bool:
    """Whether some column can only be read with a decimal comma, and none only with a point."""
    numbers = [hs for hs in tied if hs[0].type in ("integer", "float") and _PLAIN[0] not in hs]
    comma = any(all(_continental(h) for h in hypotheses) for hypotheses in numbers)
    point = any(not any(_continental(h) for h in hypotheses) for hypotheses in numbers)
    return comma and not point


def _continental(hypothesis: Hypothesis) -> bool:
    words = hypothesis.format or ""
    return "decimal comma" in words or "thousands dot" in words


def _settle_number(hypotheses: list[Hypothesis], found: _Evidence, comma: bool) -> Hypothesis:
    """Choose between readings that fit equally well: is 1.234 a thousand or one and a bit?"""
    other = next((h for h in hypotheses if _continental(h)), None)
    if other is None or hypotheses[0] == _PLAIN[0] or _continental(hypotheses[0]):
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
    chosen: list[Hypothesis], evidence: list[_Evidence], affordable: float
) -> list[Hypothesis]:
    """Leave columns text, those with most misfits first, until their misfits are affordable."""
    misfits = {
        n: found.filled - found.fits[hypothesis]
        for n, (hypothesis, found) in enumerate(zip(chosen, evidence, strict=True))
        if hypothesis != TEXT
    }
    spared = list(chosen)
    for position in sorted(misfits, key=lambda n: misfits[n], reverse=True):
        if sum(misfits.values()) <= affordable:
            break
        spared[position] = TEXT
        del misfits[position]
    return spared


def _column(name: str, source: str, hypothesis: Hypothesis, found: _Evidence) -> Column:
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


# Warnings


def _near_type(
    name: str, found: _Evidence, kept_by: Literal["vote", "rows", "contract"]
) -> NearType:
    """The type that fits most of a text column's cells, the simplest of equals."""
    best = max(found.fits, key=lambda hypothesis: found.fits[hypothesis], default=TEXT)
    fits = found.fits.get(best, 0)
    return NearType(name, best.type, best.format, found.filled, fits, kept_by)


def _ambiguous_date(column: Column) -> IntakeWarning:
    return IntakeWarning(
        WarningCode.AMBIGUOUS_DATE.value,
        f"Column {column.name!r}: every date can be read day first and month first; "
        f"it was read as {column.format}. Set the format in the contract if that is wrong.",
    )


def _formula_warnings(counts: Mapping[str, int]) -> list[IntakeWarning]:
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
