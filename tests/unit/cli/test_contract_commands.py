"""`nika contract`: what is promised, what is different, and from when it is enforced."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

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
    assert "nika retry ID" in first.stdout
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
