"""How a text file is cut into cells: delimiter, quote and escape, inferred from a sample.

Belongs here: the field-count-consistency score and the second opinion. Does not belong here:
which records are header or preamble (structure).
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise, product

from nika_pipelines.intake.record_scan import Cut, Marks, cut_block
from nika_pipelines.intake.records import Dialect

SAMPLE_BYTES = 60_000
SAMPLE_LINES = 200
SINGLE_DELIMITERS = (",", ";", "\t", "|", "^", "~", "\x1f", "\x01", ":", " ")
DOUBLE_DELIMITER = "||"
STAND_INS = "\x1f\x1e\x1d\x1c\x01\x02"
"""One-byte stand-ins for a delimiter of two bytes, in the copy that the parser reads."""
_WEAK = {":": 0.6, " ": 0.6}
"""These occur inside plain cells; they need a better score than the others."""
_SMALL_MARGIN = 0.05
_SEP_LINE = re.compile(r'\ufeff?"?sep=(\|\||[^\r\n"])"?[ \t]*\r?\n?', re.IGNORECASE)
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
    """The inferred dialect; `unsure` says why a person should look, if so."""

    dialect: Dialect
    sep_line: bool = False
    unsure: str | None = None

    @property
    def marks(self) -> Marks:
        """The dialect as bytes, with a stand-in for a delimiter of two bytes."""
        return marks_of(self.dialect)


@dataclass(frozen=True)
class _Candidate:
    """A dialect with its score and the number of cells in its modal record."""

    dialect: Dialect
    score: float
    width: int


def marks_of(dialect: Dialect, stand_in: str = STAND_INS[0]) -> Marks:
    """The bytes of a dialect."""
    delimiter = dialect.delimiter or ","
    return Marks(
        delimiter=ord(stand_in if len(delimiter) > 1 else delimiter),
        quote=ord(dialect.quotechar) if dialect.quotechar else None,
        escape=ord(dialect.escapechar) if dialect.escapechar else None,
    )


def infer_dialect(sample: str) -> DialectGuess:
    """Infer the dialect of the text that ``sample`` begins."""
    given = _SEP_LINE.match(sample)
    if given:
        sample = sample[given.end() :]
    sample = first_lines(sample)
    wanted = [given.group(1)] if given else _delimiters_in(sample)
    candidates = sorted(
        (_scored(sample, dialect) for dialect in _candidates(sample, wanted)),
        key=lambda candidate: -candidate.score,
    )
    best = candidates[0]
    if given:
        return DialectGuess(best.dialect, sep_line=True)
    return DialectGuess(best.dialect, unsure=_doubt(sample, best, candidates[1:]))


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
    if dialect.delimiter and len(dialect.delimiter) > 1:
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
    found = [delimiter for delimiter in SINGLE_DELIMITERS if delimiter in sample]
    if DOUBLE_DELIMITER in sample:
        found.append(DOUBLE_DELIMITER)
        if "|" not in sample.replace(DOUBLE_DELIMITER, ""):
            found.remove("|")
    return found or [","]


def _candidates(sample: str, delimiters: list[str]) -> list[Dialect]:
    """The dialects worth scoring."""
    quotes: list[tuple[str, str | None]] = [('"', None)]
    if '\\"' in sample:
        quotes.append(('"', "\\"))
    if sample.count("'") >= 4:
        quotes.append(("'", None))
        if "\\'" in sample:
            quotes.append(("'", "\\"))
    return [
        Dialect(delimiter, quote, escape)
        for delimiter, (quote, escape) in product(delimiters, quotes)
    ]


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
    score *= 0.3 + 0.7 * sum(1 for cell in cells if _PLAIN_CELL.fullmatch(cell)) / len(cells)
    score *= _quote_factor(sample, cells, dialect)
    if dialect.delimiter in _WEAK:
        score *= _WEAK[dialect.delimiter] * _weak_factor(records, widths, width)
    return _Candidate(dialect, score, width)


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


def _doubt(sample: str, best: _Candidate, others: list[_Candidate]) -> str | None:
    """Ask for a second opinion when another delimiter comes close."""
    rivals = [other for other in others if other.dialect.delimiter != best.dialect.delimiter]
    if not rivals or best.score - rivals[0].score > _SMALL_MARGIN or rivals[0].width < 2:
        return None
    import clevercsv

    try:
        second = clevercsv.Detector().detect(sample[:20_000])
    except clevercsv.Error:
        second = None
    if second is not None and second.delimiter == best.dialect.delimiter:
        return None
    return (
        f"{best.dialect.delimiter!r} was taken as delimiter; "
        f"{rivals[0].dialect.delimiter!r} fits almost as well."
    )
