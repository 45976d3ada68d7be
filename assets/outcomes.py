"""Giving up on an upload: into quarantine for its own fault, or failed for ours."""

from pathlib import Path

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.documents import reason_document
from nika_pipelines.intake.states import UploadState
from resources.workspace import Workspace


def quarantine_upload(workspace: Workspace, upload_id: str, rejection: UploadRejected) -> Path:
    """Move a refused upload into quarantine with its reason, and drop its half results.

    Returns:
        The folder in quarantine.

    Raises:
        KeyError: the ledger knows no such upload.
    """
    upload = workspace.ledger.get(upload_id)
    if upload is None:
        raise KeyError(upload_id)
    workspace.originals.keep_bytes(upload)
    reason = reason_document(
        rejection,
        upload_id=upload_id,
        filename=upload.original_name,
        sha256=upload.sha256,
        size_bytes=upload.size_bytes,
        received_at=upload.received_at,
    )
    folder = workspace.archive.quarantine(
        upload, reason, is_shared=lambda: workspace.ledger.is_shared(upload)
    )
    workspace.lake.remove(upload.feed, upload_id)
    workspace.report_store.remove(upload.feed, upload_id)
    workspace.ledger.advance(
        upload_id,
        UploadState.QUARANTINED,
        error_code=rejection.code,
        message=rejection.message,
    )
    return folder


def fail_upload(workspace: Workspace, upload_id: str, message: str) -> None:
    """Give an upload up for a reason that is ours; its bytes stay for `nika retry`."""
    workspace.ledger.advance(
        upload_id, UploadState.FAILED, error_code="INTERNAL", message=message[:2_000]
    )
