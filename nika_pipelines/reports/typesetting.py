"""Breaks text into lines that fit a width, and draws them.

Text is never read as markup: what looks like a tag is printed as it stands.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from nika_pipelines.reports.document import Run, Text
from nika_pipelines.reports.style import rgb
from nika_pipelines.reports.typeface import BOLD, REGULAR, drawable, width

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

ELLIPSIS = "\u2026"
PARAGRAPH_LIMIT = 4_000
"""Characters of one run of running text; longer ones are cut visibly."""

_ROUNDING = 0.01  # points; a width that was added up may come out a hair too small


@dataclass(frozen=True)
class Style:
    """How a text looks: size and line distance in points, colour, weight."""

    size: float
    leading: float
    colour: str
    strong: bool = False


Word = tuple[str, bool]
Line = tuple[Word, ...]


def runs(text: Text) -> tuple[Run, ...]:
    """Any text as runs."""
    return (Run(text),) if isinstance(text, str) else text


def lines(text: Text, measure: float, style: Style, limit: int = PARAGRAPH_LIMIT) -> list[Line]:
    """The text as lines no wider than ``measure``; a word that is too long is split."""
    space = width(" ", style.size)
    done: list[Line] = []
    line: list[Word] = []
    used = 0.0
    for word, strong, glued in _words(text, measure, style, limit):
        wide = width(word, style.size, strong)
        gap = 0.0 if glued or not line else space
        if line and used + gap + wide > measure:
            done.append(_joined(line))
            line, used, gap = [], 0.0, 0.0
        line.append((" " + word if gap else word, strong))
        used += gap + wide
    done.append(_joined(line))
    return done


def _words(text: Text, measure: float, style: Style, limit: int) -> list[tuple[str, bool, bool]]:
    """Words with their weight, and whether each follows the one before without a space."""
    words: list[tuple[str, bool, bool]] = []
    open_end = False
    for run in runs(text):
        content = drawable(run.text, limit)
        strong = run.strong or style.strong
        glued = open_end and not content.startswith(" ")
        for word in content.split(" "):
            if not word:
                continue
            for piece in _split(word, measure, style.size, strong):
                words.append((piece, strong, glued))
                glued = True
            glued = False
        open_end = bool(content) and not content.endswith(" ")
    return words


def _split(word: str, measure: float, size: float, strong: bool) -> list[str]:
    if width(word, size, strong) <= measure:
        return [word]
    pieces = []
    while word and width(word, size, strong) > measure:
        head = _fitting(word, measure, size, strong)
        pieces.append(word[:head])
        word = word[head:]
    return [*pieces, word] if word else pieces


def _fitting(text: str, measure: float, size: float, strong: bool) -> int:
    """How many characters of a text fit; at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width(text[:middle], size, strong) <= measure:
            low = middle
        else:
            high = middle - 1
    return low


def _joined(words: list[Word]) -> Line:
    """Neighbours of one weight as one piece, so that a line is few drawing steps."""
    pieces: list[Word] = []
    for word, strong in words:
        if pieces and pieces[-1][1] == strong:
            pieces[-1] = (pieces[-1][0] + word, strong)
        else:
            pieces.append((word, strong))
    return tuple(pieces)


@lru_cache(maxsize=8_192)
def fitted(
    text: str, measure: float, size: float, strong: bool = False, *, keep_end: bool = False
) -> str:
    """Drawable text on one line, cut with an ellipsis where it is too wide.

    ``keep_end`` cuts in the middle: names of one family often differ only at their end.
    """
    if width(text, size, strong) <= measure + _ROUNDING:
        return text
    room = measure - width(ELLIPSIS, size, strong)
    if not keep_end:
        return text[: _fitting(text, room, size, strong)].rstrip() + ELLIPSIS
    tail = _fitting(text[::-1], room * 0.45, size, strong)
    room -= width(text[-tail:], size, strong)
    return text[: _fitting(text, room, size, strong)] + ELLIPSIS + text[-tail:]


def draw_line(canvas: "Canvas", x: float, baseline: float, line: Line, style: Style) -> None:
    """Draw one line from its left end."""
    canvas.setFillColorRGB(*rgb(style.colour))
    for text, strong in line:
        canvas.setFont(BOLD if strong else REGULAR, style.size)
        canvas.drawString(x, baseline, text)
        x += width(text, style.size, strong)


def draw_text(
    canvas: "Canvas", x: float, baseline: float, text: str, style: Style, *, right: bool = False
) -> None:
    """Draw drawable text at a point; ``right`` puts its end there."""
    canvas.setFillColorRGB(*rgb(style.colour))
    canvas.setFont(BOLD if style.strong else REGULAR, style.size)
    if right:
        x -= width(text, style.size, style.strong)
    canvas.drawString(x, baseline, text)
