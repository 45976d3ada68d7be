"""What makes a row below the data a total or a note, and not a row or another table.

Belongs here: what a row and its neighbours say of themselves. Does not belong here: where the last
rows come from and what becomes of them (footer).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nika_pipelines.intake.dialect import TYPED_CELL

_TOTAL_WORDS = re.compile(
    r"(?:grand |sub)?[\s-]*(?:total|totals|sum|summe|gesamt|gesamtsumme|insgesamt|somme|"
    r"totale|suma|итого|合計|average|mean|count)\b[\s:]*|(?:number of|total)\s.*|\(\d+ rows?.*\)",
    re.IGNORECASE,
)
_NOTE_WORDS = re.compile(
    r"(?:sources?|notes?|footnotes?|quellen?|anmerkung(?:en)?|hinweise?|fuentes?|notas?|"
    r"remarques?)\s*:",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Line:
    """A row among the last ones, cut into cells, and whether it stands below a blank line."""

    cells: Sequence[str]
    after_blank: bool


def is_footer(line: Line) -> bool:
    """Whether a row that may be footer is one, whatever stands above it.

    It says so (total, source, ...), or it is a note and begins a paragraph.
    """
    if _is_total(line.cells):
        return True
    return line.after_blank or _names_note(line.cells)


def may_be_footer(line: Line, columns: int) -> bool:
    """Whether a row is a total, or can be a line of notes.

    Notes are text that stands alone in its row, or text in fewer cells than the table has columns:
    the number of a footnote with its text, a label with what it stands for. A row with values in
    the columns of the table is none, and neither is one that fills them.
    """
    row = line.cells
    if _is_total(row):
        return True
    filled = [cell.strip() for cell in row if cell.strip()]
    if len(filled) == 1:
        return (columns > 2 or len(row) < columns) and not _is_typed(filled[0])
    if len(row) > columns:
        return _names_note(row)
    return len(row) < columns and (_is_labelled(row) or not any(map(_is_typed, filled[1:])))


def first_below_table(lines: Sequence[Line]) -> int:
    """The place of the first of these lines that no table of their own stands below; 0 if none.

    A table has rows below each other that agree on three cells or more, or numbered rows below
    names for number and text.
    """
    last = max((n for n, (a, b) in enumerate(pairwise(lines)) if _is_table(a, b)), default=None)
    if last is None:
        return 0
    begins = (n for n in range(last + 2, len(lines)) if lines[n].after_blank)
    return next(begins, len(lines))


def _is_table(upper: Line, lower: Line) -> bool:
    """Whether two lines, one below the other, are rows of a table."""
    cells = len(upper.cells)
    if lower.after_blank or cells != len(lower.cells) or cells < 2:
        return False
    if any(_is_total(line.cells) or _is_labelled(line.cells) for line in (upper, lower)):
        return False
    if min(_filled(upper.cells), _filled(lower.cells)) > 2:
        return True
    names = not any(map(_is_typed, upper.cells)) and all(map(str.strip, upper.cells))
    return names and _is_typed(lower.cells[0])


def _is_total(row: Sequence[str]) -> bool:
    first = next((cell.strip() for cell in row if cell.strip()), "")
    return _TOTAL_WORDS.fullmatch(first) is not None


def _names_note(row: Sequence[str]) -> bool:
    return _NOTE_WORDS.match("".join(row).strip()) is not None


def _is_labelled(row: Sequence[str]) -> bool:
    """Whether the first cell announces what is in the next one."""
    return len(row) == 2 and row[0].rstrip().endswith(":")


def _filled(row: Sequence[str]) -> int:
    return sum(1 for cell in row if cell.strip())


def _is_typed(cell: str) -> bool:
    return TYPED_CELL.fullmatch(cell.strip()) is not None
