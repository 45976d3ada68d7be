"""Sidecars: found beside the file, kept for later, and never a way around the file's folder."""

import os
from dataclasses import fields, replace
from pathlib import Path

import pytest

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.identity import content_identity, reading_options
from nika_pipelines.intake.names import path_to_text
from nika_pipelines.intake.reading_options import MAX_SIDECAR_BYTES, NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.states import Upload, UploadState
from resources.sidecars import Sidecar, Sidecars, beside


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "sales.csv"
    path.parent.mkdir()
    path.write_text("a;b\n1;2\n")
    return path


@pytest.fixture
def sidecars(tmp_path: Path) -> Sidecars:
    return Sidecars(tmp_path / "data")


def upload(source: Path) -> Upload:
    base = Upload("u1", "tables", "sales.csv", "sales.csv", "sales", UploadState.RECEIVED, "t", "t")
    return replace(base, source_path=path_to_text(str(source)))


def test_a_file_without_a_sidecar_has_nothing_said_about_it(
    source: Path, sidecars: Sidecars
) -> None:
    assert beside(source) is None
    assert sidecars.take(upload(source)) == NOTHING_SAID


@pytest.mark.parametrize("name", ["sales.nika.yaml", "sales.csv.nika.yaml"])
def test_the_stem_and_the_whole_name_find_the_sidecar(source: Path, name: str) -> None:
    source.with_name(name).write_text('delimiter: ";"\n')
    found = beside(source)
    assert found is not None
    assert found.options() == ReadingOptions(delimiter=";")


def test_the_whole_name_beats_the_stem(source: Path) -> None:
    source.with_name("sales.nika.yaml").write_text('delimiter: ","\n')
    source.with_name("sales.csv.nika.yaml").write_text('delimiter: "|"\n')
    found = beside(source)
    assert found is not None
    assert found.options().delimiter == "|"


def test_what_was_kept_counts_only_while_nothing_lies_beside_the_source(
    source: Path, sidecars: Sidecars
) -> None:
    sidecar = source.with_name("sales.nika.yaml")
    sidecar.write_text('delimiter: ";"\n')
    assert sidecars.take(upload(source)).delimiter == ";"
    sidecar.unlink()
    assert sidecars.take(upload(source)).delimiter == ";"
    sidecar.write_text('delimiter: "|"\n')
    assert sidecars.take(upload(source)).delimiter == "|"
    sidecar.write_text("")
    assert sidecars.take(upload(source)) == NOTHING_SAID
    assert sidecars.kept("u1") == NOTHING_SAID


def test_a_broken_sidecar_refuses_the_file_and_is_not_kept(
    source: Path, sidecars: Sidecars
) -> None:
    sidecar = source.with_name("sales.nika.yaml")
    sidecar.write_text("delimitr: x\n")
    with pytest.raises(UploadRejected, match=r"sales\.nika\.yaml.*delimitr") as caught:
        sidecars.take(upload(source))
    assert caught.value.code == "CONTRACT_BROKEN"
    sidecar.unlink()
    assert sidecars.take(upload(source)) == NOTHING_SAID


def make_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_large(path: Path) -> None:
    path.write_bytes(b"#" * (MAX_SIDECAR_BYTES + 1))


@pytest.mark.parametrize("make", [make_link, make_pipe, make_large, Path.mkdir])
def test_links_pipes_folders_and_giants_are_no_sidecars_and_not_passed_over(
    source: Path, sidecars: Sidecars, make: object
) -> None:
    make(source.with_name("sales.nika.yaml"))  # type: ignore[operator]
    with pytest.raises(UploadRejected) as caught:
        sidecars.take(upload(source))
    assert caught.value.code == "CONTRACT_BROKEN"
    assert "root:" not in str(caught.value)


def test_names_at_the_limit_and_vanished_folders_have_no_sidecar(tmp_path: Path) -> None:
    assert beside(tmp_path / ("x" * 251 + ".csv")) is None
    assert beside(tmp_path / "gone" / "sales.csv") is None
    assert beside(tmp_path / os.fsdecode(b"\xff.csv")) is None


def test_a_sidecar_changes_the_identity_and_its_layout_does_not(tmp_path: Path) -> None:
    contract = tmp_path / "sales.yaml"
    said, same = (
        ReadingOptions(delimiter=";", header_rows=1),
        ReadingOptions(header_rows=1, delimiter=";"),
    )
    texts = [reading_options(one, contract) for one in (NOTHING_SAID, said, same)]
    assert texts[0] != texts[1] == texts[2]
    assert content_identity("ab", texts[0]) != content_identity("ab", texts[1])


def test_the_documented_sidecar_can_be_used() -> None:
    page = (Path(__file__).parents[3] / "docs" / "intake.md").read_text(encoding="utf-8")
    example = page.split("## Companions")[1].split("```yaml\n")[1].split("```")[0]
    said = Sidecar("sales.nika.yaml", example.encode()).options()
    assert said.to_document().keys() == {field.name for field in fields(ReadingOptions)}
