"""What makes two uploads the same: content, name, sidecar, contract; and what is done about it."""

import json
from pathlib import Path
from typing import Any

import pytest
from projects import CLEAN, Project

from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.processing import requeue

SEMICOLONS = CLEAN.replace(",", ";")
TRICKY = "code;note\n" + "".join(f"{n:03d},5;x\n" for n in range(40))
"""Told nothing, intake cuts it at the semicolon; a sidecar may say otherwise."""


@pytest.fixture
def project(light_project: Project) -> Project:
    """What these tests ask for is in the ledger and on the disk, not among Dagster's events."""
    return light_project


def process(project: Project, name: str, content: str, tag: str | None = None) -> Upload:
    folder = project.workspace.inbox.folder("tables")
    if tag is not None:
        folder = folder / tag
        folder.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    (upload,) = project.workspace.inbox.look("tables").taken
    project.run([upload])
    return project.now(upload)


def again(project: Project, upload: Upload) -> Upload:
    """What `nika retry` does."""
    requeue(upload.upload_id, project.settings)
    project.run([upload])
    return project.now(upload)


def columns_of(project: Project, upload: Upload) -> list[str]:
    path = project.settings.data / "results" / "tables" / upload.upload_id / "result.json"
    document: dict[str, Any] = json.loads(path.read_text())
    return [column["name"] for column in document["columns"]]


def sidecar(project: Project, name: str, text: str) -> Path:
    path = project.workspace.inbox.folder("tables") / name
    path.write_text(text)
    return path


# ---- aliases


def test_the_same_content_under_another_name_is_an_alias(project: Project) -> None:
    first = process(project, "sales.csv", CLEAN)
    other = process(project, "umsatz.csv", CLEAN)
    assert (other.state, other.duplicate_of) == (UploadState.DUPLICATE, first.upload_id)
    assert other.message is not None
    assert "alias" in other.message
    assert "sales.csv" in other.message
    assert project.materialised("validated_table") == [first.upload_id]
    assert not (project.settings.data / "contracts" / "umsatz.yaml").exists()
    repeats = project.workspace.ledger.repeats_of(first.upload_id)
    assert [one.upload_id for one in repeats] == [other.upload_id]


def test_repetitions_of_repetitions_point_to_the_first(project: Project) -> None:
    first = process(project, "sales.csv", CLEAN)
    rest = [process(project, name, CLEAN) for name in ("b.csv", "b.csv", "sales.csv", "c.csv")]
    assert {one.duplicate_of for one in rest} == {first.upload_id}
    assert again(project, rest[0]).duplicate_of == first.upload_id
    assert again(project, first).state == UploadState.REPORT_READY


def test_a_dataset_with_a_contract_of_its_own_judges_its_file_itself(project: Project) -> None:
    process(project, "sales.csv", CLEAN)
    umsatz = process(project, "umsatz.csv", CLEAN + "2026-02-01,3.5,Kyiv\n")
    assert umsatz.state == UploadState.REPORT_READY
    other = process(project, "umsatz_2026-02.csv", CLEAN)
    assert (other.state, other.dataset, other.version) == (UploadState.REPORT_READY, "umsatz", 2)


def test_a_month_that_repeats_the_one_before_is_an_alias_within_its_dataset(
    project: Project,
) -> None:
    first = process(project, "sales_2026-01.csv", CLEAN)
    second = process(project, "sales_2026-02.csv", CLEAN)
    assert (second.state, second.duplicate_of) == (UploadState.DUPLICATE, first.upload_id)


def test_the_same_name_from_another_team_is_an_alias_too(project: Project) -> None:
    first = process(project, "sales.csv", CLEAN, tag="north")
    other = process(project, "sales.csv", CLEAN, tag="south")
    assert (other.state, other.duplicate_of) == (UploadState.DUPLICATE, first.upload_id)
    assert other.message is not None
    assert "north/sales.csv" in other.message


def test_another_extension_is_read_in_another_way_and_no_alias(project: Project) -> None:
    process(project, "sales.csv", CLEAN)
    other = process(project, "sales.xlsx", CLEAN)
    assert (other.state, other.error_code) == (UploadState.QUARANTINED, "MAGIC_MISMATCH")


def test_what_was_refused_is_no_original(project: Project) -> None:
    broken = 'a,b\n1,"never closed\n' + "2,3\n" * 50
    first = process(project, "a.csv", broken)
    second = process(project, "b.csv", broken)
    third = process(project, "a.csv", broken)
    assert {one.state for one in (first, second, third)} == {UploadState.QUARANTINED}
    for one in (first, second, third):
        kept = project.settings.data / "quarantine" / one.upload_id / one.stored_name
        assert kept.read_text() == broken


@pytest.mark.parametrize("state", [UploadState.FAILED, UploadState.DELETED])
def test_what_failed_or_was_deleted_meanwhile_is_no_original(
    project: Project, state: UploadState
) -> None:
    first = process(project, "sales.csv", CLEAN)
    project.workspace.ledger.advance(first.upload_id, state)
    other = process(project, "umsatz.csv", CLEAN)
    assert (other.state, other.duplicate_of) == (UploadState.REPORT_READY, None)


def test_an_alias_whose_original_went_is_processed_when_it_is_tried_again(
    project: Project,
) -> None:
    first = process(project, "sales.csv", CLEAN)
    alias = process(project, "umsatz.csv", CLEAN)
    project.workspace.ledger.erase(first.upload_id)
    done = again(project, alias)
    assert (done.state, done.duplicate_of, done.dataset) == (
        UploadState.REPORT_READY,
        None,
        "umsatz",
    )


def test_an_upload_with_results_of_its_own_never_turns_into_a_repetition(
    project: Project,
) -> None:
    first = process(project, "sales.csv", CLEAN)
    project.workspace.ledger.advance(first.upload_id, UploadState.FAILED)
    second = process(project, "sales.csv", CLEAN)
    assert second.state == UploadState.REPORT_READY
    assert again(project, first).state == UploadState.REPORT_READY
    assert again(project, second).state == UploadState.REPORT_READY


# ---- sidecars


def test_a_sidecar_decides_how_its_file_is_read_and_stays_where_it_is(project: Project) -> None:
    path = sidecar(project, "sales.nika.yaml", 'delimiter: ";"\nheader_rows: 0\n')
    upload = process(project, "sales.csv", SEMICOLONS)
    assert upload.state == UploadState.REPORT_READY
    assert columns_of(project, upload) != ["day", "amount", "city"]
    assert path.exists()
    kept = project.settings.data / "sidecars" / f"{upload.upload_id}.nika.yaml"
    assert kept.read_text() == path.read_text()


def test_the_same_file_under_another_sidecar_is_not_the_same(project: Project) -> None:
    first = process(project, "sales.csv", TRICKY)
    path = sidecar(project, "sales.nika.yaml", "columns: {note: text}\n")
    second = process(project, "sales.csv", TRICKY)
    assert (first.state, second.state) == (UploadState.REPORT_READY, UploadState.REPORT_READY)
    path.write_text("# said the same\ncolumns:\n  note:\n    type: text\n")
    third = process(project, "sales.csv", TRICKY)
    assert (third.state, third.duplicate_of) == (UploadState.DUPLICATE, second.upload_id)


def test_a_retry_reads_the_sidecar_again_and_without_one_the_copy(project: Project) -> None:
    path = sidecar(project, "sales.nika.yaml", "header_rows: 0\n")
    upload = process(project, "sales.csv", CLEAN)
    generated = columns_of(project, upload)
    assert generated != ["day", "amount", "city"]
    path.unlink()
    assert columns_of(project, again(project, upload)) == generated
    (project.settings.data / "contracts" / "sales.yaml").unlink()
    path.write_text("header_rows: 1\n")
    assert columns_of(project, again(project, upload)) == ["day", "amount", "city"]


def test_a_broken_sidecar_refuses_its_file_and_mending_it_is_enough(project: Project) -> None:
    path = sidecar(project, "sales.nika.yaml", "delimitr: x\n")
    upload = process(project, "sales.csv", CLEAN)
    assert (upload.state, upload.error_code) == (UploadState.QUARANTINED, "CONTRACT_BROKEN")
    folder = project.settings.data / "quarantine" / upload.upload_id
    reason = json.loads((folder / "reason.json").read_text())
    assert "sales.nika.yaml" in reason["message"]
    assert "delimitr" in reason["message"]
    assert reason["sha256"] == upload.sha256
    assert (folder / "sales.csv").read_text() == CLEAN
    path.write_text('delimiter: ","\n')
    assert again(project, upload).state == UploadState.REPORT_READY


def test_a_stage_alone_reads_what_the_first_stage_kept(project: Project) -> None:
    path = sidecar(project, "sales.nika.yaml", "header_rows: 0\n")
    upload = process(project, "sales.csv", CLEAN)
    generated = columns_of(project, upload)
    path.write_text("header_rows: 1\n")
    project.run([upload], selection=["validated_table", "table_statistics", "table_report"])
    assert columns_of(project, upload) == generated
