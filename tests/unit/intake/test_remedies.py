"""What a refusal advises when the content is not what the name says, or is damaged."""

import gzip
import zipfile
from pathlib import Path

import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.gate import check_gate
from nika_pipelines.intake.take_in import take_in
from nika_pipelines.settings import Settings

HTML = b"<html><body><table><tr><td>a</td></tr></table></body></html>"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def archive(path: Path, part: str) -> bytes:
    with zipfile.ZipFile(path, "w") as target:
        target.writestr(part, "<x/>")
    return path.read_bytes()


def refusal(tmp_path: Path, name: str, content: bytes) -> UploadRejected:
    source = tmp_path / "source"
    source.write_bytes(content)
    with pytest.raises(UploadRejected) as refused:
        check_gate(source, name, Settings())
    return refused.value


@pytest.mark.parametrize(
    "part, kind, advised",
    [
        ("xl/workbook.xml", "an XLSX workbook", "ends in .xlsx"),
        ("content.xml", "an ODS workbook", "ends in .ods"),
        ("readme.txt", "an archive of other files", "Unpack it"),
    ],
)
def test_an_archive_is_looked_into(tmp_path: Path, part: str, kind: str, advised: str) -> None:
    refused = refusal(tmp_path, "a.csv", archive(tmp_path / "zip", part))

    assert refused.code == "MAGIC_MISMATCH"
    assert refused.message.endswith(f"the content is {kind}.")
    assert advised in refused.advice


@pytest.mark.parametrize(
    "name, content, advised",
    [
        ("a.xls", HTML, "save it as XLSX or CSV"),
        ("a.csv", PNG, "renaming does not help"),
        ("a.csv.gz", b"a,b\n1,2\n", "ends in .csv"),
        ("a.csv", gzip.compress(b"a,b\n1,2\n"), "ends in .csv.gz"),
        ("a.json", b"a,b\n1,2\n", "ends in .csv; otherwise export it again as JSON"),
    ],
)
def test_renaming_is_advised_only_into_a_format_that_is_taken(
    tmp_path: Path, name: str, content: bytes, advised: str
) -> None:
    advice = refusal(tmp_path, name, content).advice

    assert advised in advice
    assert "ends in .html" not in advice
    assert "ends in .png" not in advice


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 900)[:-12]),
        ("a.json", b'[{"a": 1}, {"a": 2'),
        ("a.xlsx", b"PK\x03\x04" + b"\0" * 50),
    ],
)
def test_a_damaged_file_is_to_be_copied_again(tmp_path: Path, name: str, content: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    (tmp_path / "out").mkdir()
    with pytest.raises(UploadRejected) as refused:
        take_in(source, name, tmp_path / "out", Settings(data=tmp_path), None, "a")

    assert refused.value.code == "UNSUPPORTED_FORMAT"
    assert "Copy or export it again" in refused.value.advice
