"""Headers of several rows: groups above the names, units below them, and doubts about them."""

from pathlib import Path

import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.records import TextTable
from nika_pipelines.settings import Settings

BODY = "".join(f"shop {n},{n * 7},{n * 3}.5,{n * 5},{n * 2}.25\n" for n in range(12))
NAMES = "shop,units,sales,units,sales\n"
BY_YEAR = ["2024 units", "2024 sales", "2025 units", "2025 sales"]


def read(tmp_path: Path, content: str) -> TextTable:
    source, out = tmp_path / "upload.csv", tmp_path / "out"
    source.write_bytes(content.encode())
    out.mkdir(exist_ok=True)
    table = read_text_table(source, source.name, out, Settings())
    assert table.balance.closes
    return table


def doubts(table: TextTable) -> list[str]:
    return [one.message for one in table.warnings if one.code == "HEADER_UNSURE"]


@pytest.mark.parametrize(
    "groups, names",
    [
        ("year,2024,2024,2025,2025\n", ["year shop", *BY_YEAR]),
        (",2024,2024,2025,2025\n", ["shop", *BY_YEAR]),
        (",2024,,2025,\n", ["shop", *BY_YEAR]),
        (",North,North,South,South\n", [
            "shop", "North units", "North sales", "South units", "South sales"
        ]),
        (",North,,South,\n,2024,2025,2024,2025\n", [
            "shop", "North 2024 units", "North 2025 sales", "South 2024 units",
            "South 2025 sales",
        ]),
    ],
)  # fmt: skip
def test_groups_above_the_names_become_part_of_them(
    groups: str, names: list[str], tmp_path: Path
) -> None:
    for above in ("", "Sales of all shops,,,,\n,,,,\n"):
        table = read(tmp_path, above + groups + NAMES + BODY)

        assert table.names == names
        assert table.header_rows == 1 + groups.count("\n")
        assert (table.balance.accepted, table.balance.rejected) == (12, 0)


@pytest.mark.parametrize(
    "units", [",pcs,EUR,pcs,EUR\n", "Unit,pcs,EUR,pcs,EUR\n", "(-),[pcs],[EUR],[pcs],[EUR]\n"]
)
def test_units_below_the_names_become_part_of_them(units: str, tmp_path: Path) -> None:
    table = read(tmp_path, "shop,a,b,c,d\n" + units + BODY)

    assert table.header_rows == 2
    assert [name.split()[0] for name in table.names] == ["shop", "a", "b", "c", "d"]
    assert [name.split()[1].strip("[]") for name in table.names[1:]] == ["pcs", "EUR"] * 2
    assert table.balance.accepted == 12


def test_years_names_and_units_are_three_rows(tmp_path: Path) -> None:
    table = read(tmp_path, ",2024,,2025,\n" + NAMES + ",pcs,EUR,pcs,EUR\n" + BODY)

    assert table.names[1:3] == ["2024 units pcs", "2024 sales EUR"]
    assert (table.header_rows, table.balance.accepted) == (3, 12)


@pytest.mark.parametrize("corner", ["", "area"])
def test_years_behind_an_empty_corner_are_names(corner: str, tmp_path: Path) -> None:
    table = read(tmp_path, f"{corner},1995,2000,2010,2020\n" + BODY)

    assert table.names == [corner or "column_1", "1995", "2000", "2010", "2020"]
    assert table.balance.accepted == 12


def test_years_are_names_where_every_row_ends_with_a_delimiter(tmp_path: Path) -> None:
    rows = [line + "," for line in (",1995,2000,2010,2020\n" + BODY).splitlines()]
    table = read(tmp_path, "\n".join(rows) + "\n")

    assert table.names == ["column_1", "1995", "2000", "2010", "2020"]
    assert table.balance.accepted == 12


@pytest.mark.parametrize("row", ["n/a,n/a,n/a,n/a", "-,-,-,-", "closed,closed,closed,closed"])
def test_placeholders_below_the_names_are_data(row: str, tmp_path: Path) -> None:
    body = 4 * BODY.replace("7,3.5,5,2.25", "closed,closed,closed,closed")

    table = read(tmp_path, f"shop,a,b,c,d\nshop 0,{row}\n,{row}\n{body}")

    assert (table.header_rows, table.names) == (1, ["shop", "a", "b", "c", "d"])
    assert doubts(table) == []


def test_words_over_values_below_the_names_are_doubtful(tmp_path: Path) -> None:
    table = read(tmp_path, "shop,a,b,c,d\nname,integer,float,integer,float\n" + BODY)

    assert table.header_rows == 1
    assert len(doubts(table)) == 1
    assert "header_rows: 2" in doubts(table)[0]


def test_words_over_values_in_the_second_row_are_doubtful(tmp_path: Path) -> None:
    table = read(tmp_path, "shop 99,3,4.5,6,7.5\n" + NAMES + BODY)

    assert table.header_rows == 0
    assert "header_rows: 2" in doubts(table)[0]


def test_rows_of_years_without_a_header_stay_rows(tmp_path: Path) -> None:
    body = "".join(f"house {n},{1900 + n},{1950 + n},{1990 + n}\n" for n in range(9))

    table = read(tmp_path, body)

    assert (table.header_rows, table.balance.accepted) == (0, 9)


def test_one_dirty_cell_below_the_names_is_data(tmp_path: Path) -> None:
    table = read(tmp_path, "name,town,town,age\nAnn,Rome,Bonn,old\nBob,Oslo,Bari,4\n"
                 + "Cem,Rome,Bonn,5\n" * 9)  # fmt: skip

    assert (table.header_rows, doubts(table)) == (1, [])


def test_a_header_narrower_than_most_rows_is_named_in_the_refusal(tmp_path: Path) -> None:
    rows = "".join(f"2025-06-{n:02},{n}{'' if n % 3 == 1 else ',50'}\n" for n in range(1, 31))

    with pytest.raises(UploadRejected) as refusal:
        read(tmp_path, "day,amount\n" + rows)

    assert refusal.value.code == "RAGGED"
    assert "The header has 2 cells, but 67% of the rows have 3, first in line 3" in (
        refusal.value.message
    )
    assert "line 2 has 2, line 5 has 2, line 8 has 2" in refusal.value.message
    assert refusal.value.details["header_cells"] == 2


def test_few_rows_as_narrow_as_the_header_are_doubtful_and_rejected(tmp_path: Path) -> None:
    rows = "".join(f"2025-06-{n:02},{n}{'' if n % 10 == 1 else ',50'}\n" for n in range(1, 31))

    table = read(tmp_path, "day,amount\n" + rows)

    assert (table.preamble_rows, table.balance.accepted, table.balance.rejected) == (0, 27, 3)
    assert "The header has 2 cells, the rows have 3" in doubts(table)[0]
