"""The balance: every file ever taken is in exactly one place, proved against the disk.

Belongs here: what the ledger says against what the folders hold. Uploads move on while this
looks, so a finding about one counts only after the ledger was asked again.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from nika_pipelines.intake.names import path_from_text
from nika_pipelines.intake.states import Upload, UploadState

_LOOKS = 3
_PAUSE_SECONDS = 0.2
_YOUNG_SECONDS = 60.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LedgerReading:
    """What the ledger says.

    Attributes:
        uploads: every upload.
        notices: (path, message) of what lies in the inbox and cannot be taken.
        look_again: the present record of an upload; None when there is no such upload.
    """

    uploads: Sequence[Upload]
    notices: Sequence[tuple[str, str]]
    look_again: Callable[[str], Upload | None]


def misplaced(data: Path, reading: LedgerReading) -> list[str]:
    """What is wrong with the bytes of uploads, one sentence for each that is not in its place."""
    elsewhere = (UploadState.DELETED, UploadState.QUARANTINED)
    needed = {upload.sha256 for upload in reading.uploads if upload.state not in elsewhere}
    suspects = _problems(data, reading.uploads, needed)
    settled: dict[str, str] = {}
    for _ in range(_LOOKS):
        if not suspects:
            break
        time.sleep(_PAUSE_SECONDS)  # one pause for all of them
        before = {upload.upload_id: upload for upload, _problem in suspects}
        suspects = _problems(data, _present(before, reading.look_again), needed)
        for upload, problem in suspects:
            if upload.updated_at == before[upload.upload_id].updated_at:
                settled[upload.upload_id] = problem
        suspects = [one for one in suspects if one[0].upload_id not in settled]
    settled |= {upload.upload_id: problem for upload, problem in suspects}
    order = [upload.upload_id for upload in reading.uploads if upload.upload_id in settled]
    return [f"{upload_id}: {settled[upload_id]}" for upload_id in order]


def strangers(data: Path, reading: LedgerReading) -> list[Path]:
    """Folders named by an upload and archived bytes that the ledger does not know."""
    ids = {upload.upload_id for upload in reading.uploads}
    hashes = {upload.sha256 for upload in reading.uploads}
    folders = [
        path
        for path in _folders_by_upload(data)
        if path.name not in ids and _is_old(path) and reading.look_again(path.name) is None
    ]
    archived = [
        path
        for path in (data / "archive").glob("??/*")
        if _SHA256.fullmatch(path.name) and path.name not in hashes and _is_old(path)
    ]
    return folders + archived


def _problems(
    data: Path, uploads: Iterable[Upload], needed: Set[str | None]
) -> list[tuple[Upload, str]]:
    def problem_of(upload: Upload) -> str | None:
        if upload.state == UploadState.DELETED:
            return _deletion_problem(data, upload, needed)
        return _problem(data, upload)

    found = ((upload, problem_of(upload)) for upload in uploads)
    return [(upload, problem) for upload, problem in found if problem is not None]


def _present(
    upload_ids: Iterable[str], look_again: Callable[[str], Upload | None]
) -> Iterator[Upload]:
    """The uploads as they are now, less those that the inbox took back: their file vanished."""
    for upload_id in upload_ids:
        now = look_again(upload_id)
        if now is not None:
            yield now


def _problem(data: Path, upload: Upload) -> str | None:
    """What is wrong with the places of one upload; None when all is well."""
    claimed = (data / "claimed" / upload.upload_id / upload.stored_name).is_file()
    quarantined = (data / "quarantine" / upload.upload_id / upload.stored_name).is_file()
    archived = upload.sha256 is not None and _archived(data, upload.sha256).is_file()
    match upload.state:
        case UploadState.WAITING:
            return None  # not taken yet: the file is still its owner's
        case UploadState.QUARANTINED:
            return _quarantine_problem(data, upload, claimed, quarantined)
        case UploadState.REPORT_READY | UploadState.DUPLICATE:
            if not archived:
                return "its file is not in the archive"
            if claimed or quarantined:
                return "its file is stored twice"
            return _result_problem(data, upload)
        case _:
            if claimed and quarantined:
                return "its file is stored twice"
            is_somewhere = claimed or quarantined or archived or _lies_elsewhere(upload)
            return None if is_somewhere else "its file is nowhere"


def _deletion_problem(data: Path, upload: Upload, needed: Set[str | None]) -> str | None:
    """What is left of a deleted upload, whose deletion was cut off."""
    upload_id = upload.upload_id
    places = [data / kind / upload_id for kind in ("claimed", "quarantine")]
    places += [data / kind / upload.feed / upload_id for kind in ("lake", "results", "reports")]
    places += [data / "charts" / f"{upload_id}.svg", data / "sidecars" / f"{upload_id}.nika.yaml"]
    if upload.sha256 is not None and upload.sha256 not in needed:
        places.append(_archived(data, upload.sha256))
    if not any(place.exists() for place in places):
        return None
    return f"deleted, but still stored; `nika delete {upload_id} --yes` finishes it"


def _quarantine_problem(data: Path, upload: Upload, claimed: bool, quarantined: bool) -> str | None:
    if not quarantined:
        return "its file is not in quarantine"
    if claimed:
        return "its file is stored twice"
    if not (data / "quarantine" / upload.upload_id / "reason.json").is_file():
        return "reason.json is missing"
    return None


def _result_problem(data: Path, upload: Upload) -> str | None:
    if upload.state == UploadState.DUPLICATE:
        return None if upload.duplicate_of else "a duplicate of nothing"
    if not (data / "results" / upload.feed / upload.upload_id / "result.json").is_file():
        return "result.json is missing"
    reports = data / "reports" / upload.feed / upload.upload_id
    if not reports.is_dir() or not any(reports.iterdir()):
        return "its report is missing"
    return None


def _lies_elsewhere(upload: Upload) -> bool:
    """Whether a file that is taken where it lies is still there to be copied."""
    if upload.source_fingerprint is None or upload.source_path is None:
        return False
    return Path(path_from_text(upload.source_path)).is_file()


def _archived(data: Path, sha256: str) -> Path:
    return data / "archive" / sha256[:2] / sha256


def _folders_by_upload(data: Path) -> Iterator[Path]:
    """Every folder that is named by an upload."""
    parents = [data / "claimed", data / "quarantine"]
    for kind in ("lake", "results", "reports"):
        feeds = (data / kind).iterdir() if (data / kind).is_dir() else iter(())
        parents += [feed for feed in feeds if feed.is_dir() and feed.name != "digest"]
    for parent in parents:
        if parent.is_dir():
            yield from (path for path in parent.iterdir() if not path.name.startswith("."))


def _is_old(path: Path) -> bool:
    """Whether it has been there for a while; what is written right now is in the ledger soon."""
    try:
        return time.time() - path.lstat().st_mtime > _YOUNG_SECONDS
    except FileNotFoundError:
        return False  # moved on while we looked
