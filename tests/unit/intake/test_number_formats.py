"""Numbers as people write them are read; what only resembles a number stays text."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typed_columns import typed_values

few = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize(
    "cells, values, unit",
    [
        (["(1,234.50)", "17.25", "(3.00)"], [-1234.5, 17.25, -3.0], None),
        (["($5.00)", "$7.50", "$1,250.00"], [-5.0, 7.5, 1250.0], "$"),
        (["1.234,50-", "17,25", "3,00-"], [-1234.5, 17.25, -3.0], None),
        (["120-", "7", "13"], [-120, 7, 13], None),
        (["−5.5", "3.25", "−0.5"], [-5.5, 3.25, -0.5], None),
        (["1,23,456.78", "12,34,567.00", "999.50"], [123456.78, 1234567.0, 999.5], None),
        (["12,34,567", "1,00,000", "5"], [1234567, 100000, 5], None),
        (["1 234,50 €", "17,00 €", "-3,20 €"], [1234.5, 17.0, -3.2], "€"),
        (["CHF 1'234.50", "CHF 17.00", "CHF 3.20"], [1234.5, 17.0, 3.2], "CHF"),
        (["1’234.50", "17.25", "3’000.00"], [1234.5, 17.25, 3000.0], None),
        (["1\u202f234", "17", "3\u00a0000"], [1234, 17, 3000], None),
        (["12,5 %", "7 %", "-3,25%"], [12.5, 7.0, -3.25], "%"),
        (["199 kr", "25 kr", "1 000 kr"], [199, 25, 1000], "kr"),
        (["€5", "-€7.5", "€-2"], [5.0, -7.5, -2.0], "€"),
        ([".5", "1.", "-.25"], [0.5, 1.0, -0.25], None),
        (["1.5e3", "2E-2", "7"], [1500.0, 0.02, 7.0], None),
        (["5", "unknown", "–", "7"], [5, None, None, 7], None),
    ],
)
def test_a_number_is_read_as_it_was_meant(
    tmp_path: Path, cells: list[str], values: list[float], unit: str | None
) -> None:
    column, found = typed_values(tmp_path, "c", cells)

    assert column.type in ("integer", "float")
    assert found == pytest.approx(values) if None not in values else found == values
    assert column.unit == unit


@given(numbers=st.lists(st.floats(-1.79e308, 1.79e308), min_size=1))
@few
def test_floats_as_programs_write_them_read_back_equal(
    tmp_path: Path, numbers: list[float]
) -> None:
    extremes = [1.7976931348623157e308, -1.79e308, 1e308, 9.99e307, 1e300, 1e-320, 0.5]

    _, found = typed_values(tmp_path, "c", list(map(repr, [*extremes, *numbers])))

    assert found == [*extremes, *numbers]


@pytest.mark.parametrize("cell", ["1e309", "1.8e308", "2e308", "10e308", "-1.7976931348623159e308"])
def test_no_number_becomes_infinite(tmp_path: Path, cell: str) -> None:
    column, found = typed_values(tmp_path, "c", [cell, "2"])

    assert (column.type, found[0]) == ("text", cell)


@pytest.mark.parametrize(
    "cells",
    [
        ["(1)", "(2)", "(3)"],  # labels in brackets
        ["1-", "2-", "3-"],  # grades
        ["1,2", "3,45,6", "7"],  # lists
        ["1,23", "12,345", "1,23,4"],
        ["1,2345,678", "2,3456,789"],
        ["5 ft", "6 ft"],  # a unit is no currency
        ["1.2.3", "1.2.4"],  # versions
        ["192.168.0.1", "10.0.0.7"],
        ["0x1F", "0x2A"],
        ["1_000", "2_000"],
        ["5-7", "8-9"],  # ranges
        ["1/2", "3/4"],
        ["12%", "$5"],
        ["$5", "5 EUR"],
        ["12:30", "14:45"],
        ["1 2 3", "4 5 6"],
        ["²", "³"],
        ["٣", "٤"],  # digits of another script are kept as written
        ["007", "12", "13"],
        ["123456789012345678", "5"],
        ["Infinity", "5"],
        ["1e999", "2"],
        ["- 5-", "3-"],
    ],
)
def test_what_only_resembles_a_number_stays_text(tmp_path: Path, cells: list[str]) -> None:
    column, found = typed_values(tmp_path, "c", cells)

    assert column.type == "text"
    assert found == cells


def indian(number: int) -> str:
    digits = str(abs(number))
    head, last = digits[:-3], digits[-3:]
    pairs = []
    while head:
        pairs.insert(0, head[-2:])
        head = head[:-2]
    return ("-" if number < 0 else "") + ",".join([*pairs, last])


@given(numbers=st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=12))
@few
def test_indian_groups_read_back_equal(tmp_path: Path, numbers: list[int]) -> None:
    numbers = [*numbers, 12_345_678]  # which only Indian groups write so

    column, found = typed_values(tmp_path, "c", [indian(number) for number in numbers])

    assert (column.type, column.format) == ("integer", "thousands indian")
    assert found == numbers


@given(
    numbers=st.lists(st.decimals(-(10**6), 10**6, places=2), min_size=1, max_size=12),
    brackets=st.booleans(),
)
@few
def test_accounting_signs_read_back_equal(
    tmp_path: Path, numbers: list[float], brackets: bool
) -> None:
    numbers = [*numbers, 3, -4]
    written = [
        str(number) if number >= 0 else f"({-number})" if brackets else f"{-number}-"
        for number in numbers
    ]

    _, found = typed_values(tmp_path, "c", written)

    assert found == [float(number) for number in numbers]
