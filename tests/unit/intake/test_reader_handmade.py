"""Each handmade file becomes the table, or the refusal, that `expect.json` asks for."""

import json
from pathlib import Path
from typing import Any

import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reader import read_text_table
from nika_pipelines.intake.records import TextTable
from nika_pipelines.settings import Settings

HANDMADE = Path(__file__).resolve().parents[2] / "fixtures" / "handmade"
EXPECTED: dict[str, dict[str, Any]] = json.loads((HANDMADE / "expect.json").read_text("utf-8"))
STORED = sorted(name for name in EXPECTED if (HANDMADE / name).exists())
ACCEPTED = [name for name in STORED if EXPECTED[name]["expect"].startswith("accept")]
QUARANTINED = [name for name in STORED if EXPECTED[name]["expect"] == "quarantine"]
MAY_BE_REFUSED = {"comma_in_unquoted.csv": "RAGGED", "multitable.csv": "MULTIPLE_TABLES"}
SAME_BYTES_IN = {"latin-1": {"cp1252"}}
"""Encodings that cannot be told apart by the file's bytes."""


def read(name: str, tmp_path: Path) -> TextTable:
    return read_text_table(HANDMADE / name, name, tmp_path, Settings())


@pytest.mark.parametrize("name", sorted(set(ACCEPTED) - set(MAY_BE_REFUSED)))
def test_an_acceptable_file_becomes_its_table(name: str, tmp_path: Path) -> None:
    expected = EXPECTED[name]

    table = read(name, tmp_path)

    balance = table.balance
    assert balance.closes
    assert expected["rows"] == balance.accepted + table.footer_rows + balance.rejected - (
        1 if name == "ragged_long.csv" else 0
    )
    if expected["expect"] == "accept_generated_header":
        assert table.header_rows == 0
    elif expected["expect"] == "accept_drop_empty_col":
        assert table.names == expected["header"]
    else:
        assert [name.strip() for name in table.source_names] == expected["header"]
    if "encoding" in expected:
        wanted = expected["encoding"]
        assert table.encoding in {wanted, *SAME_BYTES_IN.get(wanted, set())}
    if "delimiter" in expected:
        assert table.dialect.delimiter == expected["delimiter"]


@pytest.mark.parametrize("name", QUARANTINED)
def test_an_unacceptable_file_is_refused_with_its_code(name: str, tmp_path: Path) -> None:
    code, _, detected = EXPECTED[name]["reason"].partition(":")

    with pytest.raises(UploadRejected) as refusal:
        read(name, tmp_path)

    assert refusal.value.code == code
    if detected:
        assert refusal.value.details["detected"] == detected


@pytest.mark.parametrize("name, code", sorted(MAY_BE_REFUSED.items()))
def test_a_file_with_more_wrong_rows_than_right_ones_is_refused(
    name: str, code: str, tmp_path: Path
) -> None:
    with pytest.raises(UploadRejected) as refusal:
        read(name, tmp_path)

    assert refusal.value.code == code


@pytest.mark.parametrize("name", STORED)
def test_nothing_but_the_two_tables_is_left_behind(name: str, tmp_path: Path) -> None:
    try:
        read(name, tmp_path)
    except UploadRejected:
        assert list(tmp_path.iterdir()) == []
    else:
        assert {path.name for path in tmp_path.iterdir()} == {"text.parquet", "rejects.parquet"}
