"""A version of a contract names one set of promises for ever."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from nika_pipelines.intake.contract import diff_versions
from nika_pipelines.intake.contract_file import (
    ColumnRule,
    Contract,
    ContractError,
    load_contract,
    save_contract,
)
from nika_pipelines.intake.contract_history import (
    accept,
    current_contract,
    first_contract,
    kept_contract,
    kept_versions,
)
from nika_pipelines.intake.identity import contract_options
from nika_pipelines.intake.reading_options import ReadingOptions

FIRST = Contract("d", (ColumnRule("n", "integer", ge=0, le=10), ColumnRule("word", "text")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    first_contract(FIRST, tmp_path / "north/d.yaml")
    return tmp_path / "north/d.yaml"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_an_edit_is_the_next_version_and_the_earlier_one_is_kept(path: Path) -> None:
    edit(path, "le: 10", "le: 99  # asked for by sales")

    contract = current_contract(path)

    assert (contract.version, contract.columns[0].le) == (2, 99)
    assert current_contract(path) == contract == load_contract(path)
    assert kept_versions(path) == [1, 2]
    assert kept_contract(path, 1) == FIRST
    assert "# asked for by sales" in path.read_text("utf-8")
    assert diff_versions(kept_contract(path, 1), contract) == ["column 'n': le was 10, is 99"]


def test_a_comment_is_no_edit(path: Path) -> None:
    edit(path, "columns:", "# thought about\ncolumns:")

    assert current_contract(path).version == 1


def test_an_edit_changes_what_files_count_as_the_same(path: Path) -> None:
    before = contract_options(path)
    edit(path, "le: 10", "le: 11")

    assert contract_options(path) != before


def test_a_contract_that_was_put_back_is_the_version_it_was(path: Path) -> None:
    original = path.read_bytes()
    edit(path, "le: 10", "le: 11")
    assert current_contract(path).version == 2
    path.write_bytes(original)

    assert current_contract(path) == FIRST


def test_accepting_an_edited_contract_keeps_both_steps(path: Path) -> None:
    edit(path, "le: 10", "le: 11")

    accepted = accept(path)

    assert (accepted.version, accepted.status) == (3, "accepted")
    assert [kept_contract(path, n).status for n in (1, 2, 3)] == [
        "inferred",
        "inferred",
        "accepted",
    ]
    assert diff_versions(kept_contract(path, 2), accepted) == ["status was inferred, is accepted"]


def test_another_style_of_yaml_is_versioned_as_well(path: Path) -> None:
    path.write_text(
        '{"schema_version": 1, "dataset": "d", "version": 1, "status": "inferred",'
        ' "columns": [{"name": "n", "type": "float"}]}',
        "utf-8",
    )

    assert current_contract(path).version == 2
    assert load_contract(path).columns[0].type == "float"


def test_a_contract_written_by_hand_is_a_version_from_the_start(tmp_path: Path) -> None:
    save_contract(replace(FIRST, version=7), tmp_path / "d.yaml")

    assert current_contract(tmp_path / "d.yaml").version == 7
    assert kept_versions(tmp_path / "d.yaml") == [7]


def test_a_contract_made_anew_never_takes_an_old_number(path: Path) -> None:
    path.unlink()

    assert contract_options(path) == "contract 2"
    made = first_contract(replace(FIRST, columns=FIRST.columns[:1]), path)

    assert made is not None
    assert made.version == 2
    assert kept_contract(path, 1) == FIRST


def test_of_many_workers_that_see_an_edit_one_makes_the_version(path: Path) -> None:
    edit(path, "le: 10", "le: 11")
    with ThreadPoolExecutor(8) as workers:
        seen = list(workers.map(lambda _: current_contract(path).version, range(16)))

    assert seen == [2] * 16
    assert kept_versions(path) == [1, 2]
    assert not list(path.parent.rglob("*.part"))


def test_how_files_are_read_is_part_of_a_contract(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    reading = ReadingOptions(delimiter=";", preamble_rows=2, quotechar="")
    save_contract(replace(FIRST, reading=reading), path)

    assert load_contract(path).reading == reading
    assert "sidecar" in path.read_text("utf-8")


@pytest.mark.parametrize(
    "line, key",
    [
        ("reading: {delimiter: 7}", "reading.delimiter"),
        ("reading: {colour: red}", "reading.colour"),
        ("reading: {columns: {n: float}}", "reading.columns"),
        ("reading: [1]", "reading.the document"),
    ],
)
def test_a_mistake_in_reading_names_its_key(path: Path, line: str, key: str) -> None:
    edit(path, "columns:", f"{line}\ncolumns:")

    with pytest.raises(ContractError) as caught:
        current_contract(path)
    assert caught.value.key == key
