"""Turns a chart specification into shapes: axes, ticks, lines, marks and a legend.

One layout serves the PDF and the SVG, so both show the same picture. Text widths are estimated,
because the SVG is shown in a face that is not known here.
"""

import math
from dataclasses import dataclass

from nika_pipelines.reports.chart_specs import (
    BarChart,
    ChartSpec,
    Histogram,
    Mark,
    SeriesChart,
    Severity,
)
from nika_pipelines.reports.numerals import number
from nika_pipelines.reports.shapes import (
    Circle,
    Dots,
    Label,
    Point,
    Polygon,
    Polyline,
    Shape,
    rectangle,
)
from nika_pipelines.reports.style import (
    ACCENT,
    INK,
    MUTED,
    PAPER,
    RULE,
    SEVERITY_COLOURS,
    SEVERITY_SPANS,
)
from nika_pipelines.reports.text import shown
from nika_pipelines.reports.ticks import (
    FEWEST_TICKS,
    Tick,
    TickFinder,
    number_ticks,
    time_ticks,
    whole_ticks,
)

TICK_SIZE = 6.8
MARK_RADIUS = 5.2
_CHARACTER = 0.56  # mean width of a character, in parts of the type size
_GAP_SHARE = 0.012  # a line is not drawn across a gap wider than this share of the picture
_DENSE = 500  # points; more of them get a thinner line
_FEW_DOTS = 100  # dots; up to so many are drawn larger
_GAP_STEPS = 8  # ... and wider than this many usual steps


def layout(spec: ChartSpec, width: float, height: float) -> list[Shape]:
    """The shapes of a chart in a box of that size, in drawing order."""
    match spec:
        case SeriesChart():
            return _series(spec, width, height)
        case Histogram():
            return _histogram(spec, width, height)
        case BarChart():
            return _bars(spec, width, height)


@dataclass(frozen=True)
class _Plot:
    """The rectangle inside the axes, and its two scales."""

    left: float
    bottom: float
    right: float
    top: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """The horizontal place of a value, inside the plot."""
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def y(self, value: float) -> float:
        """The vertical place of a value, inside the plot."""
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return self.bottom + min(max(share, 0.0), 1.0) * (self.top - self.bottom)


def _text_width(text: str, size: float = TICK_SIZE) -> float:
    return len(text) * size * _CHARACTER


def _spread(low: float, high: float, margin: float) -> tuple[float, float]:
    """Ends of a scale with air around the data, never of zero length."""
    if high > low:
        # Half a span, so that the difference of huge values does not overflow.
        air = (high / 2 - low / 2) * 2 * margin
        return low - air, high + air
    air = abs(low) * 0.05 or 1.0
    return low - air, high + air


def _plot(
    width: float, height: float, x: tuple[float, float], y: tuple[float, float], legend: bool
) -> tuple[_Plot, list[Tick]]:
    """The plot with room for the tick labels at its left, and those ticks."""
    ticks = number_ticks(*y, most=max(int(height / 32), 2))
    left = 8 + max((_text_width(text) for _, text in ticks), default=20.0)
    top = height - (16 if legend else 8)
    return _Plot(left, 16, width - 6, top, *x, *y), ticks


def _grid(plot: _Plot, ticks: list[Tick]) -> list[Shape]:
    shapes: list[Shape] = []
    for value, text in ticks:
        y = plot.y(value)
        shapes.append(Polyline(((plot.left, y), (plot.right, y)), RULE, 0.4))
        shapes.append(Label((plot.left - 4, y - 2.4), text, TICK_SIZE, MUTED, "end"))
    return shapes


def _x_axis(plot: _Plot, find: TickFinder, room: float, name: str = "") -> list[Shape]:
    """Tick labels below the plot, one in about ``room`` points, then the axis name at the end."""
    shapes: list[Shape] = [
        Polyline(((plot.left, plot.bottom), (plot.right, plot.bottom)), MUTED, 0.5)
    ]
    name = shown(name, 30)
    free_to = plot.right + 6 - (_text_width(name) + 10 if name else 0)
    ticks = _x_ticks(plot, find, max(int((plot.right - plot.left) / room), 2), free_to)
    labels = _fitting_labels(plot, ticks, free_to)
    if name and len(labels) < FEWEST_TICKS:
        # Rows 1 and 2 only: a second number says more than the name, which the caption holds.
        name, labels = "", _fitting_labels(plot, ticks, plot.right + 6)
    for value, _ in ticks:
        x = plot.x(value)
        shapes.append(Polyline(((x, plot.bottom), (x, plot.bottom - 2.5)), MUTED, 0.5))
    for x, text in labels:
        shapes.append(Label((x, 4.5), text, TICK_SIZE, MUTED, "middle"))
    if name:
        shapes.append(Label((plot.right, 4.5), name, TICK_SIZE, INK, "end"))
    return shapes


def _x_ticks(plot: _Plot, find: TickFinder, most: int, free_to: float) -> list[Tick]:
    """Ticks of which at least two have room for their label, as far as finer ones help."""
    for finer in (1, 2, 4):
        ticks = find(plot.x_low, plot.x_high, most * finer)
        if len(_fitting_labels(plot, ticks, free_to)) >= FEWEST_TICKS:
            return ticks
    return find(plot.x_low, plot.x_high, most)


def _fitting_labels(plot: _Plot, ticks: list[Tick], free_to: float) -> list[tuple[float, str]]:
    """Place and text of the labels that neither overlap nor leave the picture."""
    fitting: list[tuple[float, str]] = []
    used_to = 0.0
    for value, text in ticks:
        x, half = plot.x(value), _text_width(text) / 2
        if x - half >= used_to and x + half <= free_to:
            fitting.append((x, text))
            used_to = x + half + 6
    return fitting


def _empty(width: float, height: float) -> list[Shape]:
    return [Label((width / 2, height / 2), "no values to draw", 8, MUTED, "middle")]


def _series(spec: SeriesChart, width: float, height: float) -> list[Shape]:
    if not spec.x:
        return _empty(width, height)
    heights = [*spec.y, *(mark.y for mark in spec.marks if mark.y is not None)]
    plot, y_ticks = _plot(
        width,
        height,
        _spread(spec.x[0], spec.x[-1], 0.006),
        _spread(min(heights), max(heights), 0.07),
        legend=True,
    )
    find = time_ticks if spec.x_is_time else whole_ticks
    line = _line(spec, plot) if spec.joined else [_dots(spec, plot)]
    return [
        *(_span(plot, mark) for mark in reversed(spec.marks)),
        *_grid(plot, y_ticks),
        *_x_axis(plot, find, 62, "" if spec.x_is_time else spec.x_label),
        *line,
        *_marks(spec.marks, plot),
        Label((0, height - 7), shown(spec.y_label, 60), TICK_SIZE + 0.4, INK, strong=True),
        *_legend(spec.marks, width, height),
    ]


def _line(spec: SeriesChart, plot: _Plot) -> list[Shape]:
    """The series as lines, broken where rows are missing for long."""
    steps = sorted(b - a for a, b in zip(spec.x, spec.x[1:], strict=False) if b > a)
    usual = steps[len(steps) // 2] if steps else 0.0
    widest = max(_GAP_STEPS * usual, _GAP_SHARE * (plot.x_high - plot.x_low))
    pieces: list[list[Point]] = [[]]
    before = spec.x[0]
    for x, y in zip(spec.x, spec.y, strict=True):
        if x - before > widest:
            pieces.append([])
        pieces[-1].append((plot.x(x), plot.y(y)))
        before = x
    alone = tuple(piece[0] for piece in pieces if len(piece) == 1)
    thick = 0.7 if len(spec.x) < _DENSE else 0.5
    lines: list[Shape] = [Polyline(tuple(p), ACCENT, thick) for p in pieces if len(p) > 1]
    return [*lines, Dots(alone, ACCENT, 0.9)] if alone else lines


def _dots(spec: SeriesChart, plot: _Plot) -> Shape:
    points = ((plot.x(x), plot.y(y)) for x, y in zip(spec.x, spec.y, strict=True))
    return Dots(tuple(points), ACCENT, 1.1 if len(spec.x) > _FEW_DOTS else 1.8)


def _span(plot: _Plot, mark: Mark) -> Shape:
    start = plot.x(mark.x)
    end = plot.x(mark.x if mark.x_end is None else mark.x_end)
    if end < start:
        start, end = end, start
    thin = max(end - start, 1.6)
    colour = SEVERITY_SPANS[mark.severity]
    left = start - (thin - (end - start)) / 2
    return rectangle(left, plot.bottom, thin, plot.top - plot.bottom, colour)


def _place(mark: Mark, plot: _Plot) -> Point:
    middle = mark.x if mark.x_end is None else (mark.x + mark.x_end) / 2
    x = min(max(plot.x(middle), plot.left + MARK_RADIUS), plot.right - MARK_RADIUS)
    y = plot.top if mark.y is None else plot.y(mark.y)
    return x, min(max(y, plot.bottom + MARK_RADIUS), plot.top - 1)


def _marks(marks: tuple[Mark, ...], plot: _Plot) -> list[Shape]:
    """Numbered marks; where they crowd, only the worst keep number and size."""
    taken: list[Point] = []
    full: list[list[Shape]] = []
    small: list[list[Shape]] = []
    for mark in sorted(marks, key=lambda mark: mark.number):
        at = _place(mark, plot)
        if any(math.dist(at, other) < 2.1 * MARK_RADIUS for other in taken):
            small.append([sign(mark.severity, at, 2.2)])
            continue
        taken.append(at)
        ink = SEVERITY_COLOURS[mark.severity] if mark.severity is Severity.LOW else PAPER
        size = 5.6 if mark.number < 100 else 4.4
        label = Label((at[0], at[1] - 2), str(mark.number), size, ink, "middle", strong=True)
        full.append([sign(mark.severity, at, MARK_RADIUS), label])
    return [shape for group in [*reversed(small), *reversed(full)] for shape in group]


def sign(severity: Severity, at: Point, radius: float) -> Shape:
    """The shape of a severity: diamond, square, disc, ring."""
    x, y = at
    colour = SEVERITY_COLOURS[severity]
    edge = PAPER if radius > 3 else None
    if severity is Severity.CRITICAL:
        r = radius * 1.32
        return Polygon(((x, y + r), (x + r, y), (x, y - r), (x - r, y)), colour, edge)
    if severity is Severity.HIGH:
        r = radius * 0.95
        return Polygon(
            ((x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)), colour, edge
        )
    if severity is Severity.MEDIUM:
        return Circle(at, radius, colour, edge)
    return Circle(at, radius * 0.95, PAPER, colour)


def _legend(marks: tuple[Mark, ...], width: float, height: float) -> list[Shape]:
    """Which shape is which severity, towards the right edge, for the severities present."""
    present = {mark.severity for mark in marks}
    names = [severity for severity in Severity if severity in present]
    x = width - 2 - sum(_text_width(name.value) + 14 for name in names)
    shapes: list[Shape] = []
    for severity in names:
        shapes.append(sign(severity, (x, height - 4.6), 2.6))
        shapes.append(Label((x + 5, height - 7), severity.value, TICK_SIZE, MUTED))
        x += _text_width(severity.value) + 14
    return shapes


def _histogram(spec: Histogram, width: float, height: float) -> list[Shape]:
    if not spec.counts or len(spec.edges) != len(spec.counts) + 1:
        return _empty(width, height)
    tallest = max(*spec.counts, 1)
    edges = _spread(spec.edges[0], spec.edges[-1], 0.0)
    plot, y_ticks = _plot(width, height, edges, (0.0, tallest * 1.05), legend=True)
    whole = [tick for tick in y_ticks if tick[0] == int(tick[0])]
    return [
        *_grid(plot, whole),
        *(
            _column(plot, low, high, count)
            for low, high, count in zip(spec.edges, spec.edges[1:], spec.counts, strict=False)
            if count
        ),
        *_x_axis(plot, number_ticks, 50),
        Label((0, height - 7), shown(spec.x_label, 50), TICK_SIZE + 0.4, INK, strong=True),
        Label((plot.right, height - 7), shown(spec.y_label, 20), TICK_SIZE, MUTED, "end"),
    ]


def _column(plot: _Plot, low: float, high: float, count: int) -> Shape:
    left, right = plot.x(low), plot.x(high)
    # A single row among thousands must stay visible.
    tall = max(plot.y(count) - plot.bottom, 0.8)
    return rectangle(left + 0.4, plot.bottom, max(right - left - 0.8, 0.5), tall, ACCENT)


def _bars(spec: BarChart, width: float, height: float) -> list[Shape]:
    if not spec.labels:
        return _empty(width, height)
    names = [shown(label, 28) for label in spec.labels]
    left = min(max(_text_width(name, 7) for name in names) + 8, width * 0.4)
    most = max(*spec.values, 1e-12)
    step = (height - 14) / len(names)
    shapes: list[Shape] = [
        Label((0, height - 7), shown(spec.x_label, 60), TICK_SIZE + 0.4, INK, strong=True)
    ]
    for index, (name, value) in enumerate(zip(names, spec.values, strict=True)):
        base = height - 14 - (index + 1) * step
        long = max((width - left - 44) * value / most, 0.5)
        fitting = (
            name if _text_width(name, 7) < left else name[: int(left / 7 / _CHARACTER)] + "\u2026"
        )
        shapes += [
            Label((left - 5, base + step / 2 - 2.5), fitting, 7, INK, "end"),
            rectangle(left, base + step * 0.16, long, step * 0.68, ACCENT),
            Label((left + long + 4, base + step / 2 - 2.5), number(value), 7, MUTED),
        ]
    return shapes
