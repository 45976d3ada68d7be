"""Blocks of a document as pieces of known height, all but tables (see `table_pieces`)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from nika_pipelines.reports.chart_specs import BarChart, Severity
from nika_pipelines.reports.charts import draw_on_page
from nika_pipelines.reports.document import (
    Block,
    BulletList,
    Figure,
    Finding,
    Heading,
    KeepTogether,
    Kpi,
    KpiStrip,
    Note,
    PageBreak,
    Paragraph,
    Run,
    Table,
    Text,
)
from nika_pipelines.reports.pieces import Draw, Piece, kept
from nika_pipelines.reports.style import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    PANEL,
    SEVERITY_COLOURS,
    SEVERITY_SIGNS,
    TONE_COLOURS,
    TONE_PANELS,
    rgb,
)
from nika_pipelines.reports.table_pieces import table_pieces
from nika_pipelines.reports.typeface import drawable, width
from nika_pipelines.reports.typesetting import (
    PARAGRAPH_LIMIT,
    Line,
    Style,
    draw_line,
    draw_text,
    fitted,
    lines,
)

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

BODY = Style(9, 13, INK)
SMALL = Style(7.4, 10.2, MUTED)
TITLE = Style(20, 25, INK, strong=True)
HEADINGS = {1: Style(12.5, 17, INK, strong=True), 2: Style(9.8, 14, ACCENT, strong=True)}

REMARK_LIMIT = 800
"""Characters of one run in a note, a list item or a caption."""

_FULL_FIGURE = 152.0
_NARROW_FIGURE = 104.0
_BAR_HEAD, _BAR = 16.0, 17.0
_GUTTER = 14.0
_PADDING = 8.0
_KPI_HEIGHT = 40.0
_KPI_GAP = 4.0


def pieces(blocks: Iterable[Block], measure: float, figure_scale: float = 1.0) -> list[Piece]:
    """All blocks as pieces, in order.

    Args:
        blocks: what to draw.
        measure: the width of the text in points.
        figure_scale: height of figures, in parts of their usual height.
    """
    found: list[Piece] = []
    for block in _paired(blocks):
        if isinstance(block, tuple):
            found += _figure_pair(block, measure, figure_scale)
        else:
            found += _pieces(block, measure, figure_scale)
    return found


def _paired(blocks: Iterable[Block]) -> list[Block | tuple[Figure, Figure]]:
    """Two narrow figures in a row become a pair."""
    result: list[Block | tuple[Figure, Figure]] = []
    for block in blocks:
        before = result[-1] if result else None
        narrow = isinstance(block, Figure) and block.narrow
        if narrow and isinstance(before, Figure) and before.narrow:
            result[-1] = (before, block)  # type: ignore[assignment]
        else:
            result.append(block)
    return result


def _pieces(block: Block, measure: float, figure_scale: float) -> list[Piece]:
    match block:
        case Heading():
            return _heading(block, measure)
        case Paragraph():
            style = SMALL if block.muted else BODY
            space = 2 if block.muted else 4
            return _text(block.text, measure, style, before=space, limit=PARAGRAPH_LIMIT)
        case BulletList():
            return [piece for item in block.items for piece in _bullet(item, measure)]
        case PageBreak():
            return [Piece(0, _nothing, page_break=True)]
        case KeepTogether():
            return kept(pieces(block.blocks, measure, figure_scale))
        case Figure():
            return _figure(block, measure, figure_scale)
        case _:
            return _drawn(block, measure)


def _drawn(block: KpiStrip | Table | Finding | Note, measure: float) -> list[Piece]:
    """Blocks that are more than text."""
    match block:
        case KpiStrip():
            return _kpi_strip(block, measure)
        case Table():
            return table_pieces(block, measure)
        case Finding():
            return kept(_finding(block, measure))
        case Note():
            return [_note(block, measure)]


def _nothing(canvas: "Canvas", x: float, top: float) -> None:
    """Draw nothing."""


def line_piece(line: Line, style: Style, indent: float = 0.0, before: float = 0.0) -> Piece:
    """One line of text as a piece."""

    def draw(canvas: "Canvas", x: float, top: float) -> None:
        draw_line(canvas, x + indent, top - style.leading * 0.75, line, style)

    return Piece(style.leading, draw, before=before)


def _text(
    text: Text,
    measure: float,
    style: Style,
    *,
    indent: float = 0.0,
    before: float = 0.0,
    limit: int = REMARK_LIMIT,
) -> list[Piece]:
    broken = lines(text, measure - indent, style, limit)
    parts = [line_piece(line, style, indent) for line in broken]
    parts[0] = replace(parts[0], before=before, keep=len(parts) > 1)
    if len(parts) > 2:
        # Neither the first nor the last line of a paragraph stands alone on a page.
        parts[-2] = replace(parts[-2], keep=True)
    return parts


def title_pieces(title: str, subtitle: str, measure: float) -> list[Piece]:
    """The head of the first page."""
    size = TITLE.size
    text = drawable(title, 200)
    while size > 12 and width(text, size, strong=True) > measure:
        size -= 1
    style = Style(size, size * 1.25, INK, strong=True)
    return kept(_text(text, measure, style) + _text(subtitle, measure, SMALL, before=1))


def _heading(block: Heading, measure: float) -> list[Piece]:
    style = HEADINGS[block.level]
    parts = _text(block.text, measure, style, before=15 if block.level == 1 else 10)
    parts[0] = replace(parts[0], mark=(block.level, drawable(block.text, 120)))
    parts[-1] = replace(parts[-1], height=style.leading + 2)
    return [replace(part, keep=True) for part in parts]


def _bullet(item: Text, measure: float) -> list[Piece]:
    parts = _text(item, measure, BODY, indent=10, before=2)
    first = parts[0].draw

    def draw(canvas: "Canvas", x: float, top: float) -> None:
        draw_text(canvas, x + 1, top - BODY.leading * 0.75, "\u2022", BODY)
        first(canvas, x, top)

    return [replace(parts[0], draw=draw), *parts[1:]]


def _kpi_strip(block: KpiStrip, measure: float) -> list[Piece]:
    tiles = block.tiles[:8]
    if not tiles:
        return []
    wide = (measure - _KPI_GAP * (len(tiles) - 1)) / len(tiles)

    def draw(canvas: "Canvas", x: float, top: float) -> None:
        for index, tile in enumerate(tiles):
            _draw_kpi(canvas, x + index * (wide + _KPI_GAP), top, wide, tile)

    return [Piece(_KPI_HEIGHT, draw, before=9)]


def _draw_kpi(canvas: "Canvas", x: float, top: float, wide: float, tile: Kpi) -> None:
    tone = tile.tone
    colour = SEVERITY_COLOURS[tone] if isinstance(tone, Severity) else TONE_COLOURS[tone]
    sign = SEVERITY_SIGNS[tone] + " " if isinstance(tone, Severity) else ""
    _fill(canvas, x, top - _KPI_HEIGHT, wide, _KPI_HEIGHT, PANEL)
    room = wide - 2 * _PADDING
    value, size = drawable(tile.value, 24), 15.0
    while size > 8 and width(value, size, strong=True) > room:
        size -= 0.5
    value = fitted(value, room, size, strong=True)
    draw_text(canvas, x + _PADDING, top - 20, value, Style(size, size, colour, strong=True))
    style = Style(7.2, 10, colour if sign else MUTED)
    label = fitted(sign + drawable(tile.label, 40), room, style.size)
    draw_text(canvas, x + _PADDING, top - 32, label, style)


def _fill(canvas: "Canvas", x: float, y: float, wide: float, tall: float, colour: str) -> None:
    canvas.setFillColorRGB(*rgb(colour))
    canvas.rect(x, y, wide, tall, stroke=0, fill=1)


def _figure(block: Figure, measure: float, scale: float) -> list[Piece]:
    tall = (_NARROW_FIGURE if block.narrow else _FULL_FIGURE) * scale
    if isinstance(block.chart, BarChart):
        tall = min(tall, _BAR_HEAD + _BAR * len(block.chart.labels))

    def draw(canvas: "Canvas", x: float, top: float) -> None:
        draw_on_page(block.chart, canvas, (x, top - tall), (measure, tall))

    caption = _text(block.caption, measure, SMALL, before=2)
    return [Piece(tall, draw, before=9, keep=True), *kept(caption)]


def _figure_pair(pair: tuple[Figure, Figure], measure: float, scale: float) -> list[Piece]:
    half = (measure - _GUTTER) / 2
    columns = [_figure(figure, half, scale) for figure in pair]
    tall = max(sum(part.before + part.height for part in column) for column in columns)

    def draw(canvas: "Canvas", x: float, top: float) -> None:
        for index, column in enumerate(columns):
            _draw_stack(canvas, x + index * (half + _GUTTER), top + column[0].before, column)

    return [Piece(tall - 9, draw, before=9)]


def _draw_stack(canvas: "Canvas", x: float, top: float, parts: list[Piece]) -> None:
    for part in parts:
        top -= part.before
        part.draw(canvas, x, top)
        top -= part.height


def _finding(block: Finding, measure: float) -> list[Piece]:
    colour = SEVERITY_COLOURS[block.severity]
    head = f"{SEVERITY_SIGNS[block.severity]} {block.label}  {block.title}"
    facts = "   ".join(f"{name} {value}" for name, value in block.facts)
    indent = 9.0
    parts = _text(head, measure, Style(9, 13, colour, strong=True), indent=indent)
    if facts:
        parts += _text(facts, measure, Style(8, 11.5, FAINT), indent=indent)
    parts += _text(block.explanation, measure, Style(8.6, 12, INK), indent=indent)
    if block.next_step:
        step = (Run("Next: ", strong=True), Run(block.next_step))
        parts += _text(step, measure, Style(8.6, 12, INK), indent=indent)
    parts = [replace(part, before=0, draw=_with_bar(part, colour)) for part in parts]
    return [replace(parts[0], before=7), *parts[1:]]


def _with_bar(part: Piece, colour: str) -> Draw:
    def draw(canvas: "Canvas", x: float, top: float) -> None:
        _fill(canvas, x, top - part.height, 2.2, part.height, colour)
        part.draw(canvas, x, top)

    return draw


def _note(block: Note, measure: float) -> Piece:
    colour = TONE_COLOURS[block.tone]
    room = measure - 2 * _PADDING - 4
    parts: list[Piece] = []
    if block.title:
        parts += _text(block.title, room, Style(10.5, 15, colour, strong=True))
    parts += [replace(part, before=0) for part in _text(block.text, room, BODY)]
    tall = sum(part.height for part in parts) + 2 * 6

    def draw(canvas: "Canvas", x: float, top: float) -> None:
        _fill(canvas, x, top - tall, measure, tall, TONE_PANELS[block.tone])
        _fill(canvas, x, top - tall, 3, tall, colour)
        _draw_stack(canvas, x + 4 + _PADDING, top - 6, parts)

    return Piece(tall, draw, before=9)
