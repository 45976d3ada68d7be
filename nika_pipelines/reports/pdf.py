"""The PDF back end: a document on A4 pages, drawn with ReportLab.

All blocks become pieces of known height, the pieces are dealt out to pages, and only then is
anything drawn; so every page knows how many there are, and one pass is enough. The bytes depend on
nothing but the document and the time given.
"""

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.reports.block_pieces import pieces, title_pieces
from nika_pipelines.reports.document import Document
from nika_pipelines.reports.pieces import Piece
from nika_pipelines.reports.style import MUTED, RULE, rgb
from nika_pipelines.reports.typeface import REGULAR, drawable, faces, width
from nika_pipelines.reports.typesetting import Style, draw_text, fitted

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

MILLIMETRE = 72 / 25.4
PAGE = (210 * MILLIMETRE, 297 * MILLIMETRE)
MARGIN = 20 * MILLIMETRE
MEASURE = PAGE[0] - 2 * MARGIN
_TOP = PAGE[1] - MARGIN
_BOTTOM = MARGIN
_EDGE = Style(7.2, 10, MUTED)
_ALMOST_EMPTY = 0.4  # a last page filled less than this is worth avoiding
_TIGHTER = ((0.8, 1.0), (0.6, 0.9), (0.45, 0.75))  # spaces and figures, in parts of the usual


@dataclass
class _Page:
    """Pieces with the height of their upper edge."""

    placed: list[tuple[float, Piece]] = field(default_factory=list)


def render_pdf(document: Document, target: Path, created: datetime) -> Path:
    """Write the document as a PDF file, which appears whole or not at all.

    Args:
        document: what to write.
        target: the file; its folder is made if need be.
        created: the time in the file's metadata, unless ``SOURCE_DATE_EPOCH`` is set.
    """
    from reportlab import rl_config
    from reportlab.pdfgen.canvas import Canvas

    # ASCII armour of binary streams costs a tenth of the time and a quarter more bytes.
    rl_config.useA85 = 0
    faces()
    pages = _filled_pages(document)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    canvas = Canvas(
        str(unfinished),
        pagesize=PAGE,
        pageCompression=1,
        invariant=1,
        initialFontName=REGULAR,
        lang=document.language,
    )
    _describe(canvas, document, created)
    outline = _Outline()
    for index, page in enumerate(pages, start=1):
        _draw_edges(canvas, document, index, len(pages))
        for top, piece in page.placed:
            outline.add(canvas, piece, top)
            piece.draw(canvas, MARGIN, top)
        canvas.showPage()
    try:
        canvas.save()
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _filled_pages(document: Document) -> list[_Page]:
    """The pages; spaces and figures shrink where that saves an almost empty last page."""
    pages = _set_pages(document, 1.0, 1.0)
    if len(pages) == 1 or _share_used(pages[-1]) > _ALMOST_EMPTY:
        return pages
    for looseness, figure_scale in _TIGHTER:
        tighter = _set_pages(document, looseness, figure_scale)
        if len(tighter) < len(pages):
            return tighter
    return pages


def _set_pages(document: Document, looseness: float, figure_scale: float) -> list[_Page]:
    head = title_pieces(document.title, document.subtitle, MEASURE)
    parts = [*head, *pieces(document.blocks, MEASURE, figure_scale)]
    return _paginate([replace(part, before=part.before * looseness) for part in parts])


def _share_used(page: _Page) -> float:
    lowest = min((top - piece.height for top, piece in page.placed), default=_TOP)
    return (_TOP - lowest) / (_TOP - _BOTTOM)


def _paginate(parts: list[Piece]) -> list[_Page]:
    pages = [_Page()]
    top = _TOP
    for group in _groups(parts):
        if group[0].page_break:
            top = _BOTTOM if pages[-1].placed else top
            continue
        if pages[-1].placed and top - _height(group) < _BOTTOM - 0.01:
            pages.append(_Page())
            top = _TOP
        for piece in group:
            if pages[-1].placed and top - piece.before - piece.height < _BOTTOM - 0.01:
                # Only a group taller than a page comes here.
                pages.append(_Page())
                top = _TOP
            top = _put(pages[-1], piece, top)
    return pages


def _groups(parts: list[Piece]) -> list[list[Piece]]:
    """Pieces that must stay together."""
    groups: list[list[Piece]] = [[]]
    for part in parts:
        groups[-1].append(part)
        if not part.keep:
            groups.append([])
    return [group for group in groups if group]


def _height(group: list[Piece]) -> float:
    return sum(piece.before + piece.height for piece in group)


def _put(page: _Page, piece: Piece, top: float) -> float:
    """Place a piece below the others of a page; returns where the next one begins."""
    if page.placed:
        top -= piece.before
    elif piece.repeat is not None:
        page.placed.append((top, piece.repeat))
        top -= piece.repeat.height
    page.placed.append((top, piece))
    return top - piece.height


def _describe(canvas: "Canvas", document: Document, created: datetime) -> None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "").strip()
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else created.astimezone(UTC)
    canvas.setDateFormatter(lambda *_: moment.strftime("D:%Y%m%d%H%M%S+00'00'"))
    canvas.setTitle(drawable(document.title))
    canvas.setSubject(drawable(document.subject or document.subtitle))
    canvas.setKeywords(drawable(", ".join(document.keywords)))
    canvas.setAuthor("Nika Pipelines")
    canvas.setCreator("Nika Pipelines")
    canvas.setViewerPreference("DisplayDocTitle", "true")


class _Outline:
    """Bookmarks; a level-2 heading without a level-1 one above it counts as level 1."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, canvas: "Canvas", piece: Piece, top: float) -> None:
        """Mark the place of a heading; other pieces are passed over."""
        if piece.mark is None:
            return
        level, title = piece.mark
        key = f"heading-{self._count}"
        canvas.bookmarkPage(key, fit="XYZ", left=0, top=top + 12)
        canvas.addOutlineEntry(title, key, level - 1 if self._count else 0)
        self._count += 1


def _draw_edges(canvas: "Canvas", document: Document, page: int, pages: int) -> None:
    """Running head and foot."""
    left, right = MARGIN, PAGE[0] - MARGIN
    head, foot = PAGE[1] - 12.5 * MILLIMETRE, 11 * MILLIMETRE
    canvas.setStrokeColorRGB(*rgb(RULE))
    canvas.setLineWidth(0.6)
    canvas.line(left, head - 5, right, head - 5)
    name = drawable(document.running_head[0], 60)
    draw_text(canvas, left, head, name, _EDGE)
    room = MEASURE - width(name, _EDGE.size) - 20
    file = fitted(drawable(document.running_head[1]), room, _EDGE.size)
    draw_text(canvas, right, head, file, _EDGE, right=True)
    number = f"Page {page} of {pages}"
    draw_text(canvas, right, foot, number, _EDGE, right=True)
    facts = drawable(" \u00b7 ".join(document.foot))
    room = MEASURE - width(number, _EDGE.size) - 20
    draw_text(canvas, left, foot, fitted(facts, room, _EDGE.size), _EDGE)
