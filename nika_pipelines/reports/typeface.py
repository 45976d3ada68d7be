"""The one typeface of all PDF reports: Inter, embedded as a subset in every file.

Belongs here: loading the faces, and text as far as the faces can show it. The static TrueType files
lie in ``fonts/`` with their licence.
"""

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any

from nika_pipelines.reports.text import DEFAULT_LIMIT, REPLACEMENT, shown

FONTS = Path(__file__).parent / "fonts"
REGULAR = "Inter"
BOLD = "Inter-SemiBold"
_LONGEST_NAME = 30
_FILES = {REGULAR: "Inter-Regular.ttf", BOLD: "Inter-SemiBold.ttf"}


@lru_cache(maxsize=1)
def faces() -> dict[str, Any]:
    """The ReportLab fonts by name; the first call registers them."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    fonts = {name: TTFont(name, str(FONTS / file)) for name, file in _FILES.items()}
    for font in fonts.values():
        pdfmetrics.registerFont(font)
    return fonts


@lru_cache(maxsize=1)
def _missing() -> "_Glyphs":
    return _Glyphs(set(faces()[REGULAR].face.charToGlyph) & set(faces()[BOLD].face.charToGlyph))


class _Glyphs(dict[int, str]):
    """A translation table for every character that the faces lack: pictures become their names."""

    def __init__(self, present: set[int]) -> None:
        super().__init__((code, chr(code)) for code in present)

    def __missing__(self, code: int) -> str:
        if unicodedata.category(chr(code)) != "So":
            return REPLACEMENT
        name = unicodedata.name(chr(code), "").lower()
        return f":{name}:" if 0 < len(name) <= _LONGEST_NAME else REPLACEMENT


def drawable(value: object, limit: int = DEFAULT_LIMIT) -> str:
    """The text of any value with only characters that the faces hold, on one line."""
    text = shown(value, limit)
    return text if text.isascii() else text.translate(_missing())


@lru_cache(maxsize=20_000)
def width(text: str, size: float, strong: bool = False) -> float:
    """The width of drawable text in points."""
    font = faces()[BOLD if strong else REGULAR]
    return float(font.stringWidth(text, size))
