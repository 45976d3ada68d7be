"""What stands above a table: notes are left out, a table of its own never is."""

from pathlib import Path

import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.records import TextTable
from nika_pipelines.settings import Settings

SALES = "day,region,product,units,price\n" + "".join(
    f"2024-01-0{n},north,widget,{3 * n},{n}.50\n" for n in range(1, 6)
)
COSTS = "region,manager,budget\n" + "".join(f"r{n},Smith{n},{n}00\n" for n in range(8))


def read(tmp_path: Path, content: str, options: ReadingOptions = NOTHING_SAID) -> TextTable:
    source, out = tmp_path / "upload.csv", tmp_path / "out"
    source.write_text(content, encoding="utf-8")
    out.mkdir(exist_ok=True)
    table = read_text_table(source, source.name, out, Settings(), options=options)
    assert table.balance.closes
    return table


@pytest.mark.parametrize(
    "above, lines",
    [
        ("id,amount\n1,10\n2,20\n3,30\n\n", (1, 4)),
        ("1,10\n2,20\n3,30\n\n", (1, 3)),
        ("Table 1\nid,amount,kind\n1,10,a\n2,20,b\n\nTable 2\n", (2, 4)),
        ("a,b,c,d,e,f,g\n1,2,3,4,5,6,7\n1,2,3,4,5,6,7\n\n", (1, 3)),
        ("region,manager,budget,,\nr1,S,100,,\nr2,T,200,,\n,,,,\n", (1, 3)),
        ('"two\nlines"\nid,n\n1,2\n3,4\n\n', (3, 5)),
        ("Note: x\n\nkind,manager,budget\na,S,100\nb,T,200\n\n", (3, 5)),
    ],
)
def test_a_table_above_the_table_is_no_preamble(
    above: str, lines: tuple[int, int], tmp_path: Path
) -> None:
    with pytest.raises(UploadRejected) as caught:
        read(tmp_path, above + SALES + SALES.split("\n", 1)[1])

    assert caught.value.code == "MULTIPLE_TABLES"
    assert f"Lines {lines[0]} to {lines[1]}," in caught.value.message


@pytest.mark.parametrize("between", ["\n", ""])
def test_the_longer_of_two_tables_does_not_make_the_other_one_preamble(
    between: str, tmp_path: Path
) -> None:
    with pytest.raises(UploadRejected) as caught:
        read(tmp_path, SALES + between + COSTS)

    assert (caught.value.code, caught.value.details["line"]) == ("MULTIPLE_TABLES", 1)
    told = int(caught.value.details["preamble_rows"])

    table = read(tmp_path, SALES + between + COSTS, ReadingOptions(preamble_rows=told))

    assert (table.names, table.balance.accepted) == (["region", "manager", "budget"], 8)


@pytest.mark.parametrize(
    "above",
    [
        "Report: sales\nDate: 2024-01-01\n\n",
        "Report,sales\nDate,2024-01-01\nAuthor,Smith\nVersion,3\n\n",
        "Latitude,52.4\nLongitude,13.1\nElevation,81\n\n",
        "Page,1,of,3\n\n",
        "place,lat,lon\nPotsdam,52.4,13.1\n\n",
        "kind,unit\nmass,kg\nlength,m\n\n",
        "Sales report,,,,\nCreated,2024-01-01,,,\n,,,,\n",
    ],
)
def test_notes_above_the_table_are_left_out(above: str, tmp_path: Path) -> None:
    table = read(tmp_path, above + SALES)

    assert table.preamble_rows == above.count("\n")
    assert (table.names, table.balance.accepted) == (SALES.split("\n")[0].split(","), 5)
    assert table.warnings == []


def test_notes_that_may_be_a_table_are_told(tmp_path: Path) -> None:
    table = read(tmp_path, "station,Potsdam\nlatitude,52.4\nlongitude,13.1\n\n" + SALES)

    assert table.preamble_rows == 4
    assert [warning.code for warning in table.warnings] == ["HEADER_UNSURE"]
    assert "Lines 1 to 3" in table.warnings[0].message


def test_first_rows_with_empty_last_cells_stay_rows(tmp_path: Path) -> None:
    rows = "day,n,note\n1,2,\n3,4,\n\n5,6,x\n7,8,y\n9,10,z\n"

    assert read(tmp_path, rows).balance.accepted == 5


def test_first_rows_without_header_and_last_cells_stay_rows(tmp_path: Path) -> None:
    rows = "1,2,\n3,4,\n\n5,6,x\n7,8,y\n9,10,z\n11,12,w\n"

    assert read(tmp_path, rows).balance.accepted == 6
