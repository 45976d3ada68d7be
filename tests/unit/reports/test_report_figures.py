"""Figures stay readable however narrow their column and however close they lie."""

import pytest

from nika_pipelines.reports.document import Number
from nika_pipelines.reports.numerals import number
from nika_pipelines.reports.table_pieces import _cell, _Column
from nika_pipelines.reports.ticks import number_ticks
from nika_pipelines.reports.typeface import drawable, width
from nika_pipelines.reports.typesetting import ELLIPSIS


@pytest.mark.parametrize("room", [24.0, 34.0, 45.0])
@pytest.mark.parametrize("value", [6.0e16, -3.4512e-7, 4_006_381_333_931, 1.4e308, 4006381.25])
def test_a_number_is_never_cut_but_written_shorter(value: float, room: float) -> None:
    (text, *more), style = _cell(Number(number(value), value), _Column(0, room, True, False))

    assert not more
    assert ELLIPSIS not in text
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.35)
    assert width(text, style.size) <= room - 6


def test_a_range_that_finds_no_room_takes_more_lines() -> None:
    texts, style = _cell("4,006,381,333 to 8,006,381,333", _Column(0, 60, True, False))

    assert " ".join(text.strip() for text in texts) == "4,006,381,333 to 8,006,381,333"
    assert all(width(text, style.size) <= 60 for text in texts)


def test_a_warning_is_told_to_its_end() -> None:
    told = "word " * 60 + "END"
    texts, _ = _cell(told, _Column(0, 400, False, True, True))

    assert texts[-1].endswith("END")


@pytest.mark.parametrize("low", [9.01e15, 1e12, -4.5e17])
def test_ticks_of_large_neighbours_differ(low: float) -> None:
    ticks = number_ticks(low, low + 100_000, 4)

    assert len(ticks) >= 2
    assert len({text for _, text in ticks}) == len(ticks)


def test_pictures_in_names_are_told_by_name() -> None:
    assert drawable("menu \N{SLICE OF PIZZA}") == "menu :slice of pizza:"
