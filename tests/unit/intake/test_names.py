"""Names: what is stored, what is ignored, and that no name escapes its folder."""

import os
import unicodedata
from datetime import UTC, datetime
from pathlib import PurePath

import pytest
from dagster import DagsterInstance, DynamicPartitionsDefinition
from hypothesis import given
from hypothesis import strategies as st

from nika_pipelines.intake import names

ANY_NAME = st.binary(min_size=1, max_size=255).map(os.fsdecode)


@given(ANY_NAME)
def test_every_name_has_a_safe_form_that_is_one_path_part(name: str) -> None:
    safe = names.safe_name(name)
    assert 1 <= len(safe.encode()) <= names.MAX_NAME_BYTES
    assert safe not in {".", ".."}
    assert not set(safe) & set('/\\\0\n\r\t"')
    assert "..." not in safe
    assert safe.isprintable()


@given(ANY_NAME)
def test_a_safe_name_is_its_own_safe_name(name: str) -> None:
    assert names.safe_name(names.safe_name(name)) == names.safe_name(name)


@given(ANY_NAME)
def test_every_path_survives_being_stored_as_text(name: str) -> None:
    text = names.path_to_text(name)
    text.encode()
    assert names.path_from_text(text) == name


@given(ANY_NAME)
def test_display_names_hold_no_control_or_direction_characters(name: str) -> None:
    shown = names.display_name(name)
    shown.encode()
    assert "\u202e" not in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "name, dataset",
    [
        ("sales_2024-05.csv", "sales"),
        ("sales_2024-05-17.csv", "sales"),
        ("sales-20240517.csv", "sales"),
        ("sales 202405.csv", "sales"),
        ("sales (3).csv", "sales"),
        ("q1.csv", "q1"),
        ("q2.csv", "q2"),
        ("report_v2.csv", "report_v2"),
        ("2024-05.csv", "2024-05"),
        ("sales_2024.csv", "sales_2024"),
        ("sales.202405.csv", "sales"),
        ("sales_2024-05 (2).csv", "sales_2024-05"),
        ("sales(2).csv", "sales(2)"),
        ("sales_2024-05_.csv", "sales_2024-05_"),
        ("_sales_.csv", "_sales_"),
        ("sales_2024-5.csv", "sales_2024-5"),
        ("sales_123456789.csv", "sales_123456789"),
        ("customer_100234.csv", "customer_100234"),
        ("sales_202413.csv", "sales_202413"),
        ("sales_20240199.csv", "sales_20240199"),
        ("sales_2024-05.csv.gz", "sales"),
        ("sales.TSV.zst", "sales"),
        ("gz", "gz"),
    ],
)
def test_a_dataset_is_the_stem_without_a_trailing_date_or_copy_number(
    name: str, dataset: str
) -> None:
    assert names.dataset_name(name) == dataset


def test_a_tag_is_part_of_the_dataset() -> None:
    assert names.dataset_name("sales.csv", tag="north") == "north/sales"


@pytest.mark.parametrize(
    "name, dataset",
    [("Sales.csv", "sales"), ("SALES_2024-05.CSV", "sales"), ("STRASSE.csv", "strasse")],
)
def test_datasets_do_not_differ_by_case(name: str, dataset: str) -> None:
    assert names.dataset_name(name) == dataset
    assert names.dataset_name(name, tag="North") == f"north/{dataset}"


def test_a_tag_never_has_the_name_of_a_contracts_file() -> None:
    assert names.dataset_name("sales.csv", tag="North.YAML") == "north.yaml_/sales"


def test_composed_and_decomposed_letters_are_one_dataset() -> None:
    composed, decomposed = "caf\u00e9.csv", "cafe\u0301.csv"
    assert names.dataset_name(composed) == names.dataset_name(decomposed) == "caf\u00e9"


@pytest.mark.parametrize(
    "name, safe",
    [
        ("CON.csv", "CON_.csv"),
        ("com1", "com1_"),
        ("nul.tar.csv", "nul_.tar.csv"),
        ("console.csv", "console.csv"),
    ],
)
def test_names_of_devices_are_never_given(name: str, safe: str) -> None:
    assert names.safe_name(name) == safe
    assert names.dataset_name("con_2024-05.csv") == "con_"


@pytest.mark.parametrize("name", [".csv", " .csv", "\u200e.csv", "...csv"])
def test_a_name_without_a_stem_keeps_what_tells_the_format(name: str) -> None:
    assert PurePath(names.safe_name(name)).suffix == ".csv"
    assert names.dataset_name(".csv.gz") == "file"


def test_a_long_name_keeps_what_tells_the_format() -> None:
    assert names.safe_name("x" * 240 + ".csv.gz").endswith("x.csv.gz")
    assert len(names.safe_name("x" * 240 + ".csv.gz")) == names.MAX_NAME_BYTES


@pytest.mark.parametrize(
    "name, companions",
    [
        ("sales.csv", ["sales.csv.nika.yaml", "sales.nika.yaml"]),
        ("sales.csv.gz", ["sales.csv.gz.nika.yaml", "sales.csv.nika.yaml", "sales.nika.yaml"]),
        ("sales", ["sales.nika.yaml"]),
        ("a.b.csv", ["a.b.csv.nika.yaml", "a.b.nika.yaml"]),
    ],
)
def test_a_companion_has_the_stem_or_the_whole_name_of_its_file(
    name: str, companions: list[str]
) -> None:
    assert list(names.companion_names(name)) == companions


@given(ANY_NAME, ANY_NAME)
def test_a_dataset_is_a_path_of_short_parts_that_folding_leaves_alone(name: str, tag: str) -> None:
    for part in names.dataset_name(name, tag).split("/"):
        assert 1 <= len(part.encode()) <= names.MAX_NAME_BYTES
        assert part not in {".", ".."}
        assert unicodedata.normalize("NFC", part) == part


@pytest.mark.parametrize("name", ["reason.json", "Reason.JSON", " reason.json. "])
def test_no_file_is_stored_under_the_name_of_the_quarantine_document(name: str) -> None:
    safe = names.safe_name(name)
    assert safe.casefold() == "reason_.json"
    assert names.safe_name(safe) == safe


def test_hostile_names_become_partition_keys_that_dagster_takes() -> None:
    hostile = [
        "a\nb.csv",
        "a...b.csv",
        "\u202egnp.csv",
        "x" * 251 + ".csv",
        "\udcff.csv",
        "-rf.csv",
    ]
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    keys = [names.new_upload_id(name, now) for name in hostile]
    partitions = DynamicPartitionsDefinition(name="keys")
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("keys", keys)
        assert list(partitions.get_partition_keys(dynamic_partitions_store=instance)) == keys
    assert all("20260102T030405Z" in key and not key.startswith("-") for key in keys)


@pytest.mark.parametrize("name", [".hidden", "~$book.xlsx", "a.csv.part", "A.TMP", "x.crdownload"])
def test_hidden_files_and_unfinished_copies_are_ignored(name: str) -> None:
    assert names.is_ignored(name)


@pytest.mark.parametrize("name", ["a.nika.yaml", "A.ANALYSIS.YAML"])
def test_sidecars_are_companions(name: str) -> None:
    assert names.is_companion(name)


def test_names_that_differ_in_bytes_outside_utf_8_stay_different() -> None:
    one, other = "caf\udce9.csv", "caf\udce8.csv"
    assert names.readable_name(one) != names.readable_name(other)
    assert names.safe_name(one) == "caf_xe9.csv"
    assert names.dataset_name(one) != names.dataset_name(other)
