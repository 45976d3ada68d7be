"""What stands above a table: notes, which are left out, or a table of its own, which never is.

Belongs here: blocks of rows among the records above the table. Does not belong here: where the
table begins and what its header is (structure).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nika_pipelines.intake.dialect import TYPED_CELL

Record = Sequence[str]
_FEWEST_VALUES = 2
_ALIKE = 0.8


@dataclass(frozen=True)
class BlockAbove:
    """Rows above the table that look like one.

    Attributes:
        first: the first record of the block.
        last: the last one.
        columns: its cells in a row.
        is_certain: whether it is a table; else its rows may be names with one value each.
    """

    first: int
    last: int
    columns: int
    is_certain: bool


def block_above(records: Sequence[Record]) -> BlockAbove | None:
    """The first table among the records above the table, else the first block like one.

    Args:
        records: the records above the table; blank ones are empty or hold empty cells only.
    """
    found = [block for start, rows in _blocks(records) if (block := _judged(start, rows))]
    return next((block for block in found if block.is_certain), found[0] if found else None)


def skip_padded_notes(records: Sequence[Record], first: int, most: int) -> int:
    """Where the table begins, when rows of notes were padded to its width, as spreadsheets do.

    Args:
        records: the first records of the file.
        first: the first one that has the table's width.
        most: the last one that the table may begin with.

    Returns:
        ``first``, or the record below the first blank one, if what stands above it leaves the last
        columns empty and what stands below it is a header that fills them.
    """
    end = next((n for n in range(first, len(records)) if not _used(records[n])), len(records))
    begin = next((n for n in range(end, len(records)) if _used(records[n])), None)
    if begin is None or begin > most or end - first >= len(records) - begin - 1:
        return first
    header = records[begin]
    wide = _used(header)
    if max(map(_used, records[first:end])) >= wide or not _is_header(header[:wide]):
        return first
    below = [record for record in records[begin + 1 :] if _used(record)]
    return begin if _typed_columns(below, wide) else first


def header_above(records: Sequence[Record], first: int, width: int) -> int:
    """Where the table begins, when its first rows have another number of cells than most.

    Args:
        records: the first records of the file.
        first: the first one that has the table's width.
        width: the cells of most records.

    Returns:
        ``first``, or the record of a header above it, if rows with values and with as many cells
        as the header stand right between the two.
    """
    begin = next((n for n in range(first, 0, -1) if not _used(records[n - 1])), 0)
    header, rows = records[begin], records[begin + 1 : first]
    if not rows or len(header) < 2 or len(header) >= width or not _is_header(header):
        return first
    same = all(len(row) == len(header) and _has_value(row) for row in rows)
    below = records[first : first + 2 * len(rows) + 1]
    return begin if same and all(map(_has_value, filter(_used, below))) else first


def _has_value(row: Record) -> bool:
    return any(TYPED_CELL.fullmatch(cell.strip()) for cell in row)


def _blocks(records: Sequence[Record]) -> Iterator[tuple[int, list[Record]]]:
    """Rows of at least two cells that follow each other, and where each block begins."""
    rows: list[Record] = []
    for place, record in enumerate([*records, []]):
        if _used(record) >= 2:
            rows.append(record)
        elif rows:
            yield place - len(rows), rows
            rows = []


def _judged(start: int, rows: list[Record]) -> BlockAbove | None:
    """Whether a block is a table: values below each other in a column, and what speaks for it."""
    widths = [_used(row) for row in rows]
    width = max(set(widths), key=widths.count)
    if widths.count(width) < _ALIKE * len(rows):
        return None
    headed = _is_header(rows[0][:width])
    typed = _typed_columns(rows[headed:], width)
    if not typed:
        return None
    # Names with a value each have their names first, and no more than the value behind them.
    certain = 0 in typed or (headed and width > 2)
    if not certain and not headed:
        return None
    return BlockAbove(start, start + len(rows) - 1, width, certain)


def _typed_columns(rows: Sequence[Record], width: int) -> list[int]:
    """The columns that hold numbers, dates or truth values, several of them."""
    found = []
    for place in range(width):
        cells = [row[place].strip() for row in rows if place < len(row) and row[place].strip()]
        typed = sum(1 for cell in cells if TYPED_CELL.fullmatch(cell))
        if typed >= max(_FEWEST_VALUES, _ALIKE * len(cells)):
            found.append(place)
    return found


def _is_header(row: Record) -> bool:
    """Whether all cells are filled, different, and no values."""
    cells = [cell.strip() for cell in row]
    return len({cell.casefold() for cell in cells}) == len(cells) and not any(
        not cell or TYPED_CELL.fullmatch(cell) for cell in cells
    )


def _used(record: Record) -> int:
    """Cells down to the last one that is filled."""
    return next((n for n in range(len(record), 0, -1) if record[n - 1].strip()), 0)
