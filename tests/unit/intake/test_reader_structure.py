"""Where tables begin, end and repeat themselves, and by what they are cut, inferred."""

from pathlib import Path

import duckdb
import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.records import LINE_COLUMN, TextTable
from nika_pipelines.settings import Settings


def read(tmp_path: Path, content: str) -> TextTable:
    source, out = tmp_path / "upload.csv", tmp_path / "out"
    source.write_bytes(content.encode())
    out.mkdir(exist_ok=True)
    table = read_text_table(source, source.name, out, Settings())
    assert table.balance.closes
    return table


def rows_of(table: TextTable) -> list[tuple[str | None, ...]]:
    return duckdb.execute(
        f"SELECT * EXCLUDE ({LINE_COLUMN}) FROM '{table.parquet}' ORDER BY {LINE_COLUMN}"
    ).fetchall()


@pytest.mark.parametrize("delimiter", ["||", "::", ";;", "~~", "|~|", "<|>", "#|#", "^^"])
def test_a_delimiter_of_several_characters_is_found(delimiter: str, tmp_path: Path) -> None:
    rows = [("id", "name", "n"), *((str(n), f"item {n}", str(n * 3)) for n in range(12))]

    table = read(tmp_path, "".join(delimiter.join(row) + "\n" for row in rows))

    assert table.dialect.delimiter == delimiter
    assert [table.names, *map(list, rows_of(table))] == [list(row) for row in rows]


def test_empty_cells_do_not_double_a_delimiter(tmp_path: Path) -> None:
    table = read(tmp_path, "a|b|c\n1||3\n4||6\n7||9\n1||2\n3||4\n")

    assert (table.dialect.delimiter, table.names) == ("|", ["a", "b", "c"])


def test_a_sep_line_may_name_several_characters(tmp_path: Path) -> None:
    table = read(tmp_path, "sep=||\nid||n\n1||2\n3||4\n")

    assert (table.dialect.delimiter, table.preamble_rows, table.names) == ("||", 1, ["id", "n"])


def test_quotes_that_nobody_closes_are_text(tmp_path: Path) -> None:
    body = "".join(f'"size {n}\t{n}\tx\n' for n in range(9))

    table = read(tmp_path, f"size\tn\tkind\n{body}")

    assert table.dialect.quotechar is None
    assert rows_of(table)[0] == ('"size 0', "0", "x")


def test_decimal_commas_do_not_pass_for_a_delimiter(tmp_path: Path) -> None:
    table = read(tmp_path, "a;b;c\n" + "1,5;2,25;3,75\n" * 9)

    assert (table.dialect.delimiter, table.names) == (";", ["a", "b", "c"])


def test_a_title_above_a_repeated_header_is_no_row(tmp_path: Path) -> None:
    part = "town,visits\nRome,4\nOslo,5\n"

    table = read(tmp_path, f"North 2024,\n,\n{part},\nSouth 2024,\n,\n{part}")

    assert rows_of(table) == [("Rome", "4"), ("Oslo", "5")] * 2
    assert (table.preamble_rows, table.header_rows) == (2, 1)
    assert table.balance.preamble == 2
    assert any("line 7" in warning.message for warning in table.warnings)


def test_a_title_above_a_section_with_a_shared_name_is_no_row(tmp_path: Path) -> None:
    first = "Minister,Date,Guest\nSmith,Oct-14,Tea Board\nJones,Nov-14,Wool Board\n"
    second = "Minister,Trip,Place\nSmith,two days,Oslo\nJones,one day,Bonn\n"

    table = read(tmp_path, f"{first}{first[20:]},,\nTravel,,\n{second}")

    assert ("Travel", None, None) not in rows_of(table)
    assert ("Minister", "Trip", "Place") in rows_of(table)
    assert any(warning.code == "HEADER_UNSURE" for warning in table.warnings)


def test_a_sparse_row_below_a_blank_line_stays_a_row(tmp_path: Path) -> None:
    table = read(tmp_path, "town,visits,kind\nRome,4,a\n,,\nOslo,,\nBonn,5,b\nBari,6,c\n")

    assert ("Oslo", None, None) in rows_of(table)


def test_a_header_of_two_rows_may_repeat(tmp_path: Path) -> None:
    head = "Store,Sales,,Returns,\n,Q1,Q2,Q1,Q2\n"

    body = "".join(f"Store {n},{n},{n * 2},{n * 3},0\n" for n in range(12))

    table = read(tmp_path, f"{head}{body}{head}East,8,9,1,1\n")

    assert table.names[1] == "Sales Q1"
    assert [row[0] for row in rows_of(table)] == [*(f"Store {n}" for n in range(12)), "East"]
    assert table.balance.header == 4


def test_notes_below_a_table_are_its_footer(tmp_path: Path) -> None:
    body = "".join(f"town {n},{n},{n * 2}\n" for n in range(9))
    notes = ",,\nSource: the town hall,,\nPrices in euro,,\n"

    table = read(tmp_path, f"town,a,b\n{body}Total,36,72\n{notes}")

    assert [row[0] for row in table.footer] == ["Total", "Source: the town hall", "Prices in euro"]
    assert len(rows_of(table)) == 9


def test_another_table_with_other_columns_refuses_the_file(tmp_path: Path) -> None:
    body = "".join(f"{n},x{n}\n" for n in range(9))
    other = "".join(f"{n},x,{n},y\n" for n in range(9))

    with pytest.raises(UploadRejected) as refusal:
        read(tmp_path, f"id,name\n{body}\na,b,c,d\n{other}")

    assert refusal.value.code == "MULTIPLE_TABLES"
