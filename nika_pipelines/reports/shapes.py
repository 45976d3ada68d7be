"""The few drawing primitives that charts are made of, and their SVG form.

Coordinates are points with the origin at the lower left, as in PDF. Belongs here: primitives and
`svg`. Where a primitive stands is decided by `chart_layout`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Polyline:
    """An open line through points."""

    points: tuple[Point, ...]
    colour: str
    width: float


@dataclass(frozen=True)
class Polygon:
    """A closed, filled outline; `edge` draws its border."""

    points: tuple[Point, ...]
    fill: str
    edge: str | None = None


@dataclass(frozen=True)
class Circle:
    """A filled circle; `edge` draws its border."""

    centre: Point
    radius: float
    fill: str
    edge: str | None = None


@dataclass(frozen=True)
class Dots:
    """Many small dots of one colour."""

    points: tuple[Point, ...]
    colour: str
    radius: float


@dataclass(frozen=True)
class Label:
    """A short text; `at` is on its baseline."""

    at: Point
    text: str
    size: float
    colour: str
    anchor: Anchor = "start"
    strong: bool = False


Shape = Polyline | Polygon | Circle | Dots | Label


def rectangle(x: float, y: float, width: float, height: float, fill: str) -> Polygon:
    """A filled rectangle from its lower left corner."""
    return Polygon(((x, y), (x + width, y), (x + width, y + height), (x, y + height)), fill)


def svg(shapes: Iterable[Shape], width: float, height: float, title: str) -> str:
    """A self-contained SVG picture: no script, no style sheet, nothing loaded from elsewhere."""
    body = "\n".join(_element(shape, height) for shape in shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" '
        'font-family="Inter, Helvetica, Arial, sans-serif">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _element(shape: Shape, height: float) -> str:
    match shape:
        case Polyline():
            return (
                f'<path d="{_path(shape.points, height)}" fill="none" stroke="{shape.colour}" '
                f'stroke-width="{shape.width:g}" stroke-linejoin="round"/>'
            )
        case Polygon():
            outline = _path(shape.points, height)
            return f'<path d="{outline}Z" fill="{shape.fill}"{_edge(shape.edge)}/>'
        case Circle():
            x, y = shape.centre
            return (
                f'<circle cx="{x:.1f}" cy="{height - y:.1f}" r="{shape.radius:g}" '
                f'fill="{shape.fill}"{_edge(shape.edge)}/>'
            )
        case Dots():
            # A dot is a line of no length with round ends: a third of the bytes of a circle.
            dots = "".join(f"M{x:.1f} {height - y:.1f}h0" for x, y in shape.points)
            return (
                f'<path d="{dots}" stroke="{shape.colour}" stroke-width="{2 * shape.radius:g}" '
                'stroke-linecap="round"/>'
            )
        case Label():
            x, y = shape.at
            weight = ' font-weight="600"' if shape.strong else ""
            return (
                f'<text x="{x:.1f}" y="{height - y:.1f}" font-size="{shape.size:g}" '
                f'fill="{shape.colour}" text-anchor="{shape.anchor}"{weight}>'
                f"{escape(shape.text)}</text>"
            )


def _path(points: tuple[Point, ...], height: float) -> str:
    return "M" + "L".join(f"{x:.1f} {height - y:.1f}" for x, y in points)


def _edge(colour: str | None) -> str:
    return f' stroke="{colour}" stroke-width="0.8"' if colour else ""
