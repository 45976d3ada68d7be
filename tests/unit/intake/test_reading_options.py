"""What a person says about a file: read from YAML, checked key by key, laid over other options."""

import time
from pathlib import Path

import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reading_options import (
    NOTHING_SAID,
    ColumnOption,
    ReadingOptions,
    load_sidecar,
    parse_options,
)


def sidecar(folder: Path, text: str | bytes) -> Path:
    path = folder / "sales.nika.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_sidecar_says_how_its_file_is_read(tmp_path: Path) -> None:
    path = sidecar(
        tmp_path,
        'encoding: windows-1252\ndelimiter: ";"\nheader_rows: 2\n'
        "columns:\n  zip: text\n  paid: {type: float, format: decimal comma}\n",
    )

    assert load_sidecar(path) == ReadingOptions(
        encoding="windows-1252",
        delimiter=";",
        header_rows=2,
        columns={"zip": ColumnOption("text"), "paid": ColumnOption("float", None, "decimal comma")},
    )


def test_an_empty_sidecar_says_nothing(tmp_path: Path) -> None:
    assert load_sidecar(sidecar(tmp_path, "# later\n")) == NOTHING_SAID


@pytest.mark.parametrize(
    "text, told",
    [
        ("seperator: ';'", "seperator: is not known"),
        ("encoding: klingon", "encoding: must be"),
        ("encoding: base64", "encoding: must be"),
        ("delimiter: ''", "delimiter: must be"),
        ("quotechar: ab", "quotechar: must be"),
        ("header_rows: -1", "header_rows: must be"),
        ("header_rows: true", "header_rows: must be"),
        ("columns: {zip: number}", "columns.zip.type: must be one of"),
        ("columns: {zip: {kind: text}}", "columns.zip.kind: is not known"),
        ("[1, 2]", "must be keys with values"),
        ("a: [", "sales.nika.yaml cannot be used"),
        (b"\xff\xfe\x00", "sales.nika.yaml cannot be used"),
        ("x" * 70_000, "has more than"),
        ("!!python/object/apply:os.system ['true']", "sales.nika.yaml cannot be used"),
        ("header_rows: " + "1" * 5_000, "is not YAML"),
        ("sheet: 2024-13-45", "month must be in 1..12"),
        ("sheet: !!bool maybe", "is not YAML"),
        ("sheet: !!timestamp soon", "is not YAML"),
        ('delimiter: "\\ud800"', "is not YAML"),
        ("a: &a {sheet: x}\ncolumns: *a", "line 2: aliases (`*a`) are not taken"),
        ("[" * 30_000, "nests more than 20 levels deep"),
    ],
)
def test_a_broken_sidecar_is_refused_with_its_key(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    with pytest.raises(UploadRejected, match=r"CONTRACT_BROKEN") as refused:
        load_sidecar(sidecar(tmp_path, text))

    assert told in refused.value.message
    assert refused.value.details["sidecar"] == "sales.nika.yaml"


def test_a_sidecar_that_would_unpack_to_gigabytes_is_refused_at_once(tmp_path: Path) -> None:
    levels = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30)]
    started = time.process_time()

    with pytest.raises(UploadRejected, match="aliases"):
        load_sidecar(sidecar(tmp_path, "\n".join(["a0: &a0 {x: 1}", *levels])))

    assert time.process_time() - started < 2


def test_options_are_completed_by_others_and_written_back() -> None:
    near = ReadingOptions(delimiter=";", quotechar="", columns={"a": ColumnOption("text")})
    far = ReadingOptions(delimiter=",", header_rows=0, columns={"b": ColumnOption("date")})

    merged = near.over(far)

    assert (merged.delimiter, merged.quotechar, merged.header_rows) == (";", "", 0)
    assert parse_options(merged.to_document()) == merged
