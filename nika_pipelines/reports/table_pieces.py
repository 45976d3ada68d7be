"""Tables as pieces: one per row, with rules only and a head that repeats on every page.

Columns get the width their cells ask for; where that is more than the page has, the widest give
way first, so that figures stay whole.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nika_pipelines.reports.chart_specs import Severity
from nika_pipelines.reports.document import Cell, Number, Run, Table, TableColumn, TableRow
from nika_pipelines.reports.numerals import narrower
from nika_pipelines.reports.pieces import Piece
from nika_pipelines.reports.style import (
    FAINT,
    INK,
    MUTED,
    RULE,
    SEVERITY_COLOURS,
    SEVERITY_SIGNS,
    rgb,
)
from nika_pipelines.reports.typeface import drawable, width
from nika_pipelines.reports.typesetting import (
    ELLIPSIS,
    Line,
    Style,
    draw_line,
    draw_text,
    fitted,
    lines,
)

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

HEAD = Style(7.2, 10, MUTED, strong=True)
CELL = Style(7.8, 10, INK)
NOTE = Style(7.2, 9.4, MUTED)
_REFERENCE = Style(6.4, 9.4, FAINT)
_PAD_X = 3.5
_PAD_Y = 2.2
_CELL_LIMIT = 240
_WHOLE_LIMIT = 700
_WRAPPED_LINES, _WHOLE_LINES = 5, 9
_SMALLEST = 0.6
_NOTE_LINES = 4
_MOST_STRETCH = 1.9


@dataclass(frozen=True)
class _Column:
    """A column with its place on the page."""

    left: float
    wide: float
    right_aligned: bool
    wrap: bool
    whole: bool = False


@dataclass(frozen=True)
class _NoteLine:
    """A line of a row's remark, and the reference at its right end."""

    text: Line
    reference: str = ""


def table_pieces(table: Table, measure: float) -> list[Piece]:
    """The head and the rows of a table; at least two rows stay with the head."""
    columns = _columns(table, measure)
    measure = columns[-1].left + columns[-1].wide if columns else measure
    head = _head(table.columns, columns, measure)
    rows = [_row(row, columns, measure) for row in table.rows]
    parts = [replace(head, before=6, keep=True)]
    for index, row in enumerate(rows):
        stay = len(rows) > 1 and index in (0, len(rows) - 2)
        parts.append(replace(row, repeat=head, keep=stay))
    if table.more:
        parts[-1] = replace(parts[-1], keep=True)
        parts.append(_line(drawable(table.more), NOTE))
    return parts


def _line(text: str, style: Style) -> Piece:
    def draw(canvas: "Canvas", x: float, top: float) -> None:
        draw_text(canvas, x + _PAD_X, top - 8.5, text, style)

    return Piece(style.leading + 3, draw, before=1)


def cell_text(cell: Cell, limit: int = _CELL_LIMIT) -> str:
    """The drawable text of a cell."""
    if isinstance(cell, Severity):
        return f"{SEVERITY_SIGNS[cell]} {cell.value}"
    return drawable(cell.text if isinstance(cell, Number) else cell, limit)


def _columns(table: Table, measure: float) -> list[_Column]:
    natural = [width(drawable(c.heading, 60), HEAD.size, strong=True) for c in table.columns]
    for row in table.rows:
        for index, cell in enumerate(row.cells[: len(natural)]):
            strong = isinstance(cell, Severity)
            natural[index] = max(natural[index], width(cell_text(cell), CELL.size, strong))
    wides = _shared([wide + 2 * _PAD_X for wide in natural], table.columns, measure)
    columns, left = [], 0.0
    for column, wide in zip(table.columns, wides, strict=True):
        columns.append(_Column(left, wide, column.align == "right", column.wrap, column.whole))
        left += wide
    return columns


def _shared(natural: list[float], heads: tuple[TableColumn, ...], measure: float) -> list[float]:
    """Widths within the measure: spare room is dealt out, want is taken from the widest."""
    spare = measure - sum(natural)
    if spare < 0:
        cap = _cap(natural, measure)
        return [min(wide, cap) for wide in natural]
    takers = [index for index, head in enumerate(heads) if head.wrap]
    if not takers:
        # Figures far apart are hard to follow along a row: such a table may stay narrow.
        return [wide * min(measure / sum(natural), _MOST_STRETCH) for wide in natural]
    total = sum(natural[index] for index in takers)
    return [
        wide + (spare * wide / total if index in takers else 0.0)
        for index, wide in enumerate(natural)
    ]


def _cap(natural: list[float], measure: float) -> float:
    """The width at which cutting all wider columns makes the row fit."""
    left, count = measure, len(natural)
    for wide in sorted(natural):
        if wide * count >= left:
            break
        left -= wide
        count -= 1
    return left / max(count, 1)


def _head(heads: tuple[TableColumn, ...], columns: list[_Column], measure: float) -> Piece:
    texts = [
        fitted(drawable(head.heading, 60), column.wide - 2 * _PAD_X, HEAD.size, strong=True)
        for head, column in zip(heads, columns, strict=True)
    ]

    def draw(canvas: "Canvas", x: float, top: float) -> None:
        for text, column in zip(texts, columns, strict=True):
            _place(canvas, x, top - 8.5, text, column, HEAD)
        _rule(canvas, x, top - 13, measure, INK, 0.7)

    return Piece(13.4, draw)


def _place(
    canvas: "Canvas", x: float, baseline: float, text: str, column: _Column, style: Style
) -> None:
    if column.right_aligned:
        end = x + column.left + column.wide - _PAD_X
        draw_text(canvas, end, baseline, text, style, right=True)
    else:
        draw_text(canvas, x + column.left + _PAD_X, baseline, text, style)


def _rule(canvas: "Canvas", x: float, y: float, measure: float, colour: str, thick: float) -> None:
    canvas.setStrokeColorRGB(*rgb(colour))
    canvas.setLineWidth(thick)
    canvas.line(x, y, x + measure, y)


def _row(row: TableRow, columns: list[_Column], measure: float) -> Piece:
    cells = [_cell(cell, column) for cell, column in zip(row.cells, columns, strict=False)]
    note = _note_lines(row, columns, measure)
    deepest = max((len(texts) for texts, _ in cells), default=1)
    notes_at = 2 * _PAD_Y + deepest * CELL.leading - (1.5 if note else 0)
    tall = notes_at + len(note) * NOTE.leading + (1.5 if note else 0)
    indent = columns[1].left + _PAD_X if len(columns) > 1 else _PAD_X

    def draw(canvas: "Canvas", x: float, top: float) -> None:
        for (texts, style), column in zip(cells, columns, strict=False):
            for index, text in enumerate(texts):
                baseline = top - _PAD_Y - 7.6 - index * CELL.leading
                _place(canvas, x, baseline, text, column, style)
        for index, line in enumerate(note):
            baseline = top - notes_at - 6.2 - index * NOTE.leading
            draw_line(canvas, x + indent, baseline, line.text, NOTE)
            end = x + measure - _PAD_X
            draw_text(canvas, end, baseline, line.reference, _REFERENCE, right=True)
        _rule(canvas, x, top - tall, measure, RULE, 0.35)

    return Piece(tall, draw)


def _cell(cell: Cell, column: _Column) -> tuple[list[str], Style]:
    room = column.wide - 2 * _PAD_X
    text = cell_text(cell, _WHOLE_LIMIT if column.whole else _CELL_LIMIT)
    if isinstance(cell, Severity):
        style = replace(CELL, colour=SEVERITY_COLOURS[cell], strong=True)
        return [fitted(text, room, style.size, strong=True)], style
    if column.right_aligned and width(text, CELL.size) > room:
        return _figure(cell, text, room)
    if not column.wrap or width(text, CELL.size) <= room:
        return [fitted(text, room, CELL.size, keep_end=not column.right_aligned)], CELL
    broken = ["".join(part for part, _ in line) for line in lines(text, room, CELL)]
    most = _WHOLE_LINES if column.whole else _WRAPPED_LINES
    if len(broken) > most:
        broken = [*broken[: most - 1], fitted(broken[most - 1] + ELLIPSIS, room, CELL.size)]
    return broken, CELL


def _figure(cell: Cell, text: str, room: float) -> tuple[list[str], Style]:
    """A figure that is too wide: fewer digits, then smaller or on more lines; never cut."""
    if isinstance(cell, Number) and cell.value is not None:
        forms = [form for form in narrower(cell.value) if width(form, CELL.size) <= room]
        if forms:
            return [forms[0]], CELL
        text = list(narrower(cell.value))[-1:][0] if math.isfinite(cell.value) else text
    whole = width(text, CELL.size)
    if room >= _SMALLEST * whole:
        return [text], replace(CELL, size=CELL.size * room / (whole + 0.01))
    longest = max(width(word, CELL.size) for word in text.split(" "))
    style = replace(CELL, size=CELL.size * max(_SMALLEST, min(1.0, room / (longest + 0.01))))
    broken = ["".join(part for part, _ in line) for line in lines(text, room, style)]
    return broken[:_WRAPPED_LINES], style


def _note_lines(row: TableRow, columns: list[_Column], measure: float) -> list[_NoteLine]:
    """The remark below a row, and the reference at the right end of its last line."""
    indent = columns[1].left if len(columns) > 1 else 0.0
    room = measure - indent - 2 * _PAD_X
    reference = drawable(row.reference) if row.reference else ""
    reserved = width(reference, _REFERENCE.size) + 10 if reference else 0.0
    most = 1 if row.brief else _NOTE_LINES
    broken = lines((Run(row.note),), room, NOTE, limit=600) if row.note else []
    if len(broken) > most:
        last = "".join(text for text, _ in broken[most - 1]) + ELLIPSIS
        cut = fitted(last, room - reserved - width(f" {ELLIPSIS}", NOTE.size), NOTE.size)
        # At a word's end: half a word reads like another one.
        cut = f"{cut.rstrip(ELLIPSIS).rpartition(' ')[0] or cut.rstrip(ELLIPSIS)} {ELLIPSIS}"
        broken = [*broken[: most - 1], ((cut, False),)]
    found = [_NoteLine(line) for line in broken]
    if reference and found and _line_width(broken[-1]) + reserved <= room:
        found[-1] = _NoteLine(broken[-1], reference)
    elif reference:
        found.append(_NoteLine((), reference))
    return found


def _line_width(line: Line) -> float:
    return sum(width(text, NOTE.size, strong) for text, strong in line)
