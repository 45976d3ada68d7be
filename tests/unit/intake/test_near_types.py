"""A few bad cells keep a column text: the user is told which, and what to do."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from text_tables import engine, write_text_table

from nika_pipelines.intake import contract_history
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.column_types import infer_columns
from nika_pipelines.intake.records import Column, IntakeReport
from nika_pipelines.intake.take_in import take_in
from nika_pipelines.settings import Settings


def told(folder: Path, **columns: Sequence[str | None]) -> tuple[list[Column], list[str]]:
    """The columns, and what is said about those that are nearly typed."""
    names = list(columns)
    text = write_text_table(
        folder / "text.parquet", names, list(zip(*columns.values(), strict=True))
    )
    with engine() as con:
        found, warnings = infer_columns(con, text, names, names, Settings())
    return found, [one.message for one in warnings if one.code == "FORMAT_MISMATCH"]


def spoiled(cells: Sequence[str], *places: int, by: str = "oops") -> list[str]:
    return [by if n in places else cell for n, cell in enumerate(cells)]


def take(folder: Path, cells: Sequence[str], number: int) -> IntakeReport:
    source = folder / "sales.csv"
    source.write_text(
        "shop,amount\n" + "".join(f"s{n},{cell}\n" for n, cell in enumerate(cells)), "utf-8"
    )
    out = folder / str(number)
    out.mkdir()
    return take_in(source, source.name, out, Settings(), folder / "sales.yaml", "sales")


def test_one_bad_cell_of_twenty_eight_is_told_with_its_line(tmp_path: Path) -> None:
    cells = spoiled([f"{n}.5" for n in range(28)], 13)

    (column,), (message,) = told(tmp_path, amount=cells)

    assert column.type == "text"
    assert "Column 'amount': 27 of 28 values (96.4 %) are float" in message
    assert "Not float: 'oops' (line 15)." in message
    assert "set `type: float` in the contract" in message


def test_the_first_three_bad_cells_and_the_number_of_others_are_told(tmp_path: Path) -> None:
    cells = spoiled([f"{n % 28 + 1:02}.02.2024" for n in range(200)], *range(7, 200, 20))

    _, (message,) = told(tmp_path, day=cells)

    assert "190 of 200 values (95 %) are date (%d.%m.%Y)" in message
    assert "'oops' (line 9), 'oops' (line 29), 'oops' (line 49) and 7 more" in message
    assert "`type: date` with `format: '%d.%m.%Y'`" in message


def test_a_single_bad_cell_of_four_is_told_without_promising_too_much(tmp_path: Path) -> None:
    _, (message,) = told(tmp_path, v=["2", "x", "4", "5"])

    assert "3 of 4 values (75 %) are integer" in message
    assert "too many rows would be rejected" in message


@pytest.mark.parametrize(
    "cells",
    [
        spoiled([f"0{n}" for n in range(50)], 3),
        spoiled([str(10**18 + n) for n in range(50)], 3),
        [*(["yes", "no"] * 20), "maybe"],
        [f"word {n}" for n in range(30)],
        [*map(str, range(9)), *["x"] * 10],
        [f"{n}" if n % 3 else f"{n}B" for n in range(60)],
        [f"A{n}" for n in range(60)],
        [f"{n}" if n % 3 else f"SW{n}A {n}AB" for n in range(60)],
        [f"{10_115 + n}" if n % 3 else f"0{1_067 + n}" for n in range(60)],
        [f"1.{n}" if n % 3 else f"1.{n}.2" for n in range(60)],
        [f"1.{n}.{n}" if n % 2 else f"v2.{n}" for n in range(60)],
        [f"{n}-{n + 1}" if n % 2 else f"{n}/{n + 1}" for n in range(60)],
        ["1 $", "2 €", "3 $", "4 $", "oops"],
        ["NA", "ZA", "12", None],
        [None, None],
    ],
)
def test_text_for_a_reason_is_not_told(tmp_path: Path, cells: list[str]) -> None:
    columns, messages = told(tmp_path, c=cells)

    assert columns[0].type == "text"
    assert not messages


@pytest.mark.parametrize(
    "good, bad",
    [
        ([f"{n}.5" for n in range(70)], [f"n.v.{n}" for n in range(30)]),
        ([f"{n}" for n in range(70)], ["unbekannt"] * 30),
        ([f"2024-02-{n % 28 + 1:02}" for n in range(50)], ["offen"] * 50),
    ],
)
def test_a_worse_column_is_told_as_well(tmp_path: Path, good: list[str], bad: list[str]) -> None:
    cells = [bad.pop() if bad and n % 2 else good.pop() for n in range(100)]

    _, (message,) = told(tmp_path, v=cells)

    assert "0 of 100 values (" in message
    assert '`columns: {"v": {"type": ' in message
    assert "too many rows would be rejected" in message


def test_amounts_are_told_even_if_the_others_look_like_codes(tmp_path: Path) -> None:
    cells = [str(n) if n % 3 else f"n.v.{n}" for n in range(60)]

    assert told(tmp_path, amount=cells)[1]
    assert not told(tmp_path, room=cells)[1]


@pytest.mark.parametrize(
    "first, second, formats",
    [
        ("{n}.5", "{n},5", ["float", "float (decimal comma)"]),
        (
            "2024-02-{d:02}", "{d:02}.03.2024", ["date (%Y-%m-%d)", "date (%d.%m.%Y)"],
        ),
        (
            "{d}/31/2024 9:05 PM", "2024-03-{d:02}",
            ["date (%Y-%m-%d)", "timestamp (%m/%d/%Y time am/pm)"],
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rows", [60, 24_001])
def test_two_formats_in_one_column_are_told(
    tmp_path: Path, first: str, second: str, formats: list[str], rows: int
) -> None:
    months = (1, 3, 5, 7, 8, 10, 12)
    cells = [(second if n % 2 else first).format(n=n, d=months[n % 7]) for n in range(rows)]

    (column,), (message,) = told(tmp_path, **{"d'x": cells})

    assert column.type == "text"
    assert "mixes formats" in message
    for one in formats:
        assert f" %) are {one}, such as " in message
    assert f"'{cells[0]}' (line 2)" in message
    assert f"'{cells[1]}' (line 3)" in message
    assert '`columns: {"d\'x": {"type": ' in message


def test_formats_that_leave_too_much_unread_are_no_mixture(tmp_path: Path) -> None:
    cells = ["1.5", "1,5", "1.5.2", "1-5", "3/4"] * 12

    assert not told(tmp_path, c=cells)[1]


def test_cells_of_personal_columns_are_masked_in_such_warnings(tmp_path: Path) -> None:
    cells = [f"{n}.5" if n % 3 else f"ann{n}@example.org" for n in range(60)]

    _, (message,) = told(tmp_path, amount=cells)

    assert "@" in message
    assert "example" not in message


def test_columns_that_cost_too_many_rows_together_are_told(tmp_path: Path) -> None:
    good = [str(n) for n in range(100)]
    columns = {f"c{k}": spoiled(good, 2 * k, 2 * k + 1) for k in range(15)}

    found, messages = told(tmp_path, **columns)

    text = [column.name for column in found if column.type == "text"]
    assert text
    assert [message.split("'")[1] for message in messages] == text
    assert all("it would cost too many rows" in message for message in messages)


def test_many_such_columns_are_summed_up(tmp_path: Path) -> None:
    cells = spoiled([str(n) for n in range(30)], 4)

    _, messages = told(tmp_path, **{f"c{k}": cells for k in range(14)})

    assert len(messages) == 11
    assert messages[-1].startswith("4 more columns")


def test_a_hostile_cell_stays_short_and_visible(tmp_path: Path) -> None:
    cells = spoiled([str(n) for n in range(30)], 4, by="\x1b[31m" + "x" * 5_000)

    _, (message,) = told(tmp_path, **{"a'b\n": cells})

    assert message.isprintable()
    assert len(message) < 600


def test_a_mended_file_is_told_that_only_the_contract_keeps_it_text(tmp_path: Path) -> None:
    good = [f"{n}.5" for n in range(30)]
    take(tmp_path, spoiled(good, 4), 1)

    report = take(tmp_path, good, 2)

    (message,) = [one.message for one in report.warnings if one.code == "FORMAT_MISMATCH"]
    assert "30 of 30 values (100 %) are float, but the contract says text" in message
    contract_history.accept(tmp_path / "sales.yaml")
    assert not take(tmp_path, good, 3).warnings


def test_the_advice_works_setting_the_type_rejects_row_by_row(tmp_path: Path) -> None:
    bad = spoiled([f"{n}.5" for n in range(30)], 4)
    take(tmp_path, bad, 1)
    path = tmp_path / "sales.yaml"
    head, column = path.read_text("utf-8").split("- name: amount")
    path.write_text(
        f"{head}- name: amount{column.replace('type: text', 'type: float', 1)}", "utf-8"
    )

    report = take(tmp_path, bad, 2)

    assert (report.n_rows, report.rejects_by_code) == (29, {"CAST": 1})
    assert (report.columns[1].type, report.columns[1].semantic_type) == ("float", "measure")


def test_a_file_that_breaks_its_contract_names_the_first_rows(tmp_path: Path) -> None:
    good = [f"{n}.5" for n in range(30)]
    take(tmp_path, good, 1)

    with pytest.raises(UploadRejected) as refusal:
        take(tmp_path, spoiled(good, *range(10, 20)), 2)

    assert "line 12 (row 11), column 'amount': 'oops' (not float)" in refusal.value.message
    assert refusal.value.details["first_lines"] == [12, 13, 14]
