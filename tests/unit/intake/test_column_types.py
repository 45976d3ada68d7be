"""Types are decided by whole columns, and what is read back is what was written."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from text_tables import engine, stored, write_text_table

from nika_pipelines.intake.column_types import infer_columns
from nika_pipelines.intake.records import Column, IntakeWarning
from nika_pipelines.intake.typed_table import cast_table
from nika_pipelines.settings import Settings

few = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def typed(
    folder: Path, **columns: Sequence[str | None]
) -> tuple[list[Column], list[IntakeWarning], list[tuple[Any, ...]]]:
    """Infer the columns' types and cast; gives columns, warnings and the typed rows."""
    names = list(columns)
    rows = list(zip(*columns.values(), strict=True))
    text = write_text_table(folder / "text.parquet", names, rows)
    with engine() as con:
        found, warnings = infer_columns(con, text, names, names, Settings())
        outcome = cast_table(con, text, found, folder / "table.parquet", folder / "cast.parquet")
    assert outcome.accepted + outcome.rejected == len(rows)
    return found, warnings, stored(folder / "table.parquet")


def column_of(folder: Path, *cells: str | None) -> Column:
    return typed(folder, c=cells)[0][0]


def grouped(number: int, separator: str) -> str:
    return f"{number:,}".replace(",", separator)


@pytest.mark.parametrize("separator", [",", ".", " ", "\u00a0", "'"])
@given(numbers=st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=15))
@few
def test_whole_numbers_with_thousands_separators_read_back_equal(
    tmp_path: Path, separator: str, numbers: list[int]
) -> None:
    # Without a number of seven digits, 1.234 may as well be a decimal number.
    numbers = [*numbers, 1_234_567]

    columns, _, rows = typed(tmp_path, c=[grouped(number, separator) for number in numbers])

    assert columns[0].type == "integer"
    assert [row[0] for row in rows] == numbers


@given(
    numbers=st.lists(
        st.decimals(-(10**9), 10**9, places=2, allow_nan=False), min_size=1, max_size=15
    )
)
@few
def test_numbers_with_decimal_comma_read_back_equal(tmp_path: Path, numbers: list[Any]) -> None:
    written = [str(number).replace(".", ",") for number in numbers]

    columns, _, rows = typed(tmp_path, c=written)

    assert columns[0].type == "float"
    assert columns[0].format == "decimal comma"
    assert [row[0] for row in rows] == [float(number) for number in numbers]


@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False, max_value=1e280,
                                  min_value=-1e280), min_size=1, max_size=15))  # fmt: skip
@few
def test_floats_as_python_writes_them_read_back_equal(tmp_path: Path, numbers: list[float]) -> None:
    assume(all(abs(number) < 1e16 or "e" in repr(number) for number in numbers))

    columns, _, rows = typed(tmp_path, c=[repr(number) for number in numbers])

    assert columns[0].type == "float"
    assert [row[0] for row in rows] == numbers


@pytest.mark.parametrize(
    "written",
    [
        "%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%d %b %Y", "%b %d, %Y", "%d-%b-%Y", "%d %B %Y",
        "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%m/%d/%y",
    ],
)  # fmt: skip
@given(days=st.lists(st.dates(dt.date(1970, 1, 1), dt.date(2068, 12, 31)), min_size=1, max_size=15))
@few
def test_dates_in_one_format_read_back_equal(
    tmp_path: Path, written: str, days: list[dt.date]
) -> None:
    # A day after the 12th tells day and month apart.
    days = [*days, dt.date(2024, 2, 29)]

    columns, warnings, rows = typed(tmp_path, c=[day.strftime(written) for day in days])

    assert columns[0].type == "date"
    assert [row[0] for row in rows] == days
    assert not warnings


@pytest.mark.parametrize("separator", [" ", "T"])
@given(
    stamps=st.lists(st.datetimes(dt.datetime.fromisoformat("1000-01-01")), min_size=1, max_size=15)
)
@few
def test_naive_timestamps_stay_as_written(
    tmp_path: Path, separator: str, stamps: list[dt.datetime]
) -> None:
    columns, _, rows = typed(tmp_path, c=[stamp.isoformat(separator) for stamp in stamps])

    assert columns[0].type == "timestamp"
    assert [row[0] for row in rows] == stamps


@given(
    stamps=st.lists(
        st.datetimes(
            dt.datetime.fromisoformat("1971-01-01"), dt.datetime.fromisoformat("2200-01-01")
        ),
        min_size=1,
        max_size=20,
    ),
    minutes=st.sampled_from([0, 60, -330, 345, 720]),
)
@few
def test_timestamps_with_an_offset_become_utc(
    tmp_path: Path, stamps: list[dt.datetime], minutes: int
) -> None:
    zone = dt.timezone(dt.timedelta(minutes=minutes))

    columns, _, rows = typed(
        tmp_path, c=[stamp.replace(tzinfo=zone).isoformat() for stamp in stamps]
    )

    assert columns[0].type == "timestamp"
    assert [row[0] for row in rows] == [stamp - dt.timedelta(minutes=minutes) for stamp in stamps]


@given(
    numbers=st.lists(st.integers(0, 10**6), min_size=1, max_size=15),
    place=st.integers(0, 30),
    padded=st.from_regex(r"0[0-9]{1,8}", fullmatch=True),
)
@few
def test_one_leading_zero_keeps_the_column_text(
    tmp_path: Path, numbers: list[int], place: int, padded: str
) -> None:
    written = [str(number) for number in numbers]
    written.insert(place, padded)

    columns, _, rows = typed(tmp_path, c=written)

    assert columns[0].type == "text"
    assert [row[0] for row in rows] == written


def test_eighteen_digits_stay_text_and_seventeen_are_a_number(tmp_path: Path) -> None:
    assert column_of(tmp_path, "1" * 17, "5").type == "integer"
    assert column_of(tmp_path, "1" * 18, "5").type == "text"


def test_the_vote_needs_98_percent_and_the_rest_is_rejected(tmp_path: Path) -> None:
    columns, _, rows = typed(tmp_path, c=[*map(str, range(98)), "x", "y"])
    assert columns[0].type == "integer"
    assert len(rows) == 98

    columns, _, rows = typed(tmp_path, c=[*map(str, range(97)), "x", "y", "z"])
    assert columns[0].type == "text"
    assert len(rows) == 100


def test_types_never_cost_more_rows_than_the_limit(tmp_path: Path) -> None:
    # 30 columns with two misfits each, all in other rows: together 60 of 100 rows.
    columns = {
        f"c{n}": ["oops" if row in (2 * n, 2 * n + 1) else str(row + 1) for row in range(100)]
        for n in range(30)
    }

    found, _, rows = typed(tmp_path, **columns)

    assert len(rows) >= 80
    assert sum(column.type == "integer" for column in found) == 10


def test_null_tokens_are_no_votes_and_no_values(tmp_path: Path) -> None:
    columns, _, rows = typed(
        tmp_path, c=["1", "NA", "n/a", "NULL", "None", "-", "", "  ", "NaN", "#N/A", None, "2"]
    )

    assert columns[0].type == "integer"
    assert [row[0] for row in rows] == [1, *[None] * 10, 2]


def test_words_that_only_look_like_null_stay_in_text(tmp_path: Path) -> None:
    _, _, rows = typed(tmp_path, c=["NA", "None", "DE", "null", "N/A", " padded "])

    assert [row[0] for row in rows] == ["NA", "None", "DE", None, None, " padded "]


@pytest.mark.parametrize(
    "cells, expected",
    [
        (("yes", "NO", "Yes"), ("boolean", "yes/no")),
        (("TRUE", "false"), ("boolean", "true/false")),
        (("ja", "nein"), ("boolean", "ja/nein")),
        (("Y", "N", "n"), ("boolean", "y/n")),
        (("N", "N"), ("text", None)),
        (("0", "1", "1"), ("integer", None)),
        (("1e5", "2.5E-3"), ("float", None)),
        (("12.5 %", "3%"), ("float", "percent")),
        (("€1.234,50", "€ 7"), ("float", "decimal comma, thousands dot, currency €")),
        (("5 EUR", "7.25 EUR"), ("float", "currency EUR")),
        (("$5", "€7"), ("text", None)),
        (("1/2/2024 5:06 PM", "12/31/2024 11:59 AM"), ("timestamp", "%m/%d/%Y time am/pm")),
        (("2024-01-05", "2024-01-05 10:30"), ("timestamp", "%Y-%m-%d time")),
        (("2024-01-05", "05.02.2024"), ("text", None)),
        (("2024-02-30", "2023-02-30"), ("text", None)),
        (("+15553522926", "+15553522927"), ("text", None)),
        (("inf", "1.5"), ("text", None)),
        (("1,2,3", "4,5,6"), ("text", None)),
        ((None, "", "-"), ("text", None)),
    ],
)
def test_a_column_gets_the_type_and_format_of_its_cells(
    tmp_path: Path, cells: tuple[str | None, ...], expected: tuple[str, str | None]
) -> None:
    column = column_of(tmp_path, *cells)

    assert (column.type, column.format) == expected


def test_a_unit_is_kept_only_where_every_value_carries_it(tmp_path: Path) -> None:
    assert column_of(tmp_path, "$5", "$7").unit == "$"
    assert column_of(tmp_path, "$5", "7").unit is None
    assert column_of(tmp_path, "5%", "7%").unit == "%"


def test_a_dot_is_a_thousand_where_another_column_has_a_decimal_comma(tmp_path: Path) -> None:
    columns, _, rows = typed(
        tmp_path, menge=["1.500", "2.501"], preis=["1,25", "0,07"], gewicht=["1,234", "5,678"]
    )

    assert [column.type for column in columns] == ["integer", "float", "float"]
    assert rows == [(1500, 1.25, 1.234), (2501, 0.07, 5.678)]


def test_a_dot_is_decimal_where_nothing_speaks_against_it(tmp_path: Path) -> None:
    assert typed(tmp_path, c=["1.234", "5.678"])[2] == [(1.234,), (5.678,)]
    assert typed(tmp_path, c=["1.000", "25", "2.500"])[2] == [(1000,), (25,), (2500,)]


def test_a_date_that_reads_both_ways_is_a_warning(tmp_path: Path) -> None:
    columns, warnings, _ = typed(tmp_path, c=["01/02/2024", "03/04/2024"])

    assert columns[0].format == "%d/%m/%Y"
    assert [warning.code for warning in warnings] == ["AMBIGUOUS_DATE"]


def test_one_clear_column_settles_the_order_of_all(tmp_path: Path) -> None:
    columns, warnings, _ = typed(
        tmp_path, a=["01/02/2024", "03/04/2024"], b=["12/31/2024", "01/01/2024"]
    )

    assert [column.format for column in columns] == ["%m/%d/%Y", "%m/%d/%Y"]
    assert not warnings


def test_short_wide_tables_are_counted_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [
        ["1", "2", "", "4"],
        ["1,5", "2,25", "3,0", "x"],
        ["2024-01-31", "2024-02-29", "", "n/a"],
        ["01/02/2024", "03/04/2024", "05/06/2024", "07/08/2024"],
        ["yes", "no", "no", "yes"],
        ["$5", "$7", "$1,000", "$3"],
        ["007", "008", "009", "010"],
        ["=1+1", "it's", 'a "b"', "t1"],
        ["ann@example.org", "bob@example.org", "eve@example.org", ""],
        ["low", "high", "medium", "low"],
        ["", "", "", ""],
        ["20240131", "20240229", "20240301", "20240302"],
    ]
    names = [
        "n",
        "t1",
        "c0",
        "day'",
        'say "x"',
        "price",
        "code",
        "f",
        "mail",
        "level",
        "no",
        "date",
    ]
    columns = dict(zip(names, kinds, strict=True))

    stacked = typed(tmp_path, **columns)
    monkeypatch.setattr("nika_pipelines.intake.column_counts.TALL_ROWS", 0)

    assert typed(tmp_path, **columns) == stacked
    assert len({column.type for column in stacked[0]}) == 4


@pytest.mark.parametrize("name", ["date", "data", "day", "c"])
def test_a_column_without_values_is_text_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    columns, _, rows = typed(tmp_path, **{name: [None, None], "n": ["1", "2"]})

    assert [column.type for column in columns] == ["text", "integer"]
    assert rows == [(None, 1), (None, 2)]


def test_cells_that_a_spreadsheet_would_run_are_a_warning(tmp_path: Path) -> None:
    _, warnings, rows = typed(
        tmp_path, a=["=cmd|' /C calc'!A0", "x", "@SUM(A1)"], b=["-5", "+3.5", "-1"]
    )

    assert [warning.code for warning in warnings] == ["FORMULA_LIKE"]
    assert "'a' (2)" in warnings[0].message
    assert "'b'" not in warnings[0].message
    assert rows[0][0] == "=cmd|' /C calc'!A0"


def test_a_late_change_of_format_is_seen_beyond_the_sample(tmp_path: Path) -> None:
    written = [str(number) for number in range(30_000)] + ["12.5"]

    columns, _, rows = typed(tmp_path, c=written)

    assert columns[0].type == "float"
    assert len(rows) == 30_001


def test_column_names_cannot_break_out_of_the_query(tmp_path: Path) -> None:
    names = ['a"b', "c'; DROP TABLE x; --", "{x}", "%s", "t0", "v1", "line", "h"]

    found, _, rows = typed(tmp_path, **{name: ["1", "2"] for name in names})

    assert [column.name for column in found] == names
    assert rows == [(1,) * 8, (2,) * 8]


@pytest.mark.parametrize(
    "name, cells, meaning",
    [
        ("customerID", ["7", "7", "9"], "id"),
        ("contact", ["a@b.org", "c.d@e.co.uk"], "email"),
        ("Phone", ["06 11 22 33 44", "0033698765432"], "phone"),
        ("x", ["+15553522926", "+33 6 11 22 33 44"], "phone"),
        ("surname", ["Smith", "Jones"], "name"),
        ("price", ["5.5", "7.1"], "money"),
        ("speed_kmh", ["5.5", "7.1"], "measure"),
        ("rating", ["5", "4", "5"], "ordinal"),
        ("risk", ["low", "high", "Medium"], "ordinal"),
        ("zone", ["north", "south"] * 5, "category"),
        ("comment", [f"all different words number {n}" for n in range(20)], "text"),
        ("when", ["2024-01-01"], "date"),
        ("paid", ["yes", "no"], "boolean"),
    ],
)
def test_meaning_is_read_from_name_and_values(
    tmp_path: Path, name: str, cells: list[str], meaning: str
) -> None:
    assert typed(tmp_path, **{name: cells})[0][0].semantic_type == meaning


@given(
    st.lists(
        st.tuples(
            st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
                    max_size=12),
            st.sampled_from(["1", "2.5", "x", "", "2024-01-01", "007", "1,5", "-", "yes"]),
        ),
        min_size=1,
        max_size=40,
    )
)  # fmt: skip
@few
def test_casting_never_loses_a_row(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    text = write_text_table(tmp_path / "text.parquet", ["a", "b"], rows)
    columns = [Column("a", "float", "measure"), Column("b", "date", "date")]
    with engine() as con:
        outcome = cast_table(con, text, columns, tmp_path / "t.parquet", tmp_path / "r.parquet")

    rejects = stored(tmp_path / "r.parquet")
    assert len(stored(tmp_path / "t.parquet")) == outcome.accepted
    assert len(rejects) == outcome.rejected == len({line for line, *_ in rejects})
    assert outcome.accepted + outcome.rejected == len(rows)
