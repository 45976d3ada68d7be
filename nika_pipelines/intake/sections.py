"""Titles of sections between the rows of a table, as in reports that hold several parts.

Belongs here: telling a title from a row that happens to have one filled cell. Does not belong
here: titles above the table, which are its preamble (structure).

A title is text alone in the first cell below a blank line, with a header below it: the table's own
header once more, or a row without values that repeats one of its names in its place.
"""

from typing import TYPE_CHECKING

from nika_pipelines.intake.dialect import TYPED_CELL
from nika_pipelines.intake.record_kinds import Kind, Layout
from nika_pipelines.intake.record_scan import Cut, Marks, filled_bytes, without_quotes

if TYPE_CHECKING:
    from nika_pipelines.intake.record_kinds import Kinds, Positions

_MOST_COMPARED = 1_000
"""Rows of a block that are compared with the header one by one."""


def mark_titles(block: bytes, cut: Cut, kinds: "Kinds", marks: Marks, layout: Layout) -> None:
    """Mark titles as preamble; ``kinds`` is changed in place."""
    import numpy as np

    if not layout.header_cells or layout.width < 2:
        return
    blank = kinds == Kind.BLANK
    if not blank.any():
        return
    rows = (kinds == Kind.DATA) | (kinds == Kind.TRIMMED) | (kinds == Kind.SHORT)
    alone = np.flatnonzero(rows[1:] & blank[:-1]) + 1
    alone = alone[_only_first_filled(block, cut, alone, marks)]
    filled = np.flatnonzero(~blank)
    below = filled[np.minimum(np.searchsorted(filled, alone, side="right"), filled.size - 1)]
    repeated = (kinds[below] == Kind.HEADER) & (below > alone)
    near = np.flatnonzero((below == alone + 1) & ~repeated)[:_MOST_COMPARED]
    if layout.width > 2:
        names = _cells(layout.header_cells[0], marks)
        for place in near.tolist():
            repeated[place] = _heads_section(_record(block, cut, int(below[place])), names, marks)
    for place in alone[repeated].tolist():
        if not TYPED_CELL.fullmatch(_cells(_record(block, cut, place), marks)[0]):
            kinds[place] = Kind.PREAMBLE


def _only_first_filled(block: bytes, cut: Cut, places: "Positions", marks: Marks) -> "Positions":
    """Which of the records hold nothing behind their first cell."""
    import numpy as np

    starts, ends = cut.starts[places], cut.ends[places]
    delimiters = np.append(cut.delimiters, len(block))
    first = np.minimum(delimiters[np.searchsorted(delimiters, starts)], ends)
    inside = filled_bytes(block, marks, starts, first, quotes_fill=False)
    behind = filled_bytes(block, marks, first, ends, quotes_fill=False)
    return np.flatnonzero((inside > 0) & (behind == 0))


def _heads_section(raw: bytes, names: list[str], marks: Marks) -> bool:
    cells = _cells(raw, marks)
    filled = [cell for cell in cells if cell]
    if len(filled) < 2 or any(TYPED_CELL.fullmatch(cell) for cell in filled):
        return False
    return any(cell and cell == name for cell, name in zip(cells, names, strict=False))


def _record(block: bytes, cut: Cut, place: int) -> bytes:
    return block[int(cut.starts[place]) : int(cut.ends[place])]


def _cells(raw: bytes, marks: Marks) -> list[str]:
    """The cells of a record, roughly: good enough to compare names."""
    text = without_quotes(raw, marks).decode("utf-8", "replace")
    return [cell.strip() for cell in text.split(chr(marks.delimiter))]
