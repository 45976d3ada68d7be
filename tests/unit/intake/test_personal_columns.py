"""Columns that tell of a person are marked as such, and people have the last word on it."""

from pathlib import Path

import pytest
from text_tables import engine, write_text_table

from nika_pipelines.intake.column_types import infer_columns
from nika_pipelines.intake.contract_file import ColumnRule, Contract, load_contract, save_contract
from nika_pipelines.intake.records import Column
from nika_pipelines.settings import Settings


def column_of(folder: Path, name: str, cells: list[str]) -> Column:
    text = write_text_table(folder / "text.parquet", [name], [(cell,) for cell in cells])
    with engine() as con:
        return infer_columns(con, text, [name], [name], Settings())[0][0]


@pytest.mark.parametrize(
    "name, cells, meaning",
    [
        ("contact", ["ann@example.org", "bo@example.net"], "email"),
        ("mobile", ["+49 171 5550101", "+49 171 5550102"], "phone"),
        ("last_name", ["Larsen", "Okafor"], "name"),
        ("ref", ["DE89 3704 0044 0532 0130 00", "GB29 NWBK 6016 1331 9268 19"], "id"),
        ("x", ["078-05-1120", "219-09-9999"], "id"),
        ("paid_with", ["4111 1111 1111 1111", "5500 0000 0000 0004"], "id"),
        ("SSN", ["780511201", "219099999"], "id"),
        ("Passport No.", ["C01X00T47", "C01X00T48"], "id"),
        ("Steuer-ID", ["65929970489", "86095742719"], "id"),
    ],
)
def test_what_tells_of_a_person_is_personal(
    tmp_path: Path, name: str, cells: list[str], meaning: str
) -> None:
    column = column_of(tmp_path, name, cells)

    assert column.personal
    assert column.semantic_type == meaning


@pytest.mark.parametrize(
    "name, cells",
    [
        ("order_id", ["A-1", "A-2"]),
        ("tax", ["19", "7"]),
        ("ean", ["4006381333931", "4006381333948"]),
        ("product_name", ["Lamp", "Chair"]),
        ("part", ["AB12-CD", "AB13-CD"]),
        ("licence", ["CC-BY", "MIT"]),
        ("when", ["2024-01-02", "2024-01-03"]),
    ],
)
def test_what_tells_of_a_thing_is_not(tmp_path: Path, name: str, cells: list[str]) -> None:
    assert not column_of(tmp_path, name, cells).personal


@pytest.mark.parametrize("said", [True, False])
def test_a_contract_overrules_and_keeps_what_was_said(tmp_path: Path, said: bool) -> None:
    rule = ColumnRule("x", "text", "category" if said else "email", personal=said)
    path = tmp_path / "people.yaml"
    save_contract(Contract("people", (rule,)), path)

    loaded = load_contract(path).columns[0]

    assert loaded.column("x").personal is said


def test_a_contract_that_says_nothing_goes_by_the_meaning() -> None:
    assert ColumnRule("x", "text", "email").column("x").personal
    assert not ColumnRule("x", "text", "id").column("x").personal
