"""Charts: axes, marks, gaps and the SVG that the web UI shows."""

import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nika_pipelines.reports.chart_layout import layout
from nika_pipelines.reports.chart_specs import (
    BarChart,
    ChartSpec,
    Histogram,
    Mark,
    SeriesChart,
    Severity,
)
from nika_pipelines.reports.charts import render_svg
from nika_pipelines.reports.shapes import Circle, Dots, Label, Polygon, Polyline, Shape
from nika_pipelines.reports.style import ACCENT, SEVERITY_COLOURS
from nika_pipelines.reports.ticks import number_ticks, time_ticks, whole_ticks

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


def series(**changes: object) -> SeriesChart:
    values: dict[str, object] = {
        "title": "v over row number",
        "x": tuple(float(i) for i in range(100)),
        "y": tuple(math.sin(i / 9) for i in range(100)),
        "x_label": "row",
        "y_label": "v",
    }
    return SeriesChart(**(values | changes))  # type: ignore[arg-type]


def points(shape: Shape) -> list[tuple[float, float]]:
    if isinstance(shape, Polyline | Polygon | Dots):
        return list(shape.points)
    return [shape.centre] if isinstance(shape, Circle) else []


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=40), st.booleans())
def test_any_series_is_drawn_inside_its_box(
    pairs: list[tuple[float, float]], is_time: bool
) -> None:
    ordered = sorted(pairs)
    spec = series(
        x=tuple(x for x, _ in ordered),
        y=tuple(y for _, y in ordered),
        x_is_time=is_time,
        marks=(Mark(1, Severity.CRITICAL, ordered[0][0], ordered[0][1]),),
    )
    for x, y in (point for shape in layout(spec, 480, 150) for point in points(shape)):
        assert -8 <= x <= 488
        assert -1 <= y <= 158


def test_an_empty_series_says_that_there_is_nothing_to_draw() -> None:
    (only,) = layout(series(x=(), y=()), 480, 150)
    assert isinstance(only, Label)


def test_a_line_is_broken_where_rows_are_missing_for_long() -> None:
    gap = tuple(float(i if i < 50 else i + 40) for i in range(100))
    lines = [s for s in layout(series(x=gap), 480, 150) if isinstance(s, Polyline)]
    assert len([line for line in lines if line.colour == ACCENT]) == 2


def test_crowded_marks_keep_the_number_of_the_worst_only() -> None:
    marks = tuple(Mark(n, Severity.CRITICAL, 50.0 + n / 10, 0.5) for n in range(1, 9))
    labels = [
        s.text for s in layout(series(marks=marks), 480, 150) if isinstance(s, Label) and s.strong
    ]
    assert "1" in labels
    assert "2" not in labels


def test_severities_differ_in_shape_as_well_as_in_colour() -> None:
    marks = tuple(Mark(n, s, 20.0 * n, 0.0) for n, s in enumerate(Severity, start=1))
    shapes = [
        shape
        for shape in layout(series(marks=marks), 480, 150)
        if isinstance(shape, Polygon | Circle)
        and {shape.fill, shape.edge} & set(SEVERITY_COLOURS.values())
        and shape.edge is not None
    ]
    forms = {(type(s), len(s.points) if isinstance(s, Polygon) else s.fill) for s in shapes}
    diamonds_and_squares = {
        s.points[0][0] == s.points[2][0] for s in shapes if isinstance(s, Polygon)
    }
    assert diamonds_and_squares == {True, False}
    assert len(forms) >= 3


def test_a_single_row_of_a_histogram_stays_visible() -> None:
    spec = Histogram("h", (0.0, 1.0, 2.0), (100_000, 1), "v")
    bars = [s for s in layout(spec, 200, 100) if isinstance(s, Polygon) and s.fill == ACCENT]
    assert len(bars) == 2
    assert min(bar.points[2][1] - bar.points[0][1] for bar in bars) >= 0.8


@given(finite, finite)
def test_number_ticks_lie_within_their_ends(a: float, b: float) -> None:
    low, high = sorted((a, b))
    if high - low > abs(high) * 1e-9 and math.isfinite(high - low):
        ticks = number_ticks(low, high, 5)
        air = (high - low) * 1e-6
        assert all(low - air <= value <= high + air for value, _ in ticks)
        assert len(ticks) <= 12


@given(
    st.floats(min_value=-1e6, max_value=1e6),
    st.floats(min_value=0.01, max_value=1e6),
    st.integers(2, 8),
)
def test_no_scale_has_a_single_tick(low: float, span: float, most: int) -> None:
    for ticks in (number_ticks(low, low + span, most), time_ticks(low, low + span, most)):
        assert 2 <= len(ticks) <= 8 * most
    assert len({value for value, _ in number_ticks(low, low + span, most)}) >= 2


def test_a_scale_around_one_round_number_gets_more() -> None:
    assert [text for _, text in number_ticks(430.0, 570.0, 2)] == ["450", "500", "550"]
    assert len(number_ticks(0.1, 9.9, 2)) >= 2


def test_rows_are_counted_in_whole_numbers() -> None:
    assert whole_ticks(0.99, 2.01, 6) == [(1.0, "1"), (2.0, "2")]


@pytest.mark.parametrize("high", [2.0, 3.0, 100.0, 200.0, 230.0, 1_000.0, 476.0, 1_050.0])
@pytest.mark.parametrize("width", [230, 480])
def test_at_least_two_places_on_the_horizontal_axis_are_named(high: float, width: int) -> None:
    spec = series(x=(1.0, high), y=(0.0, 1.0))
    labels = [s for s in layout(spec, width, 100) if isinstance(s, Label) and s.at[1] == 4.5]
    assert len([label for label in labels if label.text != "row"]) >= 2


@pytest.mark.parametrize(
    "span,first",
    [
        (0.5, "01 Jan 00:00"),
        (3_600, "01 Jan 00:00"),
        (5 * 86_400, "01 Jan 1970"),
        (400 * 86_400, "Jan 1970"),
        (9_000 * 86_400, "1970"),
    ],
)
def test_time_ticks_name_the_unit_that_the_span_needs(span: float, first: str) -> None:
    ticks = time_ticks(0.0, span, 6)
    assert ticks[0] == (0.0, first)
    assert 2 <= len(ticks) <= 14


HOSTILE = '</title><script>alert("x")</script>\u202e\x00&'


@pytest.mark.parametrize(
    "spec",
    [
        series(title=HOSTILE, y_label=HOSTILE, marks=(Mark(1, Severity.HIGH, 5.0, 1.0, 9.0),)),
        Histogram(HOSTILE, (0.0, 1.0, 2.0), (3, 4), HOSTILE, HOSTILE),
        BarChart(HOSTILE, (HOSTILE, "b"), (3.0, 0.0), HOSTILE),
    ],
)
def test_an_svg_is_well_formed_and_carries_hostile_text_as_text(
    spec: ChartSpec, tmp_path: Path
) -> None:
    target = render_svg(spec, tmp_path / "charts" / "a.svg")
    root = ET.parse(target).getroot()
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "rect", "path", "circle", "text"}
    assert [file.name for file in target.parent.iterdir()] == ["a.svg"]


def test_the_svg_of_a_decimated_series_is_small(tmp_path: Path) -> None:
    x = tuple(1e9 + i / 2 for i in range(720))
    marks = tuple(Mark(n, Severity.LOW, 1e9 + n * 7, 0.0, 1e9 + n * 7 + 3) for n in range(1, 51))
    spec = series(x=x, y=tuple(math.sin(i) for i in x), x_is_time=True, marks=marks)
    assert render_svg(spec, tmp_path / "a.svg").stat().st_size <= 40_000
