"""Charts drawn from their specification: as a small SVG file, or on a PDF page.

Both back ends draw the same shapes, always as vectors.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.reports.chart_layout import layout
from nika_pipelines.reports.chart_specs import ChartSpec
from nika_pipelines.reports.shapes import Circle, Dots, Label, Polygon, Polyline, Shape, svg
from nika_pipelines.reports.style import rgb
from nika_pipelines.reports.text import shown
from nika_pipelines.reports.typeface import BOLD, REGULAR, drawable

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

SVG_SIZE = (640.0, 200.0)


def render_svg(
    spec: ChartSpec, path: Path, width: float = SVG_SIZE[0], height: float = SVG_SIZE[1]
) -> Path:
    """Write the chart as a self-contained SVG file; the file appears whole or not at all."""
    text = svg(layout(spec, width, height), width, height, shown(spec.title))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    return path


def draw_on_page(
    spec: ChartSpec, canvas: "Canvas", at: tuple[float, float], size: tuple[float, float]
) -> None:
    """Draw the chart on a PDF page with its lower left corner at a point."""
    canvas.saveState()
    canvas.translate(*at)
    canvas.setLineJoin(1)
    for shape in layout(spec, *size):
        _draw(shape, canvas)
    canvas.restoreState()


def _draw(shape: Shape, canvas: "Canvas") -> None:
    match shape:
        case Polyline():
            canvas.setStrokeColorRGB(*rgb(shape.colour))
            canvas.setLineWidth(shape.width)
            _trace(canvas, shape.points, close=False)
        case Polygon():
            canvas.setFillColorRGB(*rgb(shape.fill))
            _set_edge(canvas, shape.edge)
            _trace(canvas, shape.points, close=True, edge=shape.edge is not None)
        case Circle():
            canvas.setFillColorRGB(*rgb(shape.fill))
            _set_edge(canvas, shape.edge)
            canvas.circle(*shape.centre, shape.radius, stroke=int(shape.edge is not None), fill=1)
        case Dots():
            _dots(shape, canvas)
        case Label():
            _label(shape, canvas)


def _set_edge(canvas: "Canvas", colour: str | None) -> None:
    if colour is not None:
        canvas.setStrokeColorRGB(*rgb(colour))
        canvas.setLineWidth(0.8)


def _trace(
    canvas: "Canvas", points: tuple[tuple[float, float], ...], *, close: bool, edge: bool = True
) -> None:
    path = canvas.beginPath()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    if close:
        path.close()
    canvas.drawPath(path, stroke=int(edge), fill=int(close))


def _dots(shape: Dots, canvas: "Canvas") -> None:
    # Lines of no length with round ends: one path for all dots.
    canvas.setStrokeColorRGB(*rgb(shape.colour))
    canvas.setLineWidth(2 * shape.radius)
    canvas.setLineCap(1)
    path = canvas.beginPath()
    for x, y in shape.points:
        path.moveTo(x, y)
        path.lineTo(x, y)
    canvas.drawPath(path, stroke=1, fill=0)
    canvas.setLineCap(0)


def _label(shape: Label, canvas: "Canvas") -> None:
    canvas.setFont(BOLD if shape.strong else REGULAR, shape.size)
    canvas.setFillColorRGB(*rgb(shape.colour))
    draw = {
        "start": canvas.drawString,
        "middle": canvas.drawCentredString,
        "end": canvas.drawRightString,
    }[shape.anchor]
    draw(*shape.at, drawable(shape.text))
