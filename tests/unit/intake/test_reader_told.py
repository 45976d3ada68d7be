"""What a person says about a file overrules inference and silences its doubts."""

from pathlib import Path

import duckdb
import pytest
import yaml

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.reading_options import ReadingOptions, parse_options
from nika_pipelines.intake.records import LINE_COLUMN, TextTable
from nika_pipelines.settings import Settings


def read(tmp_path: Path, content: bytes, **told: object) -> TextTable:
    source, out = tmp_path / "sales.csv", tmp_path / "out"
    source.write_bytes(content)
    out.mkdir(exist_ok=True)
    options = ReadingOptions(**told)  # type: ignore[arg-type]
    table = read_text_table(source, source.name, out, Settings(), options=options)
    assert table.balance.closes
    return table


def rows_of(table: TextTable) -> list[tuple[str | None, ...]]:
    return duckdb.execute(
        f"SELECT * EXCLUDE ({LINE_COLUMN}) FROM '{table.parquet}' ORDER BY {LINE_COLUMN}"
    ).fetchall()


def refusal_of(tmp_path: Path, content: bytes, **told: object) -> UploadRejected:
    with pytest.raises(UploadRejected) as refusal:
        read(tmp_path, content, **told)
    return refusal.value


def codes_of(table: TextTable) -> list[str]:
    return [warning.code for warning in table.warnings]


@pytest.mark.parametrize("delimiter", ["|", "||", "::", ";;", "~|~", ", ", "<->", "abcdefgh", "§"])
def test_a_told_delimiter_of_up_to_eight_characters_cuts(
    delimiter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nika_pipelines.intake.one_byte._CHUNK_BYTES", 5)
    cells = [["id", "note", "n"], ["1", f'"x{delimiter}y"', "2"], ["3", "", "4"]]
    content = "".join(delimiter.join(row) + "\n" for row in cells)

    table = read(tmp_path, content.encode(), delimiter=delimiter)

    assert table.names == ["id", "note", "n"]
    assert rows_of(table) == [("1", f"x{delimiter}y", "2"), ("3", None, "4")]
    assert table.dialect.delimiter == delimiter


def test_a_wide_table_gets_its_long_delimiter_back(tmp_path: Path) -> None:
    width = 320
    rows = "||".join(["x"] * (width - 1)) + '||"a||b"\n'

    table = read(tmp_path, ("||".join(f"c{n}" for n in range(width)) + "\n" + rows * 3).encode())

    assert table.dialect.delimiter == "||"
    assert [row[-1] for row in rows_of(table)] == ["a||b"] * 3


def test_the_only_delimiter_may_be_told_to_be_the_quote(tmp_path: Path) -> None:
    table = read(tmp_path, b"word\n,a,\nb\n,c,\n", quotechar=",")

    assert rows_of(table) == [("a",), ("b",), ("c",)]


def test_the_delimiter_of_a_sep_line_is_not_told_to_be_the_quote(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, b"sep=;\na;b\n1;2\n", quotechar=";")

    assert (refusal.code, refusal.details["delimiter"]) == ("CONTRACT_BROKEN", ";")


def test_a_told_footer_is_as_wide_as_the_header(tmp_path: Path) -> None:
    table = read(tmp_path, b"a,b,c\n1,2\n3,4\n5,6\nend,7\n", footer_rows=1)

    assert table.names == ["a", "b", "c"]
    assert table.footer == [["end", "7", None]]


def test_with_no_quote_told_quotes_are_text(tmp_path: Path) -> None:
    table = read(tmp_path, b'a,b\n"1,2\n3",4\n', delimiter=",", quotechar="")

    assert rows_of(table) == [('"1', "2"), ('3"', "4")]


def test_with_no_quote_told_a_wide_table_keeps_its_quotes(tmp_path: Path) -> None:
    header, row = ",".join(f"c{n}" for n in range(400)), ",".join(['"x'] * 400)

    table = read(tmp_path, f"{header}\n{row}\n{row}\n".encode(), quotechar="")

    assert rows_of(table) == [('"x',) * 400] * 2


def test_a_told_quote_and_escape_are_honoured(tmp_path: Path) -> None:
    content = b"a;b\n$x;y$;1\n$it^$s$;2\n"

    table = read(tmp_path, content, delimiter=";", quotechar="$", escapechar="^")

    assert rows_of(table) == [("x;y", "1"), ("it$s", "2")]


@pytest.mark.parametrize(
    "told",
    [
        {"delimiter": ";", "quotechar": ";"},
        {"delimiter": "||", "escapechar": "|"},
        {"quotechar": "\n"},
    ],
)
def test_marks_that_contradict_each_other_are_refused(told: dict[str, str], tmp_path: Path) -> None:
    assert refusal_of(tmp_path, b"a;b\n1;2\n", **told).code == "CONTRACT_BROKEN"


def test_a_told_preamble_begins_the_table_there(tmp_path: Path) -> None:
    content = b"x,y,z\n1,2,3\n\nid,name,n\n4,5,6\n7,8,9\n"

    table = read(tmp_path, content, preamble_rows=3)

    assert (table.names, table.preamble_rows, table.header_rows) == (["id", "name", "n"], 3, 1)
    assert rows_of(table) == [("4", "5", "6"), ("7", "8", "9")]


def test_a_preamble_told_beside_a_sep_line_counts_it(tmp_path: Path) -> None:
    content = b"sep=;\nmade by hand;x\nid;n\n1;2\n"

    table = read(tmp_path, content, preamble_rows=2)

    assert (table.names, table.preamble_rows) == (["id", "n"], 2)


@pytest.mark.parametrize(
    "told, names, count",
    [
        (0, ["column_1", "column_2"], 4),
        (1, ["city", "kind"], 3),
        (2, ["city Rome", "kind port"], 2),
    ],
)
def test_told_header_rows_name_the_columns_without_a_doubt(
    told: int, names: list[str], count: int, tmp_path: Path
) -> None:
    content = b"city,kind\nRome,port\nOslo,town\nBonn,town\n"

    table = read(tmp_path, content, header_rows=told)

    assert (table.names, table.header_rows, len(rows_of(table))) == (names, told, count)
    assert "HEADER_UNSURE" not in codes_of(table)


def test_blank_lines_between_told_header_rows_do_not_count(tmp_path: Path) -> None:
    table = read(tmp_path, b"city,n\n,\n\nname,count\nRome,1\nOslo,2\n", header_rows=2)

    assert (table.names, table.header_rows) == (["city name", "n count"], 2)
    assert rows_of(table) == [("Rome", "1"), ("Oslo", "2")]


def test_told_footer_rows_leave_the_data(tmp_path: Path) -> None:
    content = b"id,n\n" + b"1,2\n" * 20 + b"see page 4,ok\n\nend,of,file\n"

    table = read(tmp_path, content, footer_rows=2)

    assert table.footer == [["see page 4", "ok"], ["end", "of,file"]]
    assert (table.footer_rows, table.balance.footer, len(rows_of(table))) == (2, 2, 20)


def test_with_no_footer_told_a_total_is_data(tmp_path: Path) -> None:
    table = read(tmp_path, b"id,n\n1,2\n3,4\nTotal,6\n", footer_rows=0)

    assert rows_of(table)[-1] == ("Total", "6")
    assert "FOOTER_KEPT" not in codes_of(table)


@pytest.mark.parametrize(
    "told", [{"preamble_rows": 3}, {"header_rows": 3}, {"footer_rows": 2}, {"footer_rows": 9}]
)
def test_told_rows_that_leave_no_data_are_refused(told: dict[str, int], tmp_path: Path) -> None:
    assert refusal_of(tmp_path, b"id,n\n1,2\n3,4\n", **told).code == "NO_DATA_ROWS"


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-16-le", "utf-8-sig"])
def test_a_told_encoding_decodes(encoding: str, tmp_path: Path) -> None:
    table = read(tmp_path, "id,ville\n1,Besançon\n2,Nîmes\n".encode(encoding), encoding=encoding)

    assert rows_of(table) == [("1", "Besançon"), ("2", "Nîmes")]


def test_a_byte_order_mark_is_no_text_whatever_is_told(tmp_path: Path) -> None:
    table = read(tmp_path, "\ufeffid,n\n1,2\n".encode("utf-16-le"), encoding="utf-16-le")

    assert table.names == ["id", "n"]


def test_a_wrong_encoding_is_refused_with_the_line_and_what_was_told(tmp_path: Path) -> None:
    content = b"id,ville\n" + b"1,Paris\n" * 5 + b"2,N\xeemes\n"

    refusal = refusal_of(tmp_path, content, encoding="utf-8")

    assert (refusal.code, refusal.details["line"]) == ("CONTRACT_BROKEN", 7)
    assert refusal.details["offset"] == content.index(b"\xee")
    assert "utf-8" in refusal.message


def test_a_doubtful_delimiter_names_the_sidecar_line_that_settles_it(tmp_path: Path) -> None:
    content = b"".join(b"x%d\ty%d|%d\n" % (n, n, n) for n in range(20))
    doubted = read(tmp_path, content)
    [doubt] = [one.message for one in doubted.warnings if one.code == "DIALECT_UNSURE"]
    assert "into sales.nika.yaml" in doubt

    told = parse_options(yaml.safe_load(doubt.split("`")[1]))
    settled = read(tmp_path, content, delimiter=told.delimiter)

    assert settled.dialect.delimiter != doubted.dialect.delimiter
    assert "DIALECT_UNSURE" not in codes_of(settled)


def test_a_doubtful_header_names_the_sidecar_line_that_settles_it(tmp_path: Path) -> None:
    table = read(tmp_path, b"city,kind\nRome,port\nOslo,town\nBonn,town\n")

    [doubt] = [one.message for one in table.warnings if one.code == "HEADER_UNSURE"]
    assert "`header_rows: 0` into sales.nika.yaml" in doubt


def test_a_told_quote_is_no_stand_in_for_a_long_delimiter(tmp_path: Path) -> None:
    content = b"a::b\n\x1fx::y\x1f::1\nz::2\n"

    table = read(tmp_path, content, delimiter="::", quotechar="\x1f")

    assert rows_of(table) == [("x::y", "1"), ("z", "2")]
