"""Days and times as people write them are read; what only resembles a date stays what it is."""

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typed_columns import typed_columns, typed_values

from nika_pipelines.intake.reading_options import ColumnOption

few = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
DAYS = [dt.date(2024, 3, 5), dt.date(2024, 12, 31)]


@pytest.mark.parametrize(
    "cells",
    [
        ["2024-03-05", "2024-12-31"],
        ["2024/3/5", "2024/12/31"],
        ["5.3.2024", "31.12.2024"],
        ["05-03-2024", "31-12-2024"],
        ["03/05/24", "12/31/24"],
        ["5 March 2024", "31 December 2024"],
        ["5th March 2024", "31st Dec. 2024"],
        ["05-Mar-24", "31-Dec-24"],
        ["05MAR2024", "31DEC2024"],
        ["March 5, 2024", "Dec 31 2024"],
        ["Tuesday, March 5, 2024", "Tue, Dec 31, 2024"],
        ["5. März 2024", "31. Dezember 2024"],
        ["5 mars 2024", "31 décembre 2024"],
        ["5 de marzo de 2024", "31 de diciembre de 2024"],
        ["5 maart 2024", "31 dec 2024"],
        ["2024-Mar-05", "2024-Dec-31"],
    ],
)
def test_a_day_is_read_however_it_is_written(tmp_path: Path, cells: list[str]) -> None:
    column, found = typed_values(tmp_path, "c", cells)

    assert column.type == "date"
    assert found == DAYS


@pytest.mark.parametrize(
    "cells, hour",
    [
        (["2024-03-05T10:20:30Z", "2024-03-05T10:20:30Z"], 10),
        (["2024-03-05 10:20:30+02:00", "2024-03-05T12:20:30 +0400"], 8),
        (["2024-03-05T23:20:30-05:30", "2024-03-06 04:50:30 UTC"], 4),
        (["05/Mar/2024:10:20:30 +0100", "05/Mar/2024:09:20:30 +0000"], 9),
        (["Tue, 05 Mar 2024 10:20:30 GMT", "Tue, 05 Mar 2024 12:20:30 +0200"], 10),
        (["31/12/2023 10:20:30 +0100", "31/12/2023 09:20:30 GMT"], 9),
        (["2024-03-05 10:20:30,500", "2024-03-05 10:20:30.500"], 10),
        (["5 March 2024 10:20 PM", "5 March 2024 10:20:00 pm"], 22),
        (["03/05/2024 12:20 a.m.", "03/13/2024 12:20 a.m."], 0),
    ],
)
def test_a_time_is_read_with_its_zone(tmp_path: Path, cells: list[str], hour: int) -> None:
    column, found = typed_values(tmp_path, "c", cells)

    assert column.type == "timestamp"
    assert [stamp.hour for stamp in found] == [hour, hour]


@pytest.mark.parametrize("name", ["date", "OrderDate", "valid_from", "Rechnungsdatum"])
def test_eight_digits_are_a_day_where_the_header_says_so(tmp_path: Path, name: str) -> None:
    column, found = typed_values(tmp_path, name, ["20240305", "20241231"])

    assert (column.type, column.format) == ("date", "%Y%m%d")
    assert found == DAYS


@pytest.mark.parametrize(
    "name, cells, kind",
    [
        ("invoice", ["20240305", "20241231"], "integer"),
        ("date", ["20240305", "20241399"], "integer"),  # no thirteenth month
        ("date", ["45356", "45657"], "integer"),  # days as a spreadsheet counts them
        ("update_count", ["20240305", "20241231"], "integer"),
        ("c", ["2024", "2025"], "integer"),
        ("c", ["2024-03", "2024-12"], "text"),
        ("c", ["10:20", "11:30"], "text"),
        ("c", ["Mayor 5, 2024", "Marble 3, 2024"], "text"),
        ("c", ["12 Sets 2024", "3 Maybe 2024"], "text"),
        ("c", ["2024-02-30", "2024-02-31"], "text"),
        ("c", ["31.04.2024", "31.06.2024"], "text"),
        ("c", ["5 March", "6 March"], "text"),
        ("c", ["1-2-3", "4-5-6"], "text"),
        ("c", ["2024-03-05 25:00", "2024-03-05 26:00"], "text"),
        ("c", ["2024-03-05 10:20:30 CET", "2024-03-05 10:20:30 EST"], "text"),  # which CET?
        ("c", ["2024-03-05T10:20:30+99:00", "2024-03-05T10:20:30+88:00"], "text"),
    ],
)
def test_what_only_resembles_a_day_is_none(
    tmp_path: Path, name: str, cells: list[str], kind: str
) -> None:
    assert typed_values(tmp_path, name, cells)[0].type == kind


def test_an_ambiguous_date_is_settled_by_what_the_warning_says(tmp_path: Path) -> None:
    import yaml

    from nika_pipelines.intake.column_options import options_by_position
    from nika_pipelines.intake.reading_options import parse_options

    cells = {"day: first": ["01/02/2024", "03/04/2024"]}
    columns, (warning,), rows = typed_columns(tmp_path, cells)
    assert warning.code == "AMBIGUOUS_DATE"
    assert rows[0] == (dt.date(2024, 2, 1),)

    advice = warning.message.split("`")[3]
    said = options_by_position(parse_options(yaml.safe_load(advice)).columns, list(cells), [""])
    columns, warnings, rows = typed_columns(tmp_path, cells, said)

    assert (columns[0].format, warnings) == ("%m/%d/%Y", [])
    assert rows[0] == (dt.date(2024, 1, 2),)


@pytest.mark.parametrize(
    "wanted, cell, value",
    [
        ("%Y%m%d", "20240305", dt.date(2024, 3, 5)),
        ("%d/%m/%Y %H:%M", "05/03/2024 10:20", dt.datetime(2024, 3, 5, 10, 20)),
        ("%Y-%m-%d %H:%M %z", "2024-03-05 10:20 +0200", dt.datetime(2024, 3, 5, 8, 20)),
        ("%Y%j", "2024065", dt.date(2024, 3, 5)),
        ("%y.%m.%d", "24.03.05", dt.date(2024, 3, 5)),
    ],
)
def test_any_strptime_format_can_be_demanded(
    tmp_path: Path, wanted: str, cell: str, value: dt.date
) -> None:
    kind = "timestamp" if isinstance(value, dt.datetime) else "date"

    column, found = typed_values(tmp_path, "c", [cell, None], ColumnOption(kind, None, wanted))

    assert (column.type, column.format) == (kind, wanted)
    assert found == [value, None]


@given(
    days=st.lists(st.dates(dt.date(1970, 1, 1), dt.date(2068, 12, 31)), min_size=1, max_size=12),
    pattern=st.sampled_from(["%d %B %Y", "%b %d, %Y", "%d%b%Y", "%A, %d %B %Y", "%Y-%b-%d"]),
)
@few
def test_named_months_read_back_equal(tmp_path: Path, days: list[dt.date], pattern: str) -> None:
    column, found = typed_values(tmp_path, "c", [day.strftime(pattern) for day in days])

    assert column.type == "date"
    assert found == days


def test_no_month_name_means_two_months() -> None:
    from nika_pipelines.intake.date_readings import _MONTHS

    names = " ".join(_MONTHS).split()

    assert len(_MONTHS) == 12
    assert all(sum(name in month.split() for month in _MONTHS) == 1 for name in names)
