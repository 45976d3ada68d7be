"""Files at and over the limits: a code, never a guess, and rows that survive their neighbours."""

import gzip
from pathlib import Path

import duckdb
import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.records import LINE_COLUMN, RAW_BYTES, TextTable
from nika_pipelines.settings import Settings


def read(tmp_path: Path, content: bytes, name: str = "upload.csv", **limits: object) -> TextTable:
    source = tmp_path / "source"
    source.write_bytes(content)
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    return read_text_table(source, name, out, Settings(**limits))  # type: ignore[arg-type]


def code_of(tmp_path: Path, content: bytes, name: str = "upload.csv", **limits: object) -> str:
    with pytest.raises(UploadRejected) as refusal:
        read(tmp_path, content, name, **limits)
    return refusal.value.code


def rejects_of(table: TextTable) -> list[tuple[int, str, str]]:
    return duckdb.execute(f"SELECT line, code, raw FROM '{table.rejects_parquet}'").fetchall()


def lines_of(table: TextTable) -> list[int]:
    query = f"SELECT {LINE_COLUMN} FROM '{table.parquet}'"
    return [line for (line,) in duckdb.execute(query).fetchall()]


def rows(count: int, first: int = 1) -> bytes:
    return b"".join(b"%d,name %d,%d\n" % (n, n, n * 7) for n in range(first, first + count))


def test_a_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path, b"a,b\n1,2\n", max_file_bytes=5) == "TOO_LARGE"


def test_a_table_over_the_row_limit_is_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path, b"id,name,v\n" + rows(20), max_rows=19) == "TOO_MANY_ROWS"


def test_a_table_over_the_column_limit_is_refused(tmp_path: Path) -> None:
    line = b",".join(b"c%d" % n for n in range(50)) + b"\n"
    assert code_of(tmp_path, line + line.replace(b"c", b""), max_columns=49) == "TOO_MANY_COLUMNS"


def test_a_field_of_three_megabytes_costs_its_row_only(tmp_path: Path) -> None:
    huge = b"999," + b"x" * 3_000_000 + b",1\n"

    table = read(tmp_path, b"id,name,v\n" + rows(10) + huge + rows(10, 11))

    assert table.balance.accepted == 20
    [(line, code, raw)] = rejects_of(table)
    assert (line, code) == (12, "FIELD_TOO_LONG")
    assert len(raw.encode()) <= RAW_BYTES
    assert lines_of(table) == [*range(2, 12), *range(13, 23)]


def test_a_file_that_is_mostly_one_huge_field_is_refused(tmp_path: Path) -> None:
    content = b"id,blob\n1," + b"x" * 3_000_000 + b"\n2,y\n"
    assert code_of(tmp_path, content) == "FIELD_TOO_LONG"


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path, b"id,blob\n1," + b"x" * 9_000_000) == "LINE_TOO_LONG"


def test_a_quote_that_swallows_the_rest_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UploadRejected) as refusal:
        read(tmp_path, b"id,name,v\n" + rows(50) + b'51,"open,3\n' + rows(500, 52))

    assert refusal.value.code == "UNCLOSED_QUOTE"
    assert refusal.value.details["line"] == 52


def test_a_quote_left_open_by_a_cut_off_last_line_costs_that_line_only(tmp_path: Path) -> None:
    table = read(tmp_path, b"id,name,v\n" + rows(300) + b'301,"cut of')

    assert table.balance.accepted == 300
    assert rejects_of(table) == [(302, "UNCLOSED_QUOTE", '301,"cut of')]


def test_a_quote_closed_in_a_later_line_does_not_merge_two_rows(tmp_path: Path) -> None:
    table = read(tmp_path, b"id,name,v\n" + rows(30) + b'31,"open,3\n32,"ok",4\n' + rows(30, 33))

    assert table.balance.accepted == 60
    assert [(line, code) for line, code, _ in rejects_of(table)] == [(32, "UNCLOSED_QUOTE")]
    assert table.balance.rejected_lines == 2


def test_short_and_long_rows_are_rejected_with_line_and_raw_text(tmp_path: Path) -> None:
    table = read(tmp_path, b"id,name,v\n" + rows(20) + b"21,x\n22,a,b,c\n" + rows(20, 23))

    assert rejects_of(table) == [(22, "SHORT_ROW", "21,x"), (23, "LONG_ROW", "22,a,b,c")]
    assert table.balance.accepted == 40
    assert lines_of(table)[19:21] == [21, 24]


def test_a_ragged_file_is_refused(tmp_path: Path) -> None:
    mixed = b"".join(b"1,2,3\n4,5\n6,7,8,9\n" for _ in range(20))
    assert code_of(tmp_path, b"a,b,c\n1,2,3\n" + mixed) == "RAGGED"


def test_empty_cells_beyond_the_last_column_are_cut(tmp_path: Path) -> None:
    table = read(tmp_path, b"id,name,v\n" + rows(5) + b'6,x,1,,"",\n' + rows(5, 7))

    assert table.balance.accepted == 11
    assert rejects_of(table) == []


def test_a_last_column_that_is_empty_in_the_sample_only_is_kept(tmp_path: Path) -> None:
    begin = b"".join(b"%d,name %d,\n" % (n, n) for n in range(10_000))

    table = read(tmp_path, b"id,name,\n" + begin + b"10000,late,here\n")

    assert table.names == ["id", "name", "column_3"]
    assert table.balance.accepted == 10_001


def test_a_table_of_two_thousand_columns_is_read_in_little_memory(tmp_path: Path) -> None:
    header = b",".join(b"c%d" % n for n in range(2_000)) + b"\n"
    line = b",".join(b"%d" % n for n in range(2_000)) + b"\n"

    table = read(tmp_path, header + line * 200, duckdb_memory_mb=64)

    assert (len(table.names), table.balance.accepted) == (2_000, 200)
    assert lines_of(table) == list(range(2, 202))


def test_multi_line_cells_keep_the_physical_line_of_their_record(tmp_path: Path) -> None:
    content = b'id,note\r\n1,"a\r\nb"\r\n2,c\r\n3,"d\r\ne\r\nf"\r\n4,g\r\n'

    table = read(tmp_path, content)

    assert lines_of(table) == [2, 4, 5, 8]
    assert table.balance.physical_lines == 8
    assert table.balance.closes


def test_a_carriage_return_inside_quotes_is_kept(tmp_path: Path) -> None:
    table = read(tmp_path, b'id,note\n1,"a\rb"\n2,c\n')

    assert duckdb.execute(f"SELECT note FROM '{table.parquet}'").fetchall() == [("a\rb",), ("c",)]


def test_backslash_escapes_and_loose_inner_quotes_become_plain_quotes(tmp_path: Path) -> None:
    loose = read(tmp_path, b'id,text\n1,"He said "hi" to me"\n2,plain\n3,"a ""b"""\n')

    found = duckdb.execute(f"SELECT text FROM '{loose.parquet}'").fetchall()
    assert found == [('He said "hi" to me',), ("plain",), ('a "b"',)]


@pytest.mark.parametrize(
    "content, detected",
    [
        (gzip.compress(b"a,b\n1,2\n"), "gzip"),
        (b"PAR1" + b"\x00\x15" * 40, "parquet"),
        (b"\x28\xb5\x2f\xfd" + b"\x00" * 40, "zstd"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 80, "ole2"),
        (b"GIF89a" + b"\x00" * 40, "gif"),
        (b"<!DOCTYPE html><html></html>", "html"),
        (b'[{"a": 1}, {"a": 2}]', "json"),
        (b'{"a": 1}\n{"a": 2}\n', "json"),
    ],
)
def test_another_format_under_the_name_of_a_csv_is_named(
    content: bytes, detected: str, tmp_path: Path
) -> None:
    with pytest.raises(UploadRejected) as refusal:
        read(tmp_path, content)

    assert refusal.value.code == "MAGIC_MISMATCH"
    assert refusal.value.details["detected"] == detected


def test_words_that_begin_like_a_magic_number_are_text(tmp_path: Path) -> None:
    table = read(tmp_path, b"MZone,RIFF,v\n1,2,3\n4,5,6\n")

    assert table.names == ["MZone", "RIFF", "v"]


@pytest.mark.parametrize("name", ["a.exe", "a", "a.bin", "../../x.pdf"])
def test_other_extensions_are_not_taken(name: str, tmp_path: Path) -> None:
    assert code_of(tmp_path, b"a,b\n1,2\n", name) == "UNSUPPORTED_FORMAT"


def test_text_under_the_name_of_a_workbook_is_a_mismatch(tmp_path: Path) -> None:
    assert code_of(tmp_path, b"a,b\n1,2\n", "book.xlsx") == "MAGIC_MISMATCH"


def test_a_late_byte_beyond_ascii_decides_the_encoding(tmp_path: Path) -> None:
    begin = b"".join(b"%d,plain\n" % n for n in range(200_000))

    table = read(tmp_path, b"id,name\n" + begin + "1,Café\n".encode("cp1252"))

    assert table.encoding == "cp1252"
    query = f"SELECT name FROM '{table.parquet}' WHERE name <> 'plain'"
    assert duckdb.execute(query).fetchall() == [("Café",)]


def test_a_character_cut_by_the_end_of_a_chunk_is_still_utf8(tmp_path: Path) -> None:
    content = b"id,name\n" + "1,é\n".encode() * 400_000

    table = read(tmp_path, content)

    assert (table.encoding, table.balance.accepted) == ("utf-8", 400_000)


def refusal_of(tmp_path: Path, content: bytes, **limits: object) -> UploadRejected:
    with pytest.raises(UploadRejected) as refusal:
        read(tmp_path, content, **limits)
    return refusal.value


OPEN = b'51,"a\nb",c\n52,"open,3\n'


@pytest.mark.parametrize(
    "content, limits, code, line, says",
    [
        (rows(50) + OPEN + rows(500, 53), {}, "UNCLOSED_QUOTE", 54, "opens in line 54 "),
        (rows(50) + b'51,"a\nb","open\n' + rows(500, 53), {}, "UNCLOSED_QUOTE", 53, "line 53 "),
        (rows(50) + OPEN + rows(90_000), {"max_line_bytes": 400_000}, "UNCLOSED_QUOTE", 54, "54"),
        (b'1,"a\nb\n2,"c",3\n' * 30, {}, "UNCLOSED_QUOTE", 2, "begins in line 2"),
        (rows(9) + b"10," + b"x" * 3_000 + b",1\n", {"max_line_bytes": 2_000}, "LINE_TOO_LONG",
         11, "begins in line 11 has at least 3,006 bytes; at most 2,000"),
        ((b"1," + b"x" * 300 + b",1\n") * 9, {"max_field_bytes": 200}, "FIELD_TOO_LONG", 2,
         "over 200 bytes: in line 2, column 'name' has 300"),
        (b"", {}, "NO_DATA_ROWS", 1, "the header in line 1 there"),
        (rows(9) + b"\nx,y\n1,2\n3,4\n5,6\n", {}, "MULTIPLE_TABLES", 12, "In line 12, below"),
        (rows(9) + b"1,2,3,4\n" * 9, {}, "MULTIPLE_TABLES", 11, "from line 11 on"),
        (rows(9) + b"10,caf\xc3\xa9,1\n11,caf\xe9,1\n" * 4, {}, "MIXED_ENCODING", 12,
         "are not UTF-8, first line 12, while others are"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_line_at_fault(
    tmp_path: Path, content: bytes, limits: dict[str, object], code: str, line: int, says: str
) -> None:
    refusal = refusal_of(tmp_path, b"id,name,v\n" + content, **limits)

    assert (refusal.code, refusal.details["line"]) == (code, line)
    assert says in refusal.message


def test_a_ragged_file_names_expected_and_found_cells(tmp_path: Path) -> None:
    mixed = b"".join(b"1,2,3\n4,5\n6,7,8,9\n" for _ in range(20))

    refusal = refusal_of(tmp_path, b"a,b,c\n1,2,3\n" + mixed)

    assert "the 3 cells of the table: line 4 has 2, line 5 has 4, line 7 has 2" in refusal.message
    assert refusal.details["first_lines"] == {4: 2, 5: 4, 7: 2}
    assert refusal.details["limit"] == 0.2
