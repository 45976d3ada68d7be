"""Files that cannot be moved or keep changing, from the sensor to the final state."""

import errno
import json
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from projects import CLEAN, Project
from sqlalchemy.exc import OperationalError

from nika_pipelines import sensors
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.operations.balance import LedgerReading, misplaced
from nika_pipelines.sensors import inbox_sensor
from resources import archive
from resources.archive import StillBeingWrittenError
from resources.inbox_memory import InboxMemory


def look(project: Project) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=project.instance, resources={"workspace": project.workspace}
    )
    answer = inbox_sensor(context)
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    return answer


def offered(project: Project) -> list[str]:
    answer = look(project)
    requests: Sequence[dg.RunRequest] = []
    if isinstance(answer, dg.SensorResult):
        requests = answer.run_requests or []
    return [request.partition_key or "" for request in requests]


@pytest.fixture
def unmovable(light_project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder out of which nothing can be renamed, as on a read-only mount."""
    import resources.originals as module

    folder = light_project.workspace.inbox.folder("tables")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.parent == folder and target.parent != folder:
            raise OSError(errno.EROFS, "Read-only file system")
        return rename(self, target)

    def refuse_new(source: Path, _target: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(source))

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(module, "rename_new", refuse_new)
    return folder


def problems(project: Project) -> list[str]:
    ledger = project.workspace.ledger
    return misplaced(project.settings.data, LedgerReading(ledger.uploads(), [], ledger.get))


def test_a_file_in_a_read_only_inbox_is_processed_once_and_stays(
    light_project: Project, unmovable: Path
) -> None:
    (unmovable / "sales.csv").write_text(CLEAN)
    (upload_id,) = offered(light_project)
    (upload,) = light_project.workspace.ledger.uploads()
    assert problems(light_project) == []
    light_project.run([upload])
    done = light_project.now(upload)
    assert (done.state, (unmovable / "sales.csv").read_text()) == (UploadState.REPORT_READY, CLEAN)
    assert offered(light_project) == []
    assert problems(light_project) == []
    (unmovable / "sales.csv").unlink()
    assert (offered(light_project), problems(light_project)) == ([], [])
    (unmovable / "sales.csv").write_text(CLEAN + "2026-02-01,3.5,Kyiv\n")
    (second,) = offered(light_project)
    assert second != upload_id


def test_a_deleted_upload_whose_file_could_not_be_removed_is_not_taken_again(
    light_project: Project, unmovable: Path
) -> None:
    (unmovable / "sales.csv").write_text(CLEAN)
    offered(light_project)
    (upload,) = light_project.workspace.ledger.uploads()
    light_project.run([upload])
    assert light_project.workspace.ledger.erase(upload.upload_id) is not None
    assert (unmovable / "sales.csv").exists()
    assert offered(light_project) == []


def test_a_file_that_was_taken_away_before_its_run_is_let_go_and_may_come_back(
    light_project: Project, unmovable: Path
) -> None:
    (unmovable / "sales.csv").write_text(CLEAN)
    offered(light_project)
    (upload,) = light_project.workspace.ledger.uploads()
    (unmovable / "sales.csv").rename(unmovable / ".aside")
    assert light_project.run([upload]).success
    gone = light_project.now(upload)
    assert gone.state == UploadState.DELETED
    assert "taken away" in (gone.message or "")
    assert problems(light_project) == []
    (unmovable / ".aside").rename(unmovable / "sales.csv")
    assert len(offered(light_project)) == 1


def is_torn(*_args: object, **options: bool) -> None:
    raise StillBeingWrittenError("sales.csv")


def test_a_file_that_is_still_written_waits_and_is_refused_half_an_hour_after_the_first_try(
    light_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (upload,) = light_project.arrive(sales_csv=CLEAN)
    # It waited long for its first try, which is nobody's fault.
    long_ago = "2026-01-01T00:00:00.000000Z"
    light_project.workspace.ledger.advance(
        upload.upload_id, UploadState.RECEIVED, received_at=long_ago
    )
    with monkeypatch.context() as patch:
        patch.setattr(archive.Archive, "fingerprint", is_torn)
        light_project.run([upload])
        waiting = light_project.now(upload)
        assert (waiting.state, waiting.run_id) == (UploadState.RECEIVED, None)
        since = waiting.unstable_since
        assert since is not None
        light_project.run([upload])
        assert light_project.now(upload).unstable_since == since
        earlier = datetime.now(UTC) - timedelta(minutes=light_project.settings.unstable_minutes + 1)
        light_project.workspace.ledger.advance(
            upload.upload_id, UploadState.RECEIVED, unstable_since=earlier.isoformat()
        )
        light_project.run([upload])
    refused = light_project.now(upload)
    assert (refused.state, refused.error_code) == (UploadState.QUARANTINED, "UNSTABLE")
    folder = light_project.settings.data / "quarantine" / upload.upload_id
    assert (folder / "sales.csv").read_text() == CLEAN


def test_a_file_that_came_to_rest_is_processed_and_its_waiting_forgotten(
    light_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (upload,) = light_project.arrive(sales_csv=CLEAN)
    with monkeypatch.context() as patch:
        patch.setattr(archive.Archive, "fingerprint", is_torn)
        light_project.run([upload])
    light_project.run([upload])
    done = light_project.now(upload)
    assert (done.state, done.unstable_since) == (UploadState.REPORT_READY, None)


def test_an_unstable_file_in_a_read_only_inbox_is_refused_with_what_could_be_read(
    light_project: Project, unmovable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (unmovable / "sales.csv").write_text(CLEAN)
    offered(light_project)
    (upload,) = light_project.workspace.ledger.uploads()
    earlier = datetime.now(UTC) - timedelta(minutes=light_project.settings.unstable_minutes + 1)
    light_project.workspace.ledger.advance(
        upload.upload_id, UploadState.RECEIVED, unstable_since=earlier.isoformat()
    )
    read_once = archive.read_once

    def tear(*args: object, even_if_torn: bool = False) -> object:
        if not even_if_torn:
            raise StillBeingWrittenError("sales.csv")
        return read_once(*args, even_if_torn=True)  # type: ignore[arg-type]

    monkeypatch.setattr(archive, "read_once", tear)
    light_project.run([upload])
    refused = light_project.now(upload)
    assert (refused.state, refused.error_code) == (UploadState.QUARANTINED, "UNSTABLE")
    folder = light_project.settings.data / "quarantine" / upload.upload_id
    assert (folder / "sales.csv").read_text() == CLEAN
    assert json.loads((folder / "reason.json").read_text())["error_code"] == "UNSTABLE"
    assert offered(light_project) == []


def test_a_file_waits_for_its_companion_to_settle(
    light_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = light_project.workspace.inbox
    patient = light_project.settings.model_copy(update={"settle_seconds": 0.6})
    monkeypatch.setattr(inbox, "_settings", patient)
    folder = inbox.folder("tables")
    (folder / "sales.csv").write_text(CLEAN)
    (folder / "alone.csv").write_text(CLEAN)
    time.sleep(0.7)
    (folder / "sales.nika.yaml").write_text('delimiter: ","\n')
    assert [key.split("-")[0] for key in offered(light_project)] == ["alone"]
    time.sleep(0.7)
    assert "sales" in {key.split("-")[0] for key in offered(light_project)}
    assert [path.name for path in folder.iterdir()] == ["sales.nika.yaml"]


def test_a_standing_companion_gets_no_notice_but_one_that_never_had_a_file_does(
    light_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nika_pipelines.intake import listing

    folder = light_project.workspace.inbox.folder("tables")
    for name in ("sales.nika.yaml", "typo.nika.yaml"):
        (folder / name).write_text("")
    light_project.arrive(sales_csv=CLEAN)
    monkeypatch.setattr(listing._Files, "_is_old", lambda _self, _changed: True)
    light_project.workspace.inbox.look("tables")
    notices = light_project.workspace.ledger.inbox.notices()
    assert [(Path(one.path).name, one.code) for one in notices] == [
        ("typo.nika.yaml", "COMPANION_ALONE")
    ]


def test_a_look_without_room_or_ledger_is_a_skipped_one(
    light_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    light_project.arrive(sales_csv=CLEAN)

    def full(*_args: object, **_options: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(InboxMemory, "replace_settling", full)
        answer = look(light_project)
    assert isinstance(answer, dg.SkipReason)
    assert "disk is full" in (answer.skip_message or "")
    assert len(offered(light_project)) == 1


def test_the_sensor_removes_what_killed_processes_left(light_project: Project) -> None:
    draft = light_project.settings.data / "tmp" / "u1.part"
    draft.parent.mkdir(exist_ok=True)
    draft.write_text("x")
    os.utime(draft, (0, 0))
    sensors._sweep.cache_clear()
    look(light_project)
    assert not draft.exists()


def test_a_retry_finds_a_file_that_still_lies_where_it_was_taken(
    light_project: Project, unmovable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nika_pipelines.processing import requeue

    (unmovable / "sales.csv").write_text(CLEAN)
    offered(light_project)
    (upload,) = light_project.workspace.ledger.uploads()

    def stale(*_args: object, **_options: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(archive, "read_once", stale)
        light_project.run([upload])
    failed: Upload = light_project.now(upload)
    assert (failed.state, problems(light_project)) == (UploadState.FAILED, [])
    requeue(upload.upload_id, light_project.settings)
    light_project.run([upload])
    assert light_project.now(upload).state == UploadState.REPORT_READY
