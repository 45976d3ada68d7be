"""Pieces: things of known height that a page is filled with.

A piece is never divided. A paragraph is a piece per line, a table one per row, so a page can end
between any two of them; `keep` ties a piece to the next one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

Draw = Callable[["Canvas", float, float], None]
"""Draws a piece with its upper left corner at a point."""


@dataclass(frozen=True)
class Piece:
    """Something of known height on a page.

    Attributes:
        before: empty space above it, dropped at the top of a page.
        keep: whether the next piece must follow on the same page.
        repeat: drawn again above this piece when it comes first on a page.
        mark: outline entry that leads here: level and title.
        page_break: whether a page must end here.
    """

    height: float
    draw: Draw
    before: float = 0.0
    keep: bool = False
    repeat: "Piece | None" = None
    mark: tuple[Literal[1, 2], str] | None = None
    page_break: bool = False


def kept(parts: list[Piece]) -> list[Piece]:
    """The pieces tied to each other."""
    return [replace(part, keep=True) for part in parts[:-1]] + parts[-1:]
