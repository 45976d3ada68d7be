"""Counting what every column of a text table may be.

Belongs here: the three passes. The *families* a column may belong to (number, date, boolean);
every format of those families; then, over the whole table, the formats still standing and the
facts that need every cell. The first two look at a spread sample when the table is large. The
sample only eliminates: what decides is counted over the whole column. Does not belong here: the
vote (`column_types`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nika_pipelines.intake import cell_readings, semantic_types
from nika_pipelines.intake.column_counts import SAMPLE_ROWS, TALL_ROWS, ColumnCounts, Key
from nika_pipelines.intake.date_readings import COMPACT_DATE, date_pattern
from nika_pipelines.intake.formula_cells import formulas_in
from nika_pipelines.intake.hypotheses import (
    SURVIVAL_SHARE,
    Evidence,
    Hypothesis,
    hypotheses_of,
    is_likely,
)
from nika_pipelines.intake.number_readings import (
    LEADING_ZERO_OR_LONG,
    currency_of,
    sign_counts,
)
from nika_pipelines.intake.semantic_types import is_called_date
from nika_pipelines.sql import literal, parquet_bytes

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXAMPLES = 20
_COLUMNS_PER_SCAN = 100
_COLUMNS_STACKED = 250
_CELLS_IN_SAMPLE = 400_000
_NUMBER = (
    r"[(]?[+-]?\s?[^0-9\s.,+-]{0,3}\s?[+-]?[.,]?[0-9][0-9.,'’ \x{a0}\x{2007}\x{2009}\x{202f}]*"
    r"(?:[eE][+-]?[0-9]{1,3})?\s?[^0-9\s]{0,5}"
)
_DATE = (
    r"(?:[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}"
    r"|(?:[A-Za-z]{3,9}[.,]{0,2} )?[0-9]{1,2}(?:st|nd|rd|th|\.)?[ ./-]{0,2}(?:de |of )?[^0-9\s./,-]{3,10}"
    r"\.?,?[ ./-]{0,2}(?:de )?[0-9]{2,4}"
    r"|(?:[A-Za-z]{3,9}[.,]{0,2} )?[^0-9\s./,-]{3,10}\.?[ -][0-9]{1,2}(?:st|nd|rd|th)?,?[ -][0-9]{4}"
    r"|[0-9]{4}[ ./-][^0-9\s./,-]{3,10}[ ./-][0-9]{1,2}).*"
)
_COMPACT = date_pattern(COMPACT_DATE)


def collect(
    con: "DuckDBPyConnection",
    source: str,
    rows: int,
    names: Sequence[str],
    as_text: Collection[int] = (),
) -> list[Evidence]:
    """Count the three passes over all columns, in batches.

    Args:
        con: a connection for temporary tables.
        source: the FROM item of the text table (`sql.parquet_rows`).
        rows: how many rows it has.
        names: its columns.
        as_text: positions of columns that stay text whatever fits.
    """
    evidence = {n: Evidence() for n in range(len(names))}
    size = parquet_bytes(con, source)
    for batch in _batches(rows, len(names)):
        of_names = {n: names[n] for n in batch}
        counts = ColumnCounts(con, source, rows, of_names, size * len(batch) // len(names))
        of_batch = {n: evidence[n] for n in batch}
        _count_families(counts, of_batch)
        _count_compact_dates(counts, {n: of_batch[n] for n in batch if is_called_date(names[n])})
        _count_formats(counts, of_batch)
        _count_everything(counts, of_batch, as_text)
    return list(evidence.values())


def _batches(rows: int, columns: int) -> list[range]:
    """Columns to look at together, so that the sample of one batch stays small in memory."""
    most = _COLUMNS_STACKED if rows <= TALL_ROWS else _COLUMNS_PER_SCAN
    width = min(most, max(10, _CELLS_IN_SAMPLE // max(1, min(rows, SAMPLE_ROWS))))
    return [range(start, min(start + width, columns)) for start in range(0, columns, width)]


def _count_families(counts: ColumnCounts, evidence: Mapping[int, Evidence]) -> None:
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


def _count_compact_dates(counts: ColumnCounts, evidence: Mapping[int, Evidence]) -> None:
    """Eight digits are a date only where the header says so: 20240131 is a number as well."""
    wanted: dict[Key, str] = {
        (n, "compact_dates"): f"count(*) FILTER (regexp_full_match(t{n}, {literal(_COMPACT)}))"
        for n in evidence
    }
    _note(evidence, counts.measure(wanted, sampled=True))


def _count_formats(counts: ColumnCounts, evidence: Mapping[int, Evidence]) -> None:
    """Pass 2: which formats of its families does the column fit?"""
    details: dict[Key, str] = {}
    for n, found in evidence.items():
        if is_likely(found, "numbers"):
            details |= _dot_details(n)
            if found.facts["plain"] < found.filled:
                details |= _unit_details(n)
        if is_likely(found, "dates"):
            details[n, "examples"] = f"arg_min(t{n}, h, {_EXAMPLES})"
        if is_likely(found, "booleans"):
            details[n, "words"] = f"count(DISTINCT lower(t{n}))"
    _note(evidence, counts.measure(details, sampled=True))
    wanted = {
        (n, hypothesis): _fit(n, hypothesis)
        for n, found in evidence.items()
        for hypothesis in hypotheses_of(found)
    }
    _note(evidence, counts.measure(wanted, sampled=True))


def _count_everything(
    counts: ColumnCounts, evidence: Mapping[int, Evidence], as_text: Collection[int]
) -> None:
    """Pass 3: what is left to decide, over every cell of the table."""
    wanted: dict[Key, str] = {}
    for n, found in evidence.items():
        standing = [h for h, fit in found.fits.items() if fit >= SURVIVAL_SHARE * found.filled]
        found.fits = {hypothesis: found.fits[hypothesis] for hypothesis in standing}
        if counts.is_sampled:
            wanted |= {(n, hypothesis): _fit(n, hypothesis) for hypothesis in standing}
        wanted |= _closing_facts(n, found, standing)
    text = {
        (n, fact): expression
        for n, found in evidence.items()
        if n in as_text or not _certain(found)
        for fact, expression in semantic_types.text_facts(n).items()
    }
    _note(evidence, counts.measure(text, sampled=True))
    _note(evidence, counts.measure(wanted))


def _note(evidence: Mapping[int, Evidence], found: Mapping[Key, Any]) -> None:
    for (position, what), value in found.items():
        if isinstance(what, Hypothesis):
            evidence[position].fits[what] = value
        else:
            evidence[position].facts[what] = value


def _certain(found: Evidence) -> bool:
    """Whether no fact about words is needed, since some type fits every cell of the sample."""
    return any(fit == found.filled for fit in found.fits.values())


def _fit(position: int, hypothesis: Hypothesis) -> str:
    reading = cell_readings.reading(hypothesis.type, hypothesis.format, f"t{position}")
    return f"count({reading})"


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
    currency = currency_of(cell)
    return {
        (position, "percents"): f"count_if(suffix({cell}, '%'))",
        (position, "first_currency"): f"min(nullif({currency}, ''))",
        (position, "last_currency"): f"max(nullif({currency}, ''))",
        **{(position, style): count for style, count in sign_counts(cell).items()},
    }


def _closing_facts(position: int, found: Evidence, standing: list[Hypothesis]) -> dict[Key, str]:
    cell = f"t{position}"
    facts: dict[Key, str] = {
        (position, "filled"): f"count({cell})",
        (position, "distinct"): f"approx_count_distinct({cell})",
    }
    numbers = [hypothesis for hypothesis in standing if hypothesis.type in ("integer", "float")]
    if numbers:
        value = cell_readings.reading(numbers[0].type, numbers[0].format, cell)
        pattern = literal(LEADING_ZERO_OR_LONG)
        facts |= {
            (position, "fragile"): f"count_if(regexp_full_match({cell}, {pattern}))",
            (position, "low"): f"min({value})",
            (position, "high"): f"max({value})",
        }
        if found.facts.get("first_currency"):
            sign = f"nullif({currency_of(cell)}, '')"
            facts |= {
                (position, "first_currency"): f"min({sign})",
                (position, "last_currency"): f"max({sign})",
                (position, "currencies"): f"count({sign})",
            }
    return facts | {(position, "formulas"): formulas_in(f"c{position}")}
