"""Deletion of uploads: what goes, what stays for others, and that a crash leaves nothing behind."""

import contextlib
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from projects import CLEAN, Project

from assets.operations import render_digest
from nika_pipelines import deletion
from nika_pipelines.deletion import erase_upload
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.operations.balance import LedgerReading, misplaced, strangers
from nika_pipelines.processing import UploadBusyError
from resources.warehouse import Warehouse
from resources.workspace import open_workspace

MARKED = CLEAN.replace("Lviv", "Zaporizhzhia")
MARK = b"Zaporizhzhia"
REFUSED = "a,b\n"


def _delete(project: Project, upload: Upload) -> deletion.Deletion:
    return erase_upload(upload.upload_id, project.workspace, project.instance)


def _files_with(data: Path, text: bytes) -> list[str]:
    return [
        str(path.relative_to(data))
        for path in sorted(data.rglob("*"))
        if path.is_file() and (text in path.read_bytes() or text.decode() in path.name)
    ]


def _balance(project: Project) -> list[str]:
    ledger = project.workspace.ledger
    reading = LedgerReading(ledger.uploads(), [], ledger.get)
    data = project.settings.data
    return misplaced(data, reading) + [str(path) for path in strangers(data, reading)]


def test_nothing_of_a_deleted_upload_is_left_but_one_line_in_the_ledger(
    project: Project, tmp_path: Path
) -> None:
    (upload,) = project.arrive(cities_csv=MARKED)
    project.run([upload])
    render_digest(project.workspace, datetime.now(UTC).date())
    assert _files_with(tmp_path, MARK)
    older = project.settings.data / "ledger.v1.bak.sqlite"
    with contextlib.closing(sqlite3.connect(project.workspace.ledger.path)) as connection:
        connection.execute("VACUUM INTO ?", [str(older)])

    _delete(project, upload)
    project.workspace.ledger.close()

    # The contract is the dataset's, not the upload's.
    left = [name for name in _files_with(tmp_path, MARK) if "contracts" not in name]
    assert left == []
    ledgers = ["data/ledger.sqlite", f"data/{older.name}"]
    assert _files_with(tmp_path, upload.upload_id.encode()) == ledgers
    with contextlib.closing(sqlite3.connect(older)) as connection:
        kept = connection.execute("SELECT state, summary, identity FROM uploads").fetchall()
    assert kept == [("deleted", None, None)]
    now = project.now(upload)
    assert now.state == UploadState.DELETED
    assert (now.summary, now.message, now.sha256) == (None, None, project.now(upload).sha256)
    assert _balance(project) == []


def test_the_warehouse_forgets_the_rows_and_shows_the_version_before(project: Project) -> None:
    (first,) = project.arrive(cities_csv=CLEAN)
    project.run([first])
    (second,) = project.arrive(cities_csv=MARKED)
    project.run([second])
    _delete(project, second)
    warehouse = Warehouse(database=str(project.settings.data / "warehouse" / "nika.duckdb"))
    with warehouse.reader() as connection:
        ids = connection.execute("SELECT upload_id FROM uploads").fetchall()
        cities = connection.execute("SELECT DISTINCT city FROM tables.cities").fetchall()
    assert ids == [(first.upload_id,)]
    assert sorted(cities) == [("Kyiv",), ("Lviv",)]


def test_events_of_others_in_the_same_run_stay(project: Project) -> None:
    first, second = project.arrive(cities_csv=MARKED, towns_csv=CLEAN)
    project.run([first, second])
    run_id = project.now(first).run_id
    _delete(project, first)
    assert project.materialised("table_report") == [second.upload_id]
    assert project.instance.get_dynamic_partitions("table_uploads") == [second.upload_id]
    assert project.instance.has_run(str(run_id))
    latest = project.instance.get_latest_materialization_event(dg.AssetKey("table_report"))
    assert latest is not None
    assert latest.asset_materialization is not None
    assert latest.asset_materialization.partition == second.upload_id
    _delete(project, second)
    assert not project.instance.has_run(str(run_id))


def test_the_events_of_a_file_with_letters_of_any_script_go_too(
    project: Project, tmp_path: Path
) -> None:
    first, second = project.arrive(Umsätze_売上_csv=MARKED, towns_csv=CLEAN)
    project.run([first, second])
    spelled = json.dumps(first.upload_id)[1:-1].encode()
    assert len(_files_with(tmp_path, spelled)) > 1
    _delete(project, first)
    # The frame of the run stays, because the other upload shares it: its tags name the range.
    left = _files_with(tmp_path, spelled)
    assert [name for name in left if not name.endswith("runs.db")] == []


def test_an_upload_named_after_a_deleted_one_keeps_its_events(project: Project) -> None:
    (first,) = project.arrive(cities_csv=MARKED)
    project.run([first])
    (second,) = project.arrive(**{f"{first.upload_id}_csv": CLEAN})
    assert second.upload_id.startswith(first.upload_id)
    project.run([second])
    _delete(project, first)
    assert project.materialised("table_report") == [second.upload_id]
    run = project.instance.all_logs(str(project.now(second).run_id))
    assert any(second.original_name in entry.message for entry in run)


def test_archived_bytes_stay_while_another_upload_needs_them(project: Project) -> None:
    (first,) = project.arrive(cities_csv=CLEAN)
    project.run([first])
    (again,) = project.arrive(cities_csv=CLEAN)
    project.run([again])
    assert project.now(again).state == UploadState.DUPLICATE
    archived = project.workspace.archive.archived_path(str(project.now(first).sha256))

    done = _delete(project, first)
    assert done.shared_with == (again.upload_id,)
    assert done.repeats == (again.upload_id,)
    assert archived.exists()
    assert _balance(project) == []
    _delete(project, again)
    assert not archived.exists()


def test_the_same_content_is_processed_anew_after_a_deletion(project: Project) -> None:
    (first,) = project.arrive(cities_csv=CLEAN)
    project.run([first])
    _delete(project, first)
    (again,) = project.arrive(cities_csv=CLEAN)
    project.run([again])
    assert project.now(again).state == UploadState.REPORT_READY
    assert _balance(project) == []


def test_a_refused_upload_loses_its_original_and_its_reason(project: Project) -> None:
    (upload,) = project.arrive(broken_csv=REFUSED)
    project.run([upload])
    assert project.now(upload).state == UploadState.QUARANTINED
    _delete(project, upload)
    assert not (project.settings.data / "quarantine" / upload.upload_id).exists()
    assert project.now(upload).message is None
    assert _balance(project) == []


def test_an_upload_in_work_is_not_deleted(light_project: Project) -> None:
    (upload,) = light_project.arrive(cities_csv=CLEAN)
    for state in (UploadState.RECEIVED, UploadState.PROCESSING):
        light_project.workspace.ledger.advance(upload.upload_id, state)
        with pytest.raises(UploadBusyError, match="is being processed"):
            _delete(light_project, upload)
    assert light_project.workspace.archive.locate(upload).exists()


def test_a_deleted_upload_is_never_taken_up_again(project: Project) -> None:
    (upload,) = project.arrive(cities_csv=CLEAN)
    project.run([upload])
    _delete(project, upload)
    project.run([upload])
    assert project.now(upload).state == UploadState.DELETED


@pytest.mark.parametrize(
    "step", ["_delete_files", "_delete_from_warehouse", "_delete_from_dagster", "lake"]
)
def test_a_deletion_that_was_cut_off_is_seen_and_can_be_finished(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (upload,) = project.arrive(cities_csv=MARKED)
    project.run([upload])

    def cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if step == "lake":  # in the middle of the files
            patch.setattr(type(project.workspace.lake), "remove", cut)
        else:
            patch.setattr(deletion, step, cut)
        with pytest.raises(KeyboardInterrupt):
            _delete(project, upload)
    if step in ("_delete_files", "lake"):
        assert any("finishes it" in problem for problem in _balance(project))

    with open_workspace(project.settings) as workspace:
        erase_upload(upload.upload_id, workspace, project.instance)
    project.workspace.ledger.close()
    left = [name for name in _files_with(tmp_path, MARK) if "contracts" not in name]
    assert left == []
    assert _balance(project) == []
    states = [state for state, _at in project.workspace.ledger.transitions(upload.upload_id)]
    assert states.count(UploadState.DELETED) == 1


def test_a_digest_is_rendered_again_without_what_was_deleted(project: Project) -> None:
    from pypdf import PdfReader

    (upload,) = project.arrive(broken_csv=REFUSED)
    project.run([upload])
    made = render_digest(project.workspace, datetime.now(UTC).date())
    assert "NO_DATA_ROWS" in PdfReader(made.path).pages[0].extract_text()
    _delete(project, upload)
    text = PdfReader(made.path).pages[0].extract_text()
    assert "NO_DATA_ROWS" not in text
    assert "1 deleted" in text


def test_errors_recorded_for_an_upload_lose_their_words(light_project: Project) -> None:
    (upload,) = light_project.arrive(cities_csv=CLEAN)
    ledger = light_project.workspace.ledger
    ledger.advance(upload.upload_id, UploadState.FAILED, message="Lviv is not a number")
    ledger.record_error("INTERNAL", "Lviv is not a number", upload_id=upload.upload_id)
    _delete(light_project, upload)
    assert [error.message for error in ledger.errors()] == ["(deleted)"]
    assert "Lviv" not in json.dumps(vars(light_project.now(upload)))
