"""Headers of several rows over columns of values: groups above the names, units below them.

Belongs here: telling such rows from data by the values below them. Does not belong here: headers of
one row, and how the rows become names (structure).
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from nika_pipelines.intake.cell_readings import MISSING_IN_TYPED
from nika_pipelines.intake.dialect import TYPED_CELL

Record = Sequence[str]
_MOST_GROUP_ROWS = 2
_BODY_SAMPLE = 100
_TYPED_SHARE = 0.8
_FEWEST_VALUES = 2
_YEAR = re.compile(r"(?:19|20)\d\d", re.ASCII)
_PERIOD = re.compile(r"(?:19|20)\d\d|.*\d[-/.]\d.*", re.ASCII)
_UNIT_WORD = re.compile(
    r"(?:unit|units|unit of measure|einheit|einheiten|unité|unités|unidad|unità)\b.*|[(\[].*[)\]]",
    re.IGNORECASE,
)


def rows_of_groups_and_names(rows: Sequence[Record]) -> int:
    """How many rows the header has when its names stand below groups of columns; else 0.

    Groups are years, other periods, or words that several columns share, each written once or over
    every column. Below them stands a name over every column of values.

    Args:
        rows: the rows from the first one of the table on; blank ones hold no filled cell.
    """
    for place in range(1, min(_MOST_GROUP_ROWS, len(rows) - 2) + 1):
        if not _is_group_row(rows[place - 1]):
            return 0
        if has_words_over_values(rows, place):
            # Periods above rows of periods are data of the same kind.
            alike = _are_periods(rows[0]) and _are_periods(rows[place + 1])
            return 0 if alike else place + 1
    return 0


def are_years_as_names(row: Record, below: Record) -> bool:
    """Whether years in order, beside one another and behind a corner, head columns of figures."""
    behind = [cell.strip() for cell in row[1:]]
    while behind and not behind[-1]:  # where every row ends with a delimiter
        behind.pop()
    if len(behind) < _FEWEST_VALUES or not all(map(_YEAR.fullmatch, behind)):
        return False
    steps = {later > earlier for earlier, later in pairwise(map(int, behind))}
    corner = not TYPED_CELL.fullmatch(row[0].strip())
    return (
        corner and len(steps) == 1 and len(set(behind)) == len(behind) and not _are_periods(below)
    )


def is_unit_row(rows: Sequence[Record], place: int) -> bool:
    """Whether a row below names holds the units of the columns of values, and nothing else."""
    values = _value_columns(rows, place)
    row = [cell.strip() for cell in rows[place]]
    over = [n for n, cell in enumerate(row) if n in values and cell]
    beside = [cell for n, cell in enumerate(row) if n not in values and cell]
    if not over or 2 * len(over) < len(values):
        return False
    if not all(_is_own_word(row[n], values[n]) for n in over):
        return False
    return all(_UNIT_WORD.fullmatch(cell) for cell in beside)


def has_words_over_values(rows: Sequence[Record], place: int) -> bool:
    """Whether a row holds words in all of several columns that hold values below it."""
    row = [cell.strip() for cell in rows[place]]
    if any(map(TYPED_CELL.fullmatch, row)):
        return False
    values = _value_columns(rows, place)
    return len(values) > 1 and all(_is_own_word(row[n], below) for n, below in values.items())


def _is_group_row(row: Record) -> bool:
    """Whether the cells behind the first one are periods, or stand for more than one column."""
    behind = [cell.strip() for cell in row[1:]]
    filled = [cell for cell in behind if cell]
    if not filled:
        return False
    shared = len(set(filled)) < len(filled) or len(filled) < len(behind)
    return shared or _are_periods(row)


def _are_periods(row: Record) -> bool:
    """Whether years or dates, and nothing else, stand behind the first cell."""
    filled = [cell.strip() for cell in row[1:] if cell.strip()]
    return bool(filled) and all(map(_PERIOD.fullmatch, filled))


def _is_own_word(cell: str, below: set[str]) -> bool:
    """Whether a cell is text that is no placeholder for a missing value."""
    word = cell.casefold()
    known = word in MISSING_IN_TYPED or word in below
    return bool(cell) and not known and TYPED_CELL.fullmatch(cell) is None


def _value_columns(rows: Sequence[Record], place: int) -> dict[int, set[str]]:
    """The columns that hold values below a row, and the words that stand among them."""
    below = [row for row in rows[place + 1 : place + 1 + _BODY_SAMPLE] if row]
    found = {}
    for n in range(len(rows[place])):
        cells = [row[n].strip() for row in below if n < len(row) and row[n].strip()]
        words = [cell for cell in cells if not TYPED_CELL.fullmatch(cell)]
        typed = len(cells) - len(words)
        if typed >= max(_FEWEST_VALUES, _TYPED_SHARE * len(cells)):
            found[n] = {word.casefold() for word in words}
    return found
