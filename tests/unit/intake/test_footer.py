"""Totals and notes below a table are set apart; rows and other tables are not."""

from pathlib import Path

import duckdb
import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.records import TextTable
from nika_pipelines.settings import Settings

BODY = "town;visits;price\n" + "".join(f"town {n};{n * 3};{n},50\n" for n in range(20))
RULE = "*" * 40 + "\n"


def read(tmp_path: Path, content: str) -> TextTable:
    source, out = tmp_path / "upload.csv", tmp_path / "out"
    source.write_bytes(content.encode())
    out.mkdir(exist_ok=True)
    table = read_text_table(source, source.name, out, Settings())
    assert table.balance.closes
    assert table.footer_rows == len(table.footer) == table.balance.footer
    return table


def accepted(table: TextTable) -> int:
    rows = duckdb.execute(f"SELECT count(*) FROM '{table.parquet}'").fetchall()
    return int(rows[0][0])


def codes(table: TextTable) -> list[str]:
    return [warning.code for warning in table.warnings]


@pytest.mark.parametrize(
    "below",
    [
        "Sum;570;200,00\n\nAs of: 01.02.2025\n",
        "Sum;570;200,00\nSource: the town hall\n",
        "\nSum;570;200,00\n\nFirst note\nsecond line of it\n",
        "Sum;570\nNote: prices; visits; and towns; are rounded\n",
        "\nName:;value\nExported:;2025-02-01\nRows:;20\n",
        '\n"1.";"Without the islands."\n"2.";"Estimated."\n',
    ],
)
def test_totals_and_narrow_notes_are_footer(below: str, tmp_path: Path) -> None:
    table = read(tmp_path, BODY + below)

    assert accepted(table) == 20
    assert table.balance.rejected == 0
    assert codes(table) == ["FOOTER_KEPT"]
    assert table.footer_rows == sum(1 for line in below.splitlines() if line)


def test_notes_in_several_blocks_are_one_footer(tmp_path: Path) -> None:
    pairs = "".join(f'"{n}.";"Footnote {n}."\n' for n in range(1, 18))
    notes = f"\n{RULE}Footnotes\n{RULE}\n{pairs}\n{RULE}Made by hand.\n{RULE}\nNames:\n a:;first\n"

    table = read(tmp_path, BODY + notes)

    assert (accepted(table), table.balance.rejected) == (20, 0)
    assert table.footer_rows == sum(1 for line in notes.splitlines() if line)
    assert table.footer[3] == ["1.", "Footnote 1.", None]


def test_a_sentence_cut_apart_by_the_delimiter_is_kept_whole(tmp_path: Path) -> None:
    table = read(tmp_path, BODY + "\nNote: a; b; c; d\n")

    assert table.footer == [["Note: a", " b", " c; d"]]


@pytest.mark.parametrize(
    "other",
    [
        "region;sum\nNorth;5\nSouth;6\nEast;9\n",
        "nr;name\n1;Ann\n2;Bob\n3;Cem\n",
        "name;city;country;code\nAnn;Rome;Italy;x\nBob;Oslo;Norway;y\n",
        "2025-01-01;5\n2025-01-02;6\n2025-01-03;7\n",
    ],
)
def test_another_table_below_is_no_footer(other: str, tmp_path: Path) -> None:
    for notes in ("", "\nNote: made by hand\n"):
        with pytest.raises(UploadRejected) as refusal:
            read(tmp_path, f"{BODY}\n{other}{notes}")

        assert refusal.value.code == "MULTIPLE_TABLES"


def test_a_table_below_notes_still_refuses_the_file(tmp_path: Path) -> None:
    other = "region;sum\nNorth;5\nSouth;6\nEast;9\n"

    with pytest.raises(UploadRejected) as refusal:
        read(tmp_path, f"{BODY}\nMade by hand.\n\n{other}\nThe end\n")

    assert refusal.value.code == "MULTIPLE_TABLES"


def test_a_last_row_that_was_cut_off_is_rejected(tmp_path: Path) -> None:
    for cut in ("town 20", "town 20;60"):
        table = read(tmp_path, BODY + cut)

        assert (accepted(table), table.balance.rejected, table.footer) == (20, 1, [])


def test_a_short_row_of_values_below_a_blank_line_is_rejected(tmp_path: Path) -> None:
    table = read(tmp_path, BODY + "\ntown 20;60\n")

    assert (accepted(table), table.balance.rejected, table.footer) == (20, 1, [])


def test_a_short_table_may_have_more_notes_than_rows(tmp_path: Path) -> None:
    notes = "".join(f"\nparagraph {n}\n" for n in range(2))

    table = read(tmp_path, f"a;b;c\n1;2;3\n4;5;6\n7;8;9\n{notes}Source: the town\nNotes: none\n")

    assert (accepted(table), table.footer_rows) == (3, 4)
