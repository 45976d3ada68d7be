"""Parquet: the types that the file states are kept, its limits and its damage are told."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.reading_options import ColumnOption, ReadingOptions
from nika_pipelines.intake.records import IntakeReport, TextTable
from nika_pipelines.intake.take_in import inspect, take_in
from nika_pipelines.settings import Settings


def stored(folder: Path, columns: dict[str, Any], name: str = "a.parquet", **how: Any) -> Path:
    path = folder / name
    parquet.write_table(pa.table(columns), path, **how)
    return path


def read(source: Path, folder: Path, name: str = "", **limits: object) -> TextTable:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    settings = Settings(**limits)  # type: ignore[arg-type]
    table = read_text_table(source, name or source.name, out, settings)
    assert table.balance.closes
    return table


def refusal_of(source: Path, folder: Path, name: str = "", **limits: object) -> UploadRejected:
    with pytest.raises(UploadRejected) as refusal:
        read(source, folder, name, **limits)
    assert list((folder / "out").iterdir()) == []
    return refusal.value


def taken_in(
    source: Path, folder: Path, said: ReadingOptions | None = None
) -> tuple[IntakeReport, list[tuple[Any, ...]]]:
    lake = folder / "lake"
    lake.mkdir()
    report = take_in(
        source, source.name, lake, Settings(), None, "a", options=said or ReadingOptions()
    )
    return report, duckdb.execute(f"FROM '{report.table_parquet}'").fetchall()


def test_stated_types_are_kept_and_values_survive_exactly(tmp_path: Path) -> None:
    doubles = [0.1 + 0.2, 1e-310, -1.7976931348623157e280, 123456789.123456789, None]
    columns = {
        "code": ["007", "2024-01-05", "true", "1,5", None],
        "n": pa.array([1, -(2**63), 2**63 - 1, None, 0], pa.int64()),
        "small": pa.array([1, 2, 3, 4, 255], pa.uint8()),
        "x": doubles,
        "half": pa.array([0.1, 2.5, None, -1, 3], pa.float32()),
        "on": [True, False, None, True, True],
        "day": pa.array([date(2024, 1, 31), date(1, 1, 1), date(9999, 12, 31), None, date(1969, 7, 20)]),
        "at": pa.array([datetime(2024, 1, 2, 3, 4, 5, 678901)] * 5, pa.timestamp("us")),
        "zoned": pa.array([datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)] * 5, pa.timestamp("ns", "Asia/Tokyo")),
        "money": pa.array([Decimal("12345.67")] * 5, pa.decimal128(10, 2)),
        "whole": pa.array([Decimal(5)] * 5, pa.decimal128(12, 0)),
    }  # fmt: skip
    report, rows = taken_in(stored(tmp_path, columns), tmp_path)

    assert {column.name: column.type for column in report.columns} == {
        "code": "text", "n": "integer", "small": "integer", "x": "float", "half": "float",
        "on": "boolean", "day": "date", "at": "timestamp", "zoned": "timestamp",
        "money": "float", "whole": "integer",
    }  # fmt: skip
    by_name = dict(zip(columns, zip(*rows, strict=True), strict=True))
    assert by_name["x"] == tuple(doubles)
    assert by_name["n"] == (1, -(2**63), 2**63 - 1, None, 0)
    assert by_name["half"][0] == pa.scalar(0.1, pa.float32()).as_py()
    assert by_name["code"] == ("007", "2024-01-05", "true", "1,5", None)
    assert by_name["day"][:3] == (date(2024, 1, 31), date(1, 1, 1), date(9999, 12, 31))
    assert by_name["at"][0] == datetime(2024, 1, 2, 3, 4, 5, 678901)
    assert by_name["zoned"][0] == datetime(2024, 1, 2, 3, 4, 5)
    assert by_name["money"][0] == 12345.67
    assert report.balance.accepted == 5
    assert not report.rejects_by_code


def decimals(values: list[str | None], width: int, scale: int) -> pa.Array:
    cells = [None if value is None else Decimal(value) for value in values]
    return pa.array(cells, pa.decimal128(width, scale))


@pytest.mark.parametrize(
    "values, width, scale, kind, read_back",
    [
        (["123456789012345678", "-5"], 30, 0, "integer", [123456789012345678, -5]),
        (["999999999999999999"], 38, 0, "integer", [10**18 - 1]),
        (["123456789012345678.00"], 38, 2, "integer", [123456789012345678]),
        (["5.00", "7.00"], 38, 2, "float", [5.0, 7.0]),
        (["0.1", "1234567890123.45", None], 38, 20, "float", [0.1, 1234567890123.45, None]),
        (["1" + "0" * 30], 38, 0, "float", [1e30]),
        (["0." + "0" * 33 + "15"], 38, 37, "float", [1.5e-34]),
        ([None], 38, 3, "float", [None]),
        (["1234567890123456789"], 38, 0, "text", ["1234567890123456789"]),
        (
            ["12345678901234567.01", "-12345678901234567.02", "1.5"], 38, 2, "text",
            ["12345678901234567.01", "-12345678901234567.02", "1.50"],
        ),
    ],
)  # fmt: skip
def test_decimals_keep_every_digit(
    tmp_path: Path, values: list[str | None], width: int, scale: int, kind: str, read_back: Any
) -> None:
    columns = {"v": decimals(values, width, scale), "n": list(range(len(values)))}
    report, rows = taken_in(stored(tmp_path, columns), tmp_path)

    assert report.columns[0].type == kind
    assert [row[0] for row in rows] == read_back
    assert not report.rejects_by_code
    told = [one.message for one in report.warnings if one.code == "FORMAT_MISMATCH"]
    assert ["'v'" in message for message in told] == [True] * (kind == "text")


def test_unsigned_integers_that_fit_are_integers(tmp_path: Path) -> None:
    columns = {
        "u": pa.array([2**63 - 1, None], pa.uint64()),
        "n": pa.array([None] * 2, pa.uint64()),
    }
    table = read(stored(tmp_path, columns), tmp_path)
    assert table.own_types == {"u": "integer", "n": "integer"}


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_nanoseconds_that_are_cut_off_are_told(tmp_path: Path, zone: str | None) -> None:
    kind = pa.timestamp("ns", zone)
    columns = {
        "fine": pa.array([1_700_000_000_123_456_789, None, 1_700_000_000_123_456_000], kind),
        "coarse": pa.array([1_700_000_000_123_456_000] * 3, kind),
    }
    report, rows = taken_in(stored(tmp_path, columns), tmp_path)

    assert rows[0][0] == datetime(2023, 11, 14, 22, 13, 20, 123456)
    (message,) = [one.message for one in report.warnings if one.code == "FORMAT_MISMATCH"]
    assert message == "Time stamps were cut to microseconds: 1 in 'fine'."


def test_what_tables_have_no_type_for_becomes_text(tmp_path: Path) -> None:
    columns = {
        "list": [[1, 2], None],
        "record": [{"a": 1, "b": "x"}, {"a": None, "b": "y"}],
        "bytes": [b"text", b"\xff\x00"],
        "time": [time(1, 2, 3), None],
        "big": pa.array([2**64 - 1, 1], pa.uint64()),
        "kind": pa.array(["u", "v"]).dictionary_encode(),
    }
    table = read(stored(tmp_path, columns), tmp_path)

    rows = duckdb.execute(f"FROM '{table.parquet}'").fetchall()
    assert rows[0] == ("[1,2]", '{"a":1,"b":"x"}', "text", "01:02:03", str(2**64 - 1), "u", 1)
    assert rows[1][2] == "ff00"
    assert set(table.own_types.values()) == {"text"}
    assert table.encoding is table.dialect.delimiter is None
    assert (table.header_rows, table.preamble_rows, table.balance.physical_lines) == (0, 0, 2)


def test_a_person_may_say_another_type(tmp_path: Path) -> None:
    columns = {"day": [f"2024-01-{n:02}" for n in range(1, 29)], "n": list(range(28))}
    said = ReadingOptions(columns={"day": ColumnOption(type="date")})
    report, rows = taken_in(stored(tmp_path, columns), tmp_path, said)
    assert [column.type for column in report.columns] == ["date", "integer"]
    assert rows[0] == (date(2024, 1, 1), 0)


def test_numbers_that_are_not_finite_are_empty_and_told(tmp_path: Path) -> None:
    columns = {"x": [1.0, float("nan"), float("inf"), -float("inf"), 2.0]}
    report, rows = taken_in(stored(tmp_path, columns), tmp_path)
    assert rows == [(1.0,), (None,), (None,), (None,), (2.0,)]
    (warning,) = [one for one in report.warnings if one.code == "FORMAT_MISMATCH"]
    assert warning.message.endswith("3.")


def test_the_order_of_many_row_groups_is_kept(tmp_path: Path) -> None:
    source = stored(tmp_path, {"n": list(range(50_000))}, "a.pq", row_group_size=700)
    report, rows = taken_in(source, tmp_path)
    assert [n for (n,) in rows] == list(range(50_000))
    assert report.n_rows == 50_000


def test_awkward_names_of_columns_are_told_apart(tmp_path: Path) -> None:
    names = ["a", "A", "", 'x"y', "file_row_number", "line", "c0"]
    table = pa.Table.from_arrays([pa.array([n]) for n in range(len(names))], names=names)
    parquet.write_table(table, tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", tmp_path)
    assert duckdb.execute(f"FROM '{found.parquet}'").fetchall() == [
        ("0", "1", "2", "3", "4", "5", "6", 1)
    ]
    assert len({name.casefold() for name in found.names}) == len(names)


def test_a_folder_that_looks_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "year=2024" / "[x]*"
    folder.mkdir(parents=True)
    assert read(stored(folder, {"n": [1]}), tmp_path).names == ["n"]


def test_rows_with_a_value_that_is_too_long_are_rejected(tmp_path: Path) -> None:
    texts = ["x", "y" * 300, "z", "z", "z", "z" * 201, "z"]
    source = stored(tmp_path, {"a": texts, "b": ["q" * 400 if n == 1 else "" for n in range(7)]})
    table = read(source, tmp_path, max_field_bytes=200)
    rejects = duckdb.execute(f"SELECT line, \"column\", code FROM '{table.rejects_parquet}'")
    assert rejects.fetchall() == [(2, "a", "FIELD_TOO_LONG"), (6, "a", "FIELD_TOO_LONG")]
    assert table.balance.accepted == 5


def test_a_wide_table_keeps_its_columns_and_rows(tmp_path: Path) -> None:
    columns = {f"t{c}": [f"{r} {c}" for r in range(1_500)] for c in range(250)}
    columns["t100"][700] = "x" * 300
    table = read(stored(tmp_path, columns), tmp_path, max_field_bytes=200)
    rows = duckdb.execute(f"FROM '{table.parquet}'").fetchall()
    assert [row[-1] for row in rows] == [n for n in range(1, 1_501) if n != 701]
    assert rows[-1][:-1] == tuple(f"1499 {c}" for c in range(250))
    assert table.own_types["t249"] == "text"


def test_limits_hold(tmp_path: Path) -> None:
    source = stored(tmp_path, {"a": [1, 2, 3], "b": [1, 2, 3]})
    assert refusal_of(source, tmp_path, max_rows=2).code == "TOO_MANY_ROWS"
    assert refusal_of(source, tmp_path, max_columns=1).code == "TOO_MANY_COLUMNS"
    assert (
        refusal_of(stored(tmp_path, {"a": pa.array([], "int64")}), tmp_path).code == "NO_DATA_ROWS"
    )


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_cut_off_file_is_damaged(share: float, tmp_path: Path) -> None:
    source = stored(tmp_path, {"a": list(range(5_000))})
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * share)])
    refusal = refusal_of(source, tmp_path)
    assert refusal.code == "UNSUPPORTED_FORMAT"
    assert refusal.details["detected"] == "damaged parquet"


def test_flipped_bytes_never_break_more_than_the_file(tmp_path: Path) -> None:
    columns = {"a": [f"text {n % 50}" for n in range(2_000)], "b": [n / 7 for n in range(2_000)]}
    content = stored(tmp_path, columns).read_bytes()
    source = tmp_path / "b.parquet"
    codes = set()
    for place in range(4, len(content) - 8, max(1, len(content) // 60)):
        changed = bytearray(content)
        changed[place] ^= 0x5A
        source.write_bytes(bytes(changed))
        try:
            read(source, tmp_path)
        except UploadRejected as refusal:
            codes.add(refusal.code)
    assert "UNSUPPORTED_FORMAT" in codes
    assert codes <= {"UNSUPPORTED_FORMAT", "TOO_LARGE", "TOO_MANY_ROWS", "NO_DATA_ROWS"}
    source.write_bytes(content)
    assert read(source, tmp_path).balance.accepted == 2_000


@pytest.mark.parametrize(
    "content, name", [(b"a,b\n1,2\n", "a.parquet"), (b"PAR1 is a word\n", "a.pq"), (None, "a.csv")]
)
def test_other_content_than_the_name_says_is_a_mismatch(
    content: bytes | None, name: str, tmp_path: Path
) -> None:
    source = stored(tmp_path, {"a": [1, 2]})
    if content is not None:
        source.write_bytes(content)
    assert refusal_of(source, tmp_path, name).code == "MAGIC_MISMATCH"


def test_inspect_shows_parquet_as_csv(tmp_path: Path) -> None:
    source = stored(tmp_path, {"code": ["01", None], "x": [0.5, 1e200]})
    assert inspect(source, "a.parquet", tmp_path, Settings())
    assert (tmp_path / "table.csv").read_text() == "code,x\n01,0.5\n,1e+200\n"
