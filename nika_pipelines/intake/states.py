"""The life of an upload: its states and the record that the ledger keeps of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class UploadState(StrEnum):
    """States in the order in which an upload passes them; see `FINAL_STATES`."""

    WAITING = "waiting"
    RECEIVED = "received"
    VALIDATING = "validating"
    PROCESSING = "processing"
    ANALYSING = "analysing"
    COMPLETE = "complete"
    REPORT_READY = "report_ready"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    DUPLICATE = "duplicate"
    DELETED = "deleted"


FINAL_STATES = frozenset(
    {
        UploadState.REPORT_READY,
        UploadState.QUARANTINED,
        UploadState.FAILED,
        UploadState.DUPLICATE,
        UploadState.DELETED,
    }
)
CLAIMED_STATES = frozenset(UploadState) - FINAL_STATES - {UploadState.WAITING}
"""Claimed and not finished: some run has to take these on."""

IN_WORK_STATES = CLAIMED_STATES - {UploadState.RECEIVED}
"""A worker has begun: if it dies alone, the upload in one of these states is the suspect."""


@dataclass(frozen=True)
class Upload:
    """One upload as the ledger knows it. Times are ISO 8601 UTC text.

    Attributes:
        upload_id: also the Dagster partition key.
        original_name: as dropped; hostile, show it through `names.display_name`.
        stored_name: safe name under which the bytes are kept.
        source_path: where the file was found; while `state` is waiting, where it still is.
        source_inode: inode of the file at `source_path`, to notice that it was replaced.
        source_fingerprint: of a file that is taken where it lies, because it cannot be moved: what
            it looked like when it was taken; see `listing.fingerprint`.
        unstable_since: since when somebody has been writing to the file while it is read.
        worker_deaths: how often a worker died alone while this upload was in work.
        attempt: how often a run was offered.
        summary: verdict and headline figures of a finished upload.
    """

    upload_id: str
    feed: str
    original_name: str
    stored_name: str
    dataset: str
    state: UploadState
    received_at: str
    updated_at: str
    tag: str | None = None
    source_path: str | None = None
    source_inode: int | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    identity: str | None = None
    version: int | None = None
    duplicate_of: str | None = None
    error_code: str | None = None
    message: str | None = None
    run_id: str | None = None
    batch_id: str | None = None
    attempt: int = 0
    worker_deaths: int = 0
    not_before: str | None = None
    finished_at: str | None = None
    summary: dict[str, Any] | None = None
    source_fingerprint: str | None = None
    unstable_since: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in FINAL_STATES
