"""A disk that fills up in mid-work fails one file, leaves nothing half, and a retry succeeds."""

import errno
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from projects import CLEAN, Project

from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.operations.balance import LedgerReading, misplaced
from resources.archive import Archive
from resources.files import read_json
from resources.lake import Lake
from resources.ledger import Ledger
from resources.report_store import ReportStore

FULL = OSError(errno.ENOSPC, "No space left on device")
POINTS: dict[str, tuple[type, str, Exception]] = {
    "admit": (Archive, "admit", FULL),
    "lake": (Lake, "write_intake", RuntimeError("Could not write all bytes to file")),
    "ledger": (
        Ledger,
        "assign_version",
        sa.exc.OperationalError("UPDATE", {}, Exception("database or disk is full")),
    ),
    "documents": (ReportStore, "write_document", FULL),
}
"""A class, its method that finds no room for the file of this name, and how that is told."""


def halves(data: Path) -> list[str]:
    """Drafts in the folders of results, and anything in the one for drafts."""
    places = [data / name for name in ("lake", "results", "reports", "archive", "quarantine")]
    drafts = [path for place in places for path in place.rglob("*") if ".part" in path.name]
    return sorted(str(path) for path in [*drafts, *(data / "tmp").glob("*.part")])


def fill_the_disk(patch: pytest.MonkeyPatch, uploads: dict[str, Upload]) -> None:
    """Let one method fail for each of the uploads, and work for all others."""
    for name, (room, method, error) in POINTS.items():
        whole, upload_id = getattr(room, method), uploads[name].upload_id

        def failing(
            *given: Any, whole: Any = whole, upload_id: str = upload_id, error: Any = error
        ) -> Any:
            told = [str(getattr(one, "upload_id", one)) for one in given[1:]]
            if any(upload_id in text for text in told):
                raise error
            return whole(*given)

        patch.setattr(room, method, failing)


def figures(project: Project, upload: Upload) -> Any:
    """What a result says, without what differs from upload to upload."""
    folder = project.settings.data / "results" / "tables" / upload.upload_id
    result = read_json(folder / "result.json")
    return [result["columns"], result["correlations"], result["metrics"]["quality_score"]]


def test_a_full_disk_fails_one_file_leaves_nothing_half_and_a_retry_succeeds(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {name: CLEAN + f"2026-02-01,{n}.25,Odesa\n" for n, name in enumerate(POINTS)}
    good = project.arrive(**{f"{name}_csv": text for name, text in texts.items()}, good_csv=CLEAN)
    uploads = {upload.original_name.removesuffix(".csv"): upload for upload in good}

    with monkeypatch.context() as patch:
        fill_the_disk(patch, uploads)
        result = project.run(good)

    assert not result.success
    assert project.now(uploads.pop("good")).state == UploadState.REPORT_READY
    for name, upload in uploads.items():
        now = project.now(upload)
        assert (now.state, now.error_code) == (UploadState.FAILED, "INTERNAL"), name
        assert "no space left on the disk of" in str(now.message), name
        assert f"`nika retry {now.upload_id}`" in str(now.message), name
    assert halves(project.settings.data) == []
    ledger = project.workspace.ledger
    reading = LedgerReading(ledger.uploads(), [], ledger.get)
    assert misplaced(project.settings.data, reading) == []

    assert project.run(list(uploads.values())).success
    for name, upload in uploads.items():
        assert project.now(upload).state == UploadState.REPORT_READY, name
    # Nothing is left of the first try in what the second one found out.
    fresh = project.arrive(**{"fresh.txt": texts["lake"]})  # as .csv it would be an alias
    assert project.run(fresh).success
    assert figures(project, uploads["lake"]) == figures(project, fresh[0])
