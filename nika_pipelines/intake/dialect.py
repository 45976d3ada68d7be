"""How a text file is cut into cells: delimiter, quote and escape, inferred from a sample.

Belongs here: the field-count-consistency score, the second opinion, and what a person says about
the dialect. Does not belong here: which records are header or preamble (structure).
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.record_scan import Cut, Marks, cut_block
from nika_pipelines.intake.records import Dialect

SAMPLE_BYTES = 60_000
SAMPLE_LINES = 200
SINGLE_DELIMITERS = (",", ";", "\t", "|", "^", "~", "\x1f", "\x01", ":", " ")
STAND_INS = "\x1f\x1e\x1d\x1c\x01\x02"
"""One-byte stand-ins for a delimiter of several bytes, in the copy that the parser reads."""
_LONG_DELIMITER = re.compile(r"([|:;~^#@!*&<>=_$%]{2,4}?)\1*(?![|:;~^#@!*&<>=_$%])")
"""A run of punctuation as repetitions of its smallest part; empty cells repeat a delimiter."""
_LONG_SHARE = 0.8
_MOST_LONG = 3
_WEAK_FACTOR = 0.6
"""Blanks and colons occur inside plain cells; they need a better score than the others."""
_SMALL_MARGIN = 0.05
_SECOND_OPINION_CHARACTERS = 10_000
_FEWEST_BARE_QUOTES = 3
_SEP_LINE = re.compile(r'\ufeff?"?sep=([^\w\r\n"]{1,8})"?[ \t]*(?:\r\n|\n|\r|$)', re.IGNORECASE)
_NUMBER = r"[-+(]?\s?[$€£¥]?\s?[-+]?\d[\d.,' \u00a0]*(?:[eE][-+]?\d+)?\s?[%$€£¥)]?|[-+]?\.\d+"
_DATE = (
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?\s?"
    r"(?:[AaPp][Mm]|Z|UTC|[-+]\d\d:?\d\d)?)?"
)
_TIME = r"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?:\s?[AaPp][Mm])?"
TYPED_CELL = re.compile(
    rf"(?:{_DATE}|{_TIME}|{_NUMBER}|(?i:true|false|yes|no|nan|null|n/a|na))", re.ASCII
)
_PLAIN_CELL = re.compile(r"[\w .&'()/+*#@%?!:-]{0,80}|https?://\S+|[^\s@]+@[^\s@]+")
_MAX_CELLS = 3_000


@dataclass(frozen=True)
class DialectGuess:
    """The inferred dialect.

    Attributes:
        dialect: delimiter, quote and escape.
        sep_line: whether the first line only names the delimiter, as Excel writes it.
        unsure: why a person should look, if so.
        remedy: the line of a sidecar that would read the file the other way.
    """

    dialect: Dialect
    sep_line: bool = False
    unsure: str | None = None
    remedy: str | None = None

    @property
    def marks(self) -> Marks:
        """The dialect as bytes, with a stand-in for a delimiter of several bytes."""
        return marks_of(self.dialect)


@dataclass(frozen=True)
class _Candidate:
    """A dialect with its score and the number of cells in its modal record."""

    dialect: Dialect
    score: float
    width: int


def is_one_byte(delimiter: str) -> bool:
    """Whether a delimiter needs no stand-in."""
    return len(delimiter) == 1 and delimiter.isascii()


def stand_ins(dialect: Dialect) -> list[str]:
    """The bytes that may stand in for a delimiter: those that mean nothing else."""
    return [one for one in STAND_INS if one not in (dialect.quotechar, dialect.escapechar)]


def marks_of(dialect: Dialect, stand_in: str | None = None) -> Marks:
    """The bytes of a dialect."""
    delimiter, stand_in = dialect.delimiter or ",", stand_in or stand_ins(dialect)[0]
    return Marks(
        delimiter=ord(delimiter if is_one_byte(delimiter) else stand_in),
        quote=ord(dialect.quotechar) if dialect.quotechar else None,
        escape=ord(dialect.escapechar) if dialect.escapechar else None,
    )


def infer_dialect(sample: str, options: ReadingOptions = NOTHING_SAID) -> DialectGuess:
    """Infer the dialect of the text that ``sample`` begins, as far as nobody said it.

    Raises:
        UploadRejected: CONTRACT_BROKEN, when what was said contradicts itself.
    """
    given = _SEP_LINE.match(sample)
    if given:
        sample = sample[given.end() :]
    sample = first_lines(_below_preamble(sample, options.preamble_rows or 0))
    settled = options.delimiter or (_named_delimiter(given.group(1)) if given else None)
    _check_told(options, settled)
    wanted = [settled] if settled else _delimiters_in(sample)
    candidates = sorted(
        (_scored(sample, dialect) for dialect in _candidates(sample, wanted, options)),
        key=lambda candidate: -candidate.score,
    )
    best = candidates[0]
    guess = DialectGuess(best.dialect, sep_line=given is not None)
    return guess if settled else _doubted(guess, sample, best, candidates[1:])


def _check_told(options: ReadingOptions, delimiter: str | None) -> None:
    """Refuse marks that cannot be told apart."""
    marks = {"quotechar": options.quotechar, "escapechar": options.escapechar}
    for key, mark in marks.items():
        if not mark:
            continue
        if mark in "\r\n\0" or mark in (delimiter or ""):
            raise UploadRejected(
                "CONTRACT_BROKEN",
                f"The {key} was said to be {mark!r}, which also ends cells or lines.",
                {key: mark, "delimiter": delimiter},
            )


def _below_preamble(sample: str, rows: int) -> str:
    """The sample without as many first lines, unless that is all of it."""
    ends = [match.end() for match in re.finditer(r"\r\n|\n|\r", sample)][:rows]
    return sample[ends[-1] :] or sample if ends else sample


def _named_delimiter(written: str) -> str:
    """The delimiter of a ``sep=`` line; blanks behind a visible one are no part of it."""
    return written.rstrip(" \t") or written


def cells_of(text: str, dialect: Dialect, *, whole: bool) -> list[list[str]]:
    """The records of a text as lists of cells; blank records are empty lists.

    The last record is left out when the text may end inside it (``whole`` is false).
    """
    block, marks = _block_of(text, dialect)
    cut = cut_block(block, marks, final=whole)
    return [_cells(block, cut, marks, dialect, place) for place in range(cut.starts.size)]


def first_lines(sample: str) -> str:
    """At most `SAMPLE_LINES` whole lines; the one line of a file without line ends stays."""
    ends = [match.end() for match in re.finditer(r"\r\n|\n|\r", sample)]
    if not ends:
        return sample
    cut = ends[min(len(ends), SAMPLE_LINES) - 1]
    return sample[:cut] if len(ends) >= SAMPLE_LINES or len(sample) >= SAMPLE_BYTES / 2 else sample


def _block_of(text: str, dialect: Dialect) -> tuple[bytes, Marks]:
    marks = marks_of(dialect)
    if dialect.delimiter and not is_one_byte(dialect.delimiter):
        text = text.replace(dialect.delimiter, chr(marks.delimiter))
    return text.encode("utf-8", "surrogatepass"), marks


def _cells(block: bytes, cut: Cut, marks: Marks, dialect: Dialect, place: int) -> list[str]:
    """The cells of one record, without quotes."""
    import numpy as np

    start, end = int(cut.starts[place]), int(cut.ends[place])
    if not block[start:end].strip():
        return []
    inner = cut.delimiters[np.searchsorted(cut.delimiters, start) :][: int(cut.fields[place]) - 1]
    borders = [start - 1, *inner.tolist(), end]
    pieces = [block[a + 1 : b] for a, b in pairwise(borders)]
    return [_unquoted(piece.decode("utf-8", "replace"), marks, dialect) for piece in pieces]


def _unquoted(cell: str, marks: Marks, dialect: Dialect) -> str:
    quote, escape = dialect.quotechar, dialect.escapechar
    inner = cell.strip(" ") if marks.delimiter != ord(" ") else cell
    if quote and len(inner) > 1 and inner[0] == inner[-1] == quote:
        cell = inner[1:-1].replace(quote * 2, quote)
    if escape:
        cell = re.sub(re.escape(escape) + r"([\\\"'])", r"\1", cell)
    return cell


def _delimiters_in(sample: str) -> list[str]:
    long = _long_delimiters(sample)
    rest = sample
    for delimiter in long:
        rest = rest.replace(delimiter, "")
    # A character that stands in longer delimiters only is none by itself.
    return [*(one for one in SINGLE_DELIMITERS if one in rest), *long] or [","]


def _long_delimiters(sample: str) -> list[str]:
    """Strings of several characters that occur in nearly every line.

    One character repeated is a delimiter only where it never stands alone.
    """
    lines = [line for line in re.split(r"[\r\n]+", sample) if line.strip()]
    found = Counter(
        unit
        for line in lines
        for unit in {match.group(1) for match in _LONG_DELIMITER.finditer(line)}
    )
    often = [unit for unit, count in found.items() if count >= _LONG_SHARE * len(lines)]
    whole = [
        unit for unit in often if len(set(unit)) > 1 or unit[0] not in sample.replace(unit, "")
    ]
    return sorted(whole, key=lambda unit: -found[unit])[:_MOST_LONG]


def _candidates(sample: str, delimiters: list[str], options: ReadingOptions) -> list[Dialect]:
    """The dialects worth scoring; one column if every delimiter was said to be something else."""
    told = (options.quotechar or None, options.escapechar or None)
    free = next(one for one in (*delimiters, *SINGLE_DELIMITERS) if one not in told)
    return [
        Dialect(delimiter, quote or None, escape or None)
        for delimiter in delimiters
        for quote in _quotes(sample, delimiter, options)
        for escape in _escapes(sample, quote, options)
        if delimiter not in (quote, escape)
    ] or [Dialect(free, *told)]


def _quotes(sample: str, delimiter: str, options: ReadingOptions) -> list[str]:
    """The quotes worth trying; an empty one quotes nothing."""
    if options.quotechar is not None:
        return [options.quotechar]
    quotes = ['"']
    if sample.count("'") >= 4:
        quotes.append("'")
    if sample.count('"') >= _FEWEST_BARE_QUOTES and _never_closes(sample, delimiter):
        quotes.append("")
    return quotes


def _never_closes(sample: str, delimiter: str) -> bool:
    """Whether cells begin with a double quote, but none ends with one."""
    edge = rf"(?:{re.escape(delimiter)}|[\r\n]|\Z)"
    opened = re.findall(rf'(?:{edge}|\A) *"(?!")', sample)
    return len(opened) >= _FEWEST_BARE_QUOTES and not re.search(rf'"(?= *{edge})', sample)


def _escapes(sample: str, quote: str, options: ReadingOptions) -> list[str]:
    """The escape characters worth trying; an empty one escapes nothing."""
    if options.escapechar is not None:
        # An escape that is the quote itself is the doubling that is read anyway.
        return ["" if options.escapechar == quote else options.escapechar]
    return ["", "\\"] if quote and f"\\{quote}" in sample else [""]


def _scored(sample: str, dialect: Dialect) -> _Candidate:
    """Score a dialect: the same number of cells everywhere, and cells that look like values."""
    records = [record for record in cells_of(sample, dialect, whole=True) if any(record)]
    if not records:
        return _Candidate(dialect, 0.0, 1)
    widths = Counter(len(record) for record in records)
    width, count = max(widths.items(), key=lambda item: (item[1] * (item[0] > 1), item[0]))
    if width < 2:
        return _Candidate(dialect, _one_column_score(records), 1)
    cells = [cell.strip() for record in records for cell in record][:_MAX_CELLS]
    score = count / len(records) * (1 - 1 / width)
    score *= 0.3 + 0.7 * sum(map(_is_value, cells)) / len(cells)
    score *= _quote_factor(sample, cells, dialect)
    if not set(dialect.delimiter or "") - {":", " "}:
        score *= _WEAK_FACTOR * _weak_factor(records, widths, width)
    return _Candidate(dialect, score, width)


def _is_value(cell: str) -> bool:
    """Whether a cell looks like one value, not like several that were not cut apart."""
    return bool(_PLAIN_CELL.fullmatch(cell) or TYPED_CELL.fullmatch(cell))


def _one_column_score(records: list[list[str]]) -> float:
    """One column is the answer when whole lines are numbers, dates or times."""
    body = records[1:] or records
    typed = sum(1 for record in body if TYPED_CELL.fullmatch(record[0].strip()))
    return 0.05 + 0.6 * (typed / len(body) >= 0.9)


def _quote_factor(sample: str, cells: list[str], dialect: Dialect) -> float:
    """Below 1 where quotes are left inside cells or a single quote is an apostrophe."""
    quote = dialect.quotechar or '"'
    other = "'" if quote == '"' else '"'
    loose = sum(1 for cell in cells if cell[:1] == quote or cell[:1] == other == cell[-1:])
    factor = 1 - 0.5 * loose / len(cells)
    if quote == "'":
        edge = rf"(?:^|[\r\n]|{re.escape(dialect.delimiter or ',')})"
        whole = rf"{edge}'[^'\r\n]*'(?={re.escape(dialect.delimiter or ',')}|[\r\n]|$)"
        factor *= 1.02 if re.search(whole, sample) else 0.5
    if dialect.escapechar:
        factor *= 1.02
    return factor


def _weak_factor(records: list[list[str]], widths: Counter[int], width: int) -> float:
    """Blanks and colons cut cells only where every record agrees and values result."""
    if widths[width] < 0.9 * len(records):
        return 0.3
    columns = list(zip(*(record for record in records[1:] if len(record) == width), strict=True))
    typed = [
        sum(1 for cell in column if TYPED_CELL.fullmatch(cell.strip())) >= 0.8 * len(column)
        for column in columns
    ]
    return 1.0 if any(typed) else 0.1


def _doubted(
    guess: DialectGuess, sample: str, best: _Candidate, others: list[_Candidate]
) -> DialectGuess:
    """The guess with a doubt, where another delimiter comes close and a second opinion differs."""
    rivals = [other for other in others if other.dialect.delimiter != best.dialect.delimiter]
    if not rivals or best.score - rivals[0].score > _SMALL_MARGIN or rivals[0].width < 2:
        return guess
    own, other = best.dialect.delimiter or "", rivals[0].dialect.delimiter or ""
    second = _second_opinion(sample, own, other)
    if second == own:
        return guess
    voice = f", and a second method takes {second!r}" if second else ""
    unsure = f"The delimiter {own!r} was taken; {other!r} fits almost as well{voice}."
    return replace(guess, unsure=unsure, remedy=f"delimiter: {json.dumps(second or other)}")


def _second_opinion(sample: str, *delimiters: str) -> str | None:
    """Which of the delimiters clevercsv would take; null when it cannot tell."""
    if not all(map(is_one_byte, delimiters)):
        return None
    import clevercsv

    # The limit stays at what an earlier failure left, and would make the answer depend on that.
    clevercsv.field_size_limit(_SECOND_OPINION_CHARACTERS)
    try:
        found = clevercsv.Detector().detect(
            sample[:_SECOND_OPINION_CHARACTERS], delimiters=list(delimiters)
        )
    except clevercsv.Error:
        return None
    return found.delimiter if found and found.delimiter in delimiters else None
