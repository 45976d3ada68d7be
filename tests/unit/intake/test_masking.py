"""Masks tell what kind of value was there, and nothing that names a person."""

import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.masking import (
    Masking,
    error_told,
    frames_told,
    masked_text,
    masked_value,
)
from nika_pipelines.intake.records import Column
from nika_pipelines.settings import Settings

PEOPLE = Masking(frozenset({"email", "phone"}))
NOBODY = Masking(frozenset())


@pytest.mark.parametrize(
    "value, mask",
    [
        ("anna.schmidt@example.org", "a***@e***.org"),
        ("ab@ex.co", "***@***.co"),
        ("someone@localhost", "s***@l***"),
        ("+49 170 1234512", "+49 *** **12"),
        ("0049 (30) 123456", "0049 *** **56"),
        ("+491701234512", "*** **12"),
        (491701234512, "*** **12"),
        ("12345", "***"),
        ("DE89 3704 0044 0532 0130 07", "*** **07"),
        ("123-45-6789", "*** **89"),
        ("Julia Doe-Meyer", "J*** D***"),
        ("Bo Li", "*** ***"),
        ("U\u0308lker", "\u00dc***"),
        ("\u738b\u5c0f\u660e", "***"),
        ("\u6b27\u9633\u4fee\u6b27", "***"),
        ("Anna <anna@example.org>", "A*** ***"),
        ("  ", ""),
        ("", ""),
    ],
)
def test_a_mask_keeps_the_shape_only(value: object, mask: str) -> None:
    assert masked_value(value) == mask


@given(st.text(st.characters(categories=("L", "N", "P", "Zs")), min_size=1))
def test_a_mask_never_holds_two_letters_of_a_value_side_by_side(value: str) -> None:
    mask = masked_value(value)
    assert mask == masked_value(value)
    # What may be left: single letters, the last two digits, a country code, a domain's ending.
    rest = re.sub(r"\.[A-Za-z]{2,6}$", "", mask)
    rest = re.sub(r"^(?:\+|00)[0-9]{1,3} ", "", rest)
    assert not re.search(r"[^\W\d_]{2}|\d{3}", rest)
    assert sum(unicodedata.category(one).startswith("L") for one in rest) <= 4


@given(local=st.from_regex(r"[a-z]{4,12}\.[a-z]{4,12}", fullmatch=True))
def test_an_address_is_found_in_any_text(local: str) -> None:
    text = masked_text(f"line 7 holds '{local}@example.org', and <{local}@example.org>; 12 rows")
    assert local not in text
    assert text.startswith("line 7 holds '")
    assert text.endswith("; 12 rows")


@pytest.mark.parametrize(
    "text",
    [
        "12,345,678 of 99,999,999 rows",
        "2026-01-02 10:00:00 to 2026-01-03T11:12:13.123456Z",
        "SKU AB12-3456, version 1.2.3",
        "a @ b",
        "-1234567.25 and +0.5",
        "value 99,999.5 in row 41",
    ],
)
def test_figures_and_times_are_not_taken_for_people(text: str) -> None:
    assert masked_text(text) == text


@pytest.mark.parametrize(
    "cell", ["x" * 1_000_000, "a@b." * 200_000, "1 " * 500_000, "+1" * 400_000]
)
def test_a_long_cell_is_searched_in_no_time(cell: str) -> None:
    started = time.process_time()
    masked_text(cell)
    assert time.process_time() - started < 5


def test_cells_of_other_columns_are_shown_unless_they_look_personal() -> None:
    assert PEOPLE.cell("remark", "see room 5") == "see room 5"
    assert PEOPLE.cell("remark", "ask anna@example.org") == "ask a***@e***.org"
    assert PEOPLE.cell("amount", 12.5) == 12.5
    assert PEOPLE.cell("phone", 491701234512) == "*** **12"
    assert PEOPLE.cell("phone", None) is None


def test_only_the_structure_of_a_rejected_row_is_shown() -> None:
    raw = '7,"Doe, Jane",jane@example.org,,x'
    assert PEOPLE.rejected(None, raw, ",") == "***,***,***,,***"
    assert PEOPLE.rejected(None, raw, None) == "***"
    assert NOBODY.rejected(None, "7,abc,,x", ",") == "7,abc,,x"


@pytest.mark.parametrize(
    "raw, shown",
    [
        ("n/a", "n/a"),
        ("unknown", "unknown"),
        ("12..5", "12..5"),
        ("2026-13-45 10:00:00", "2026-13-45 10:00:00"),
        ("Schmidt", "S***"),
        ("anna@example.org", "a***@e***.org"),
        ("0170 1234567", "*** **67"),
    ],
)
def test_a_cell_that_slipped_into_another_column_is_masked(raw: str, shown: str) -> None:
    assert PEOPLE.rejected("amount", raw, ",") == shown


def test_nothing_is_masked_when_the_setting_is_off() -> None:
    columns = [Column("email", "text", "email", personal=True)]
    masking = Masking.of(columns, Settings(mask_personal_data=False))
    assert masking.cell("email", "anna@example.org") == "anna@example.org"
    assert masking.rejected(None, "a,b", ",") == "a,b"
    assert not masking.hides("email")
    assert Masking.of(columns, Settings()).hides("email")


def test_errors_of_libraries_lose_the_values_that_they_quote() -> None:
    import duckdb

    name = "Annegret Maier"
    try:
        duckdb.execute("SELECT CAST(? AS INTEGER)", [name]).fetchall()
    except duckdb.Error as error:
        told, frames = error_told(error, masked=True), frames_told(error)
        assert name in error_told(error, masked=False)
    assert told.startswith("ConversionException: ")
    assert "INT32" in told
    assert "Annegret" not in told + frames
    assert "test_masking.py" in frames


@pytest.mark.parametrize(
    "told, shown",
    [
        ("can't convert 'Anna Maier' to a number", "can't convert '***' to a number"),
        ('no date: "Anna Maier" at row 3', "no date: '***' at row 3"),
        ("no number: 'Anna O'Hara Maier' at row 3", "no number: '***' at row 3"),
        ("'Anna' and 'Maier' differ", "'***' differ"),
        ("cut off: 'Anna O'Hara Mai", "cut off: '***'"),
        ("nothing is quoted", "nothing is quoted"),
    ],
)
def test_values_are_hidden_however_they_are_quoted(told: str, shown: str) -> None:
    assert error_told(ValueError(told), masked=True) == f"ValueError: {shown}"


def test_our_own_errors_keep_the_names_that_they_quote() -> None:
    error = UploadRejected("CONTRACT_BROKEN", "Column 'amount' is missing.")
    assert "'amount'" in error_told(error, masked=True)
