"""`nika contract`: what is promised, what is different, and from when it is enforced."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from nika_pipelines.cli import app
from nika_pipelines.intake.contract_file import ColumnRule, Contract, load_contract, save_contract
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.settings import load_settings
from resources.ledger import open_ledger

SALES = Contract(
    "north/sales",
    (
        ColumnRule("shop", "text", "id", nullable=False, unique=True),
        ColumnRule("amount", "float", "measure", ge=0, le=9.5),
    ),
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith("NIKA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NIKA_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    load_settings.cache_clear()
    save_contract(SALES, tmp_path / "contracts/north/sales.yaml")
    yield tmp_path
    load_settings.cache_clear()


def nika(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["contract", *arguments])


def took(data: Path, day: int, columns: list[dict[str, str]] | None) -> str:
    """Register an upload of the dataset; without columns it was refused."""
    state = UploadState.QUARANTINED if columns is None else UploadState.REPORT_READY
    at = f"2026-01-{day:02}T10:00:00.000000Z"
    upload = Upload(
        f"sales-{day}", "tables", "sales.csv", "sales.csv", "north/sales", state, at, at
    )
    with open_ledger(data / "ledger.sqlite") as ledger:
        ledger.register(upload)
    if columns is not None:
        folder = data / "lake/tables" / upload.upload_id
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps({"columns": columns}))
    return upload.upload_id


def stored(data: Path, day: int, rows: str) -> None:
    """Register an upload with these rows of shop and amount."""
    upload_id = took(data, day, columns(shop="text", amount="float"))
    table = data / "lake/tables" / upload_id / "table.parquet"
    duckdb.sql(
        f"SELECT shop, amount::DOUBLE AS amount FROM (VALUES {rows}) t(shop, amount)"
    ).write_parquet(str(table))


def columns(**types: str) -> list[dict[str, str]]:
    meanings = {"text": "id"}
    return [
        {"name": name, "type": kind, "semantic_type": meanings.get(kind, "measure")}
        for name, kind in types.items()
    ]


def test_show_prints_the_file_itself(data: Path) -> None:
    shown = nika("show", "north/sales")

    assert shown.exit_code == 0
    assert shown.stdout == (data / "contracts/north/sales.yaml").read_text("utf-8")


def test_show_as_json_is_one_document(data: Path) -> None:
    document = json.loads(nika("show", "north/sales", "--json").stdout)

    assert (document["dataset"], document["version"], document["status"]) == (
        "north/sales", 1, "inferred",
    )  # fmt: skip
    assert [column["name"] for column in document["columns"]] == ["shop", "amount"]


@pytest.mark.parametrize("command", ["show", "diff", "accept"])
@pytest.mark.parametrize("dataset", ["south", "../north/sales", "north/sales.yaml", ""])
@pytest.mark.usefixtures("data")
def test_an_unknown_dataset_is_wrong_usage_and_the_known_ones_are_named(
    command: str, dataset: str
) -> None:
    result = nika(command, dataset)

    assert result.exit_code == 2
    assert "north/sales" in result.stderr


def test_without_any_contract_that_is_said(data: Path) -> None:
    (data / "contracts/north/sales.yaml").unlink()

    result = nika("show", "sales")

    assert result.exit_code == 2
    assert "no file was taken in yet" in result.stderr


@pytest.mark.parametrize("command", ["show", "diff", "accept"])
def test_a_broken_contract_is_told_with_its_place(data: Path, command: str) -> None:
    (data / "contracts/north/sales.yaml").write_text("a: 1\n  b: [\n")

    result = nika(command, "north/sales", "--json")

    assert result.exit_code == 1
    assert "sales.yaml: the file: is not YAML: line 2, column 4" in result.stderr
    assert result.stdout == ""


def test_diff_compares_with_the_newest_upload_that_has_a_table(data: Path) -> None:
    took(data, 1, columns(shop="text", amount="float"))
    took(data, 2, columns(shop="text", amount="integer", day="date"))
    took(data, 3, None)

    document = json.loads(nika("diff", "north/sales", "--json").stdout)
    shown = nika("diff", "north/sales")

    assert document["upload_id"] == "sales-2"
    assert document["differences"] == [
        "column 'day' is not in the contract",
        "column 'amount' has type integer, the contract says float",
    ]
    assert document["refused"]["upload_id"] == "sales-3"
    assert shown.exit_code == 0
    assert "column 'amount' has type integer" in shown.stdout
    assert "sales-3 is newer and was refused" in shown.stderr


def test_diff_says_when_nothing_is_different_or_nothing_is_there(data: Path) -> None:
    nothing = nika("diff", "north/sales")
    took(data, 1, columns(shop="text", amount="float"))
    same = nika("diff", "north/sales")

    assert nothing.exit_code == 1
    assert "No upload of north/sales has a table" in nothing.stderr
    assert same.exit_code == 0
    assert "no difference" in same.stdout


def test_accept_makes_a_version_and_says_what_is_enforced(data: Path) -> None:
    first, again = nika("accept", "north/sales"), nika("accept", "north/sales", "--json")

    contract = load_contract(data / "contracts/north/sales.yaml")
    assert (contract.version, contract.status) == (2, "accepted")
    assert "is accepted, as version 2" in first.stdout
    assert "shop: never empty; no value twice" in first.stdout
    assert "amount: at least 0; at most 9.5" in first.stdout
    assert "nika retry" not in first.stdout
    document = json.loads(again.stdout)
    assert (document["version"], document["accepted_now"]) == (2, False)
    assert document["enforced"][1] == "amount: at least 0; at most 9.5"


def test_an_edit_is_a_version_that_can_be_compared_and_shown(data: Path) -> None:
    nika("accept", "north/sales")
    path = data / "contracts/north/sales.yaml"
    path.write_text(path.read_text().replace("le: 9.5", "le: 12"))

    compared = nika("diff", "north/sales", "--version", "1")
    document = json.loads(nika("diff", "north/sales", "--version", "2", "--json").stdout)

    assert "version 3 against version 1" in compared.stdout
    assert "column 'amount': le was 9.5, is 12" in compared.stdout
    assert "status was inferred, is accepted" in compared.stdout
    assert (document["version"], document["compared_with"]) == (3, 2)
    assert document["differences"] == ["column 'amount': le was 9.5, is 12"]
    assert "le: 9.5" in nika("show", "north/sales", "--version", "2").stdout
    assert json.loads(nika("show", "north/sales", "--json").stdout)["version"] == 3


def test_a_version_that_never_was_is_wrong_usage(data: Path) -> None:
    result = nika("show", "north/sales", "--version", "7")

    assert result.exit_code == 2
    assert "no version 7" in result.stderr
    assert "there are 1" in result.stderr


def test_earlier_versions_are_no_datasets_of_their_own(data: Path) -> None:
    nika("accept", "north/sales")

    result = nika("show", "north/nothing")

    assert "there are north/sales\n" in result.stderr or "there are north/sales " in result.stderr
    assert "history" not in result.stderr


def test_diff_tells_the_values_that_acceptance_would_reject_with_examples(data: Path) -> None:
    stored(data, 1, "('n', 1), ('n', 2), ('s', -3), (NULL, 70), ('w', 80)")

    shown = nika("diff", "north/sales")
    document = json.loads(nika("diff", "north/sales", "--json").stdout)

    assert document["rows_to_reject"] == 4
    assert document["differences"] == [
        "Column 'shop': 1 empty cell, where none was before",
        "Column 'shop': 1 value that came before, such as 'n'",
        "Column 'amount': 1 value below the 0 seen before, such as -3.0",
        "Column 'amount': 2 values above the 9.5 seen before, such as 70.0, 80.0",
    ]
    assert "Once accepted, it rejects such rows: 4 rows of this file." in shown.stdout
    assert "no difference" not in shown.stdout


def test_accept_tells_what_the_newest_file_would_have_lost(data: Path) -> None:
    stored(data, 1, "('n', 1), ('s', 2)")
    stored(data, 2, "('n', 1), ('s', 700)")

    shown = nika("accept", "north/sales")

    assert "1 row of the newest file (sales.csv) would be rejected:" in shown.stdout
    assert "such as 700.0" in shown.stdout
    assert "nika contract accept north/sales --with-new-values" in shown.stdout


def test_accept_with_new_values_makes_room_for_every_stored_version(data: Path) -> None:
    stored(data, 1, "('n', 1), ('s', 20)")
    stored(data, 2, "('n', -5), ('n', 3), (NULL, 4)")

    document = json.loads(nika("accept", "north/sales", "--with-new-values", "--json").stdout)
    contract = load_contract(data / "contracts/north/sales.yaml")
    again = json.loads(nika("accept", "north/sales", "--with-new-values", "--json").stdout)

    assert (contract.version, contract.status) == (2, "accepted")
    shop, amount = contract.columns
    assert (shop.nullable, shop.unique) == (True, False)
    assert (amount.ge, amount.le) == (-5, 20)
    assert document["rows_to_reject"] == 0
    assert "column 'amount': le was 9.5, is 20.0" in document["changes"]
    assert (again["version"], again["changes"]) == (2, [])


def test_the_newest_file_is_the_highest_version_not_the_last_arrival(data: Path) -> None:
    stored(data, 1, "('n', 1)")
    stored(data, 2, "('n', 700)")
    with open_ledger(data / "ledger.sqlite") as ledger:
        ledger.assign_version("sales-2")
        ledger.assign_version("sales-1")  # it was refused at first, and retried later

    document = json.loads(nika("diff", "north/sales", "--json").stdout)

    assert (document["upload_id"], document["rows_to_reject"]) == ("sales-1", 0)
