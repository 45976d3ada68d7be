"""What a person says about a column beats its contract, and its contract beats inference."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from text_tables import stored

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.column_options import options_by_position
from nika_pipelines.intake.contract_file import load_contract
from nika_pipelines.intake.contract_history import accept
from nika_pipelines.intake.reading_options import (
    NOTHING_SAID,
    ColumnOption,
    ReadingOptions,
    parse_options,
)
from nika_pipelines.intake.records import IntakeReport
from nika_pipelines.intake.take_in import take_in
from nika_pipelines.settings import Settings

FIRST = "Shop No,day,amount\n" + "".join(f"{n:03},0{n % 9 + 1}/02/2024,{n}.5\n" for n in range(40))


def take(
    folder: Path,
    text: str,
    number: int = 1,
    options: ReadingOptions = NOTHING_SAID,
    settings: Settings | None = None,
) -> IntakeReport:
    source = folder / f"{number}.csv"
    source.write_text(text, encoding="utf-8", newline="")
    out = folder / str(number)
    out.mkdir()
    path = folder / "contracts/shops.yaml"
    return take_in(source, source.name, out, settings or Settings(), path, "shops", options=options)


def said(**columns: Any) -> ReadingOptions:
    return parse_options({"columns": columns})


def types(report: IntakeReport) -> dict[str, tuple[str, str | None]]:
    return {column.name: (column.type, column.format) for column in report.columns}


def test_a_first_file_is_read_as_said_and_its_contract_keeps_it(tmp_path: Path) -> None:
    options = said(
        **{"shop no": "integer", "DAY": {"type": "date", "format": "%m/%d/%Y"}},
        amount={"semantic_type": "money", "personal": True},
    )

    report = take(tmp_path, FIRST, 1, options)
    later = take(tmp_path, FIRST.replace("05/02", "05/22"), 2)

    assert types(report) == types(later)
    assert types(report)["Shop No"] == ("integer", "leading zeros")
    assert types(report)["day"] == ("date", "%m/%d/%Y")
    assert [str(value) for value in stored(report.table_parquet)[3]] == ["3", "2024-04-02", "3.5"]
    assert report.columns[2].semantic_type == later.columns[2].semantic_type == "money"
    assert report.columns[2].personal
    assert later.columns[2].personal
    assert not [one for one in report.warnings if one.code == "AMBIGUOUS_DATE"]


def test_what_is_said_beside_a_later_file_beats_the_contract_for_that_file(tmp_path: Path) -> None:
    take(tmp_path, FIRST)
    accept(tmp_path / "contracts/shops.yaml")

    report = take(tmp_path, FIRST, 2, said(amount="text", day={"format": "%m/%d/%Y"}))

    # The limits of the contract are those of a number: text has none.
    assert types(report)["amount"] == ("text", None)
    assert stored(report.table_parquet)[3][2] == "3.5"
    assert types(report)["day"] == ("date", "%m/%d/%Y")
    assert load_contract(tmp_path / "contracts/shops.yaml").columns[2].type == "float"


def test_a_type_without_a_format_gets_the_format_that_fits(tmp_path: Path) -> None:
    rows = "".join(f"{n}.000,{n},5;{n}\n".replace(",", ";", 1) for n in range(1, 30))
    text = "a;b;c\n" + rows.replace(".000", ".000,0")
    take(tmp_path, text, 1, said(a="text"))

    report = take(tmp_path, text, 2, said(a="float"))

    assert types(report)["a"] == ("float", "decimal comma, thousands dot")
    assert stored(report.table_parquet)[4][0] == 5000.0


def test_cells_that_a_demanded_type_cannot_read_are_rejected(tmp_path: Path) -> None:
    words = FIRST.replace("\n010,10/", "\nten,10/").replace("010,", "ten,")

    report = take(tmp_path, words, 1, said(**{"Shop No": "integer"}))

    assert report.rejects_by_code == {"CAST": 1}
    assert stored(report.rejects_parquet) == [
        (12, "Shop No", "CAST", "not integer (leading zeros)", "ten", 11)
    ]


def test_a_demand_that_most_cells_cannot_meet_refuses_the_file(tmp_path: Path) -> None:
    text = "a,b\n" + "".join(f"word{n},{n}\n" for n in range(20))

    with pytest.raises(UploadRejected) as refused:
        take(tmp_path, text, 1, said(a="date"))

    assert refused.value.code == "CONTRACT_BROKEN"
    assert refused.value.details["violations"][0] == {
        "row": 1,
        "line": 2,
        "column": "a",
        "rule": "not date",
        "value": "word0",
    }
    assert not (tmp_path / "contracts/shops.yaml").exists()


@pytest.mark.parametrize(
    "columns, told",
    [
        ({"colour": "text"}, "'Shop No', 'day', 'amount'"),
        ({"day": {"format": "soon"}}, "no type has"),
        ({"day": {"type": "date", "format": "decimal comma"}}, "unknown format"),
        ({"day": "date", "Day": "text"}, "named twice"),
    ],
)
def test_a_mistake_beside_a_file_is_told(
    tmp_path: Path, columns: dict[str, Any], told: str
) -> None:
    with pytest.raises(UploadRejected, match=told) as refused:
        take(tmp_path, FIRST, 1, said(**columns))

    assert refused.value.code == "CONTRACT_BROKEN"


def test_a_name_in_another_case_must_mean_one_column() -> None:
    names, sources = ["Day", "DAY", "day_2"], ["Day", "DAY", "When"]
    text = ColumnOption("text")

    assert list(options_by_position({"DAY": text}, names, sources)) == [1]
    assert list(options_by_position({"when": text}, names, sources)) == [2]
    with pytest.raises(UploadRejected, match="may mean each of 'Day', 'DAY'"):
        options_by_position({"day": text}, names, sources)


def test_how_the_first_file_was_cut_is_how_the_next_one_is(tmp_path: Path) -> None:
    text = "exported by nobody\n" + FIRST.replace(",", "~")
    options = replace(NOTHING_SAID, delimiter="~", preamble_rows=1, header_rows=1)
    first = take(tmp_path, text, 1, options)

    later = take(tmp_path, text, 2)
    other = take(tmp_path, FIRST, 3, ReadingOptions(delimiter=",", preamble_rows=0))

    assert load_contract(tmp_path / "contracts/shops.yaml").reading == options
    assert first.n_rows == later.n_rows == other.n_rows == 40
    assert (later.dialect.delimiter, later.preamble_rows) == ("~", 1)
    assert (other.dialect.delimiter, other.preamble_rows) == (",", 0)


def test_other_columns_are_kept_with_a_warning_where_the_setting_says_so(tmp_path: Path) -> None:
    take(tmp_path, FIRST)
    accept(tmp_path / "contracts/shops.yaml")
    text = FIRST.replace("amount", "Amounts")

    with pytest.raises(UploadRejected, match="'Amounts' resembles 'amount'") as refused:
        take(tmp_path, text, 2)
    assert refused.value.details["missing_columns"] == ["amount"]

    report = take(tmp_path, text, 3, settings=Settings(broken_columns="warn"))

    assert report.n_rows == 40
    assert types(report)["Amounts"] == ("float", None)
    assert types(report)["day"] == ("date", "%d/%m/%Y")
    (warning,) = report.warnings
    assert "missing: 'amount'; not in the contract: 'Amounts'" in warning.message
