"""Colours and sizes shared by all back ends; lengths in points.

The four severities differ in colour and in shape, so that neither print nor colour blindness hides
them. Every text colour has a contrast of at least 4.5 to 1 on white.
"""

from functools import lru_cache

from nika_pipelines.reports.chart_specs import Severity, Tone

INK = "#1f2933"
MUTED = "#5b6773"
FAINT = "#6b7682"
RULE = "#d5dae0"
PAPER = "#ffffff"
PANEL = "#f4f6f8"
ACCENT = "#1f5f8b"

SEVERITY_COLOURS = {
    Severity.CRITICAL: "#9b1c1c",
    Severity.HIGH: "#b84e08",
    Severity.MEDIUM: "#8a6700",
    Severity.LOW: "#4b6a88",
}
SEVERITY_SIGNS = {
    Severity.CRITICAL: "\u25c6",
    Severity.HIGH: "\u25a0",
    Severity.MEDIUM: "\u25cf",
    Severity.LOW: "\u25cb",
}
SEVERITY_SPANS = {
    Severity.CRITICAL: "#f8dcd9",
    Severity.HIGH: "#fbe5d6",
    Severity.MEDIUM: "#f7eccb",
    Severity.LOW: "#e3eaf1",
}
TONE_COLOURS: dict[Tone, str] = {
    "neutral": INK,
    "good": "#1d6b45",
    "attention": "#8a6700",
    "bad": "#9b1c1c",
}
TONE_PANELS: dict[Tone, str] = {
    "neutral": PANEL,
    "good": "#e9f4ee",
    "attention": "#fbf4e0",
    "bad": "#fbeaea",
}


@lru_cache(maxsize=64)
def rgb(colour: str) -> tuple[float, float, float]:
    """A ``#rrggbb`` colour as three parts of one."""
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue
