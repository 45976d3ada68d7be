"""Numbers that mean a thousand times as much in another reading: the file's own evidence decides."""

from pathlib import Path

import pytest

from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions, parse_options
from nika_pipelines.intake.records import IntakeReport
from nika_pipelines.intake.take_in import take_in
from nika_pipelines.settings import Settings

DOTS = [f"{1 + n}.{n * 37 % 1000:03}" for n in range(1, 60)]
COMMAS = [cell.replace(".", ",") for cell in DOTS]


def taken(
    folder: Path, delimiter: str, said: ReadingOptions = NOTHING_SAID, **columns: list[str]
) -> tuple[IntakeReport, list[str]]:
    lines = [delimiter.join(columns), *map(delimiter.join, zip(*columns.values(), strict=True))]
    source = folder / "a.csv"
    source.write_text("\n".join(lines) + "\n", "utf-8")
    out = folder / "out"
    out.mkdir(exist_ok=True)
    report = take_in(source, "a.csv", out, Settings(), None, "a", options=said)
    return report, [one.message for one in report.warnings if one.code == "FORMAT_MISMATCH"]


def keys() -> list[str]:
    return [f"k{n}" for n in range(59)]


@pytest.mark.parametrize(
    "cells, read, other",
    [
        (DOTS, ("integer", "thousands dot"), '{"amount": {"type": "float"}}'),
        (
            COMMAS, ("float", "decimal comma"),
            '{"amount": {"type": "integer", "format": "thousands comma"}}',
        ),
    ],
)  # fmt: skip
def test_semicolons_speak_for_decimal_commas_but_are_no_proof(
    tmp_path: Path, cells: list[str], read: tuple[str, str], other: str
) -> None:
    report, (message,) = taken(tmp_path, ";", key=keys(), amount=cells)

    assert (report.columns[1].type, report.columns[1].format) == read
    assert "Column 'amount': every number is ambiguous" in message
    assert f"`columns: {other}`" in message


def test_the_line_that_the_warning_offers_settles_it(tmp_path: Path) -> None:
    said = parse_options({"columns": {"amount": {"type": "float"}}})

    report, messages = taken(tmp_path, ";", said, key=keys(), amount=DOTS)

    assert (report.columns[1].type, report.columns[1].format) == ("float", None)
    assert not messages


@pytest.mark.parametrize(
    "delimiter, other, read, is_told",
    [
        (";", [f"{n},5" for n in range(59)], "thousands dot", False),
        (";", [f"{n}.5" for n in range(59)], None, False),
        ("\t", [f"{n},5" for n in range(59)], "thousands dot", False),
        (",", [f"k{n}" for n in range(59)], None, False),
    ],
)
def test_another_column_is_better_evidence(
    tmp_path: Path, delimiter: str, other: list[str], read: str | None, is_told: bool
) -> None:
    report, messages = taken(tmp_path, delimiter, key=keys(), amount=DOTS, other=other)

    assert report.columns[1].format == read
    assert bool(messages) is is_told


def test_many_such_columns_are_summed_up(tmp_path: Path) -> None:
    _, messages = taken(tmp_path, ";", key=keys(), **{f"c{n}": DOTS for n in range(14)})

    assert len(messages) == 11
    assert messages[-1].startswith("4 more columns are ambiguous likewise, such as 'c10'")


def test_columns_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    commas, points = ([f"{n}{mark}5" for n in range(59)] for mark in ",.")

    report, (message,) = taken(tmp_path, ";", key=keys(), amount=DOTS, x=commas, y=points)

    assert (report.columns[1].type, report.columns[1].format) == ("float", None)
    assert '"format": "thousands dot"' in message


@pytest.mark.parametrize("cells", [[str(n) for n in range(59)], [f"{n}.25" for n in range(59)]])
def test_clear_numbers_in_such_files_are_not_told(tmp_path: Path, cells: list[str]) -> None:
    assert not taken(tmp_path, ";", key=keys(), amount=cells)[1]
