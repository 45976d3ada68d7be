"""The archive: bytes are in one place, unchanged, and every move may be repeated."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from nika_pipelines.intake.states import Upload, UploadState
from resources.archive import Archive, BytesMissingError

CONTENT = b"x\n1\n"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


@pytest.fixture
def upload(archive: Archive) -> Upload:
    one = Upload("u1", "tables", "a.csv", "a.csv", "a", UploadState.RECEIVED, "t", "t")
    archive.claimed_path(one).parent.mkdir(parents=True)
    archive.claimed_path(one).write_bytes(CONTENT)
    return one


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def never() -> bool:
    return False


def admitted(archive: Archive, upload: Upload) -> Upload:
    known = replace(upload, sha256=archive.fingerprint(upload).sha256)
    archive.admit(known)
    return known


def test_admitting_moves_the_bytes_to_their_hash(
    archive: Archive, upload: Upload, tmp_path: Path
) -> None:
    read = archive.fingerprint(upload)
    assert (read.sha256, read.size_bytes) == (SHA, len(CONTENT))
    assert archive.admit(replace(upload, sha256=SHA)) == archive.archived_path(SHA)
    assert files(tmp_path) == [f"archive/{SHA[:2]}/{SHA}", "locks/archive.lock"]


def test_admitting_again_after_a_crash_changes_nothing(archive: Archive, upload: Upload) -> None:
    known = admitted(archive, upload)
    assert archive.admit(known).read_bytes() == CONTENT


def test_bytes_are_not_moved_before_the_ledger_knows_their_hash(
    archive: Archive, upload: Upload
) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        archive.admit(upload)


def test_quarantine_holds_the_original_and_the_reason(
    archive: Archive, upload: Upload, tmp_path: Path
) -> None:
    known = admitted(archive, upload)
    for _again in range(2):
        archive.quarantine(known, {"error_code": "RAGGED"}, never)
    assert files(tmp_path) == [
        "locks/archive.lock",
        "quarantine/u1/a.csv",
        "quarantine/u1/reason.json",
    ]


def test_bytes_that_others_rely_on_stay_in_the_archive(archive: Archive, upload: Upload) -> None:
    archive.quarantine(admitted(archive, upload), {}, lambda: True)
    assert archive.archived_path(SHA).read_bytes() == CONTENT
    assert archive.quarantined_path(upload).read_bytes() == CONTENT


def test_a_quarantined_upload_can_be_claimed_again(
    archive: Archive, upload: Upload, tmp_path: Path
) -> None:
    archive.quarantine(upload, {}, never)
    archive.reclaim(upload)
    assert files(tmp_path) == ["claimed/u1/a.csv", "locks/archive.lock"]


def test_retrying_an_upload_whose_bytes_are_shared_leaves_nothing_in_quarantine(
    archive: Archive, upload: Upload, tmp_path: Path
) -> None:
    known = admitted(archive, upload)
    archive.quarantine(known, {}, lambda: True)
    assert archive.reclaim(known) == archive.archived_path(SHA)
    assert files(tmp_path) == [f"archive/{SHA[:2]}/{SHA}", "locks/archive.lock"]


def test_archived_bytes_that_somebody_went_on_writing_are_not_lost(
    archive: Archive, upload: Upload
) -> None:
    known = admitted(archive, upload)
    with archive.archived_path(SHA).open("ab") as writer:
        writer.write(b"2\n")
    read = archive.fingerprint(known)
    assert read.sha256 != SHA
    assert archive.admit(replace(known, sha256=read.sha256)).read_bytes() == CONTENT + b"2\n"


def test_a_link_in_place_of_the_file_is_refused(archive: Archive, upload: Upload) -> None:
    path = archive.claimed_path(upload)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        archive.fingerprint(upload)


def test_missing_bytes_are_an_error_of_their_own(archive: Archive, upload: Upload) -> None:
    archive.claimed_path(upload).unlink()
    with pytest.raises(BytesMissingError, match="u1"):
        archive.locate(upload)
