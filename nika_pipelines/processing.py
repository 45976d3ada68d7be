"""Processing without the daemon: the same job, run in this process on given files.

Belongs here: what `nika run`, `nika demo` and `nika retry` share. Runs made here are recorded in
the same Dagster instance, so the web UI shows their assets as well.
"""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.disk import (
    full_disk_told,
    is_out_of_room,
    keep_reserve,
    no_room_message,
    require_room,
    use_reserve,
)
from nika_pipelines.environment import prepare_environment
from nika_pipelines.feeds import FEEDS
from nika_pipelines.intake.listing import Notice, list_feed
from nika_pipelines.intake.states import FINAL_STATES, Upload, UploadState
from nika_pipelines.settings import Settings, load_settings

if TYPE_CHECKING:
    from resources.workspace import Workspace

_POLL_SECONDS = 0.2
_HAND_OVER_SECONDS = 60.0


class UploadBusyError(RuntimeError):
    """A worker has the upload in hand, so it cannot be put back."""


@dataclass(frozen=True)
class SourceFile:
    """A file to process, and the tag folder that it lies in."""

    path: Path
    tag: str | None = None


@dataclass(frozen=True)
class ProcessingEvent:
    """An upload reached a state; `done` of `total` uploads are final."""

    upload_id: str
    name: str
    state: UploadState
    done: int
    total: int


def candidates(path: Path) -> tuple[list[SourceFile], list[Notice]]:
    """The files that a path means: itself, or what the inbox would take from a folder.

    Returns:
        The files, and notices about what else lies in the folder.

    Raises:
        OSError: the folder cannot be listed.
    """
    if not path.is_dir():
        return [SourceFile(path)], []
    listing = list_feed(path, datetime.now(UTC), load_settings())
    return [SourceFile(Path(one.path), one.tag) for one in listing.entries], listing.notices


def run_now(
    files: Sequence[SourceFile],
    feed: str,
    settings: Settings,
    on_event: Callable[[ProcessingEvent], None] | None = None,
) -> list[Upload]:
    """Process copies of files in this process; the files stay as they are.

    Args:
        files: what to process.
        feed: their system.
        settings: the settings in force.
        on_event: called from another thread whenever an upload reaches a state.

    Returns:
        The uploads in the order of the files, each in a final state.

    Raises:
        OSError: a file cannot be read; nothing of its group was processed.
    """
    prepare_environment(settings)
    from resources.leftovers import LeftoverSweep
    from resources.workspace import open_workspace

    keep_reserve(settings.data)
    LeftoverSweep(settings.data).run_when_due()
    upload_ids: list[str] = []
    ends: list[Upload] = []
    with (
        full_disk_told(settings.data, "run it again"),
        open_workspace(settings) as workspace,
        _watching(workspace, upload_ids, len(files), on_event),
    ):
        for start in range(0, len(files), settings.batch_files):
            run_id = str(uuid.uuid4())
            uploads = _take_copies(
                workspace, files[start : start + settings.batch_files], feed, run_id
            )
            taken = [upload for upload in uploads if not upload.is_final]
            upload_ids += [upload.upload_id for upload in taken]
            done = _execute(workspace, taken, run_id, batch_id=run_id)
            ends += [done.get(upload.upload_id, upload) for upload in uploads]
    return ends


def requeue(upload_id: str, settings: Settings) -> Upload:
    """Put an upload back so that a running daemon takes it on; its earlier results stay until then.

    Raises:
        KeyError: there is no such upload.
        UploadBusyError: it is being processed.
        BytesMissingError: its bytes are gone.
    """
    from resources.workspace import open_workspace

    with open_workspace(settings) as workspace:
        return _put_back(workspace, upload_id, not_before=None)


def run_again(
    upload_ids: Sequence[str],
    settings: Settings,
    on_event: Callable[[ProcessingEvent], None] | None = None,
) -> list[Upload]:
    """Process known uploads anew in this process.

    Raises:
        KeyError: there is no such upload.
        UploadBusyError: one is being processed.
        BytesMissingError: the bytes of one are gone.
    """
    prepare_environment(settings)
    from resources.clock import later
    from resources.workspace import open_workspace

    keep_reserve(settings.data)
    with (
        full_disk_told(settings.data, "try again"),
        open_workspace(settings) as workspace,
    ):
        uploads = [
            _put_back(workspace, one, not_before=later(_HAND_OVER_SECONDS)) for one in upload_ids
        ]
        with _watching(workspace, list(upload_ids), len(upload_ids), on_event):
            ends = [
                _execute(workspace, [upload], str(uuid.uuid4()), batch_id=None)[upload.upload_id]
                for upload in uploads
            ]
    return ends


def _take_copies(
    workspace: "Workspace", files: Sequence[SourceFile], feed: str, run_id: str
) -> list[Upload]:
    """Claim copies of all files or of none; one that the disk has no room for failed alone."""
    taken: list[Upload] = []
    try:
        taken.extend(_take_copy(workspace, file, feed, run_id) for file in files)
    except OSError:
        for upload in taken:
            if not upload.is_final:
                workspace.inbox.give_back(upload)
        raise
    return taken


def _take_copy(workspace: "Workspace", file: SourceFile, feed: str, run_id: str) -> Upload:
    from resources.clock import utc_now

    data, size_bytes = workspace.settings.data, file.path.stat().st_size
    try:
        require_room(data, size_bytes, "run it again")
        return workspace.inbox.take_copy(file.path, feed, run_id, file.tag)
    except Exception as error:
        if not is_out_of_room(error, data):
            raise
        # It was never taken, so the ledger does not know it, and there is nothing to retry.
        now = utc_now()
        return Upload(
            upload_id="",
            feed=feed,
            original_name=file.path.name,
            stored_name=file.path.name,
            dataset="",
            state=UploadState.FAILED,
            received_at=now,
            updated_at=now,
            size_bytes=size_bytes,
            error_code="INTERNAL",
            message=no_room_message(data, size_bytes, "run it again"),
        )


def _execute(
    workspace: "Workspace", uploads: Sequence[Upload], run_id: str, batch_id: str | None
) -> dict[str, Upload]:
    """Run the job of the uploads' feed over them; returns each as it is then.

    None is left in work: the run has ended, so one that it did not finish has failed.
    """
    if not uploads:
        return {}
    data = workspace.settings.data
    message, no_room = "the run ended before it was done with the file", False
    try:
        _run_job(workspace, uploads, run_id, batch_id)
    except Exception as error:
        if not is_out_of_room(error, data):
            raise
        no_room = True
        use_reserve(data)
        message = no_room_message(data, sum(one.size_bytes or 0 for one in uploads), "`nika retry`")
    known = [_known(workspace, upload.upload_id) for upload in uploads]
    return {
        upload.upload_id: _given_up(workspace, upload, message)
        if not upload.is_final and (no_room or upload.run_id == run_id)
        else upload
        for upload in known
    }


def _given_up(workspace: "Workspace", upload: Upload, message: str) -> Upload:
    from assets.outcomes import fail_upload

    try:
        fail_upload(workspace, upload.upload_id, message)
    except Exception as error:
        if not is_out_of_room(error, workspace.settings.data):
            raise
        # Not even that can be written down; the daemon or `nika retry` will take it on.
        return replace(upload, state=UploadState.FAILED, error_code="INTERNAL", message=message)
    return _known(workspace, upload.upload_id)


def _run_job(
    workspace: "Workspace", uploads: Sequence[Upload], run_id: str, batch_id: str | None
) -> None:
    from resources.clock import later

    upload_ids = [upload.upload_id for upload in uploads]
    # Until the run exists, a sensor must not offer its uploads to another one.
    workspace.ledger.postpone(upload_ids, later(_HAND_OVER_SECONDS))
    import dagster as dg

    from assets.batches import BATCH_TAG
    from nika_pipelines.definitions import defs
    from nika_pipelines.sensors import partition_range_tags

    feed = FEEDS[uploads[0].feed]
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(feed.partitions, upload_ids)
        batch_tags = {} if batch_id is None else {BATCH_TAG: batch_id}
        defs.resolve_job_def(feed.job).execute_in_process(
            instance=instance,
            run_id=run_id,
            tags=partition_range_tags(upload_ids) | batch_tags,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )


def _put_back(workspace: "Workspace", upload_id: str, not_before: str | None) -> Upload:
    from resources.archive import BytesMissingError

    upload = _known(workspace, upload_id)
    if upload.state == UploadState.DELETED:
        raise BytesMissingError(f"{upload_id} was deleted; drop its file again")
    in_work = not upload.is_final and upload.run_id is not None
    if (
        in_work and workspace.run_locks.is_held(upload.run_id or "")
    ) or upload.state == UploadState.WAITING:
        raise UploadBusyError(f"{upload_id} is being processed right now; wait until it is final")
    if workspace.archive.holds(upload) or not workspace.originals.still_lies(upload):
        workspace.archive.reclaim(upload)
    return workspace.ledger.advance(
        upload_id,
        UploadState.RECEIVED,
        batch_id=None,
        run_id=None,
        # Its partition is known to Dagster already, so it is not new to the planner.
        attempt=1,
        worker_deaths=0,
        unstable_since=None,
        not_before=not_before,
        error_code=None,
        message=None,
        duplicate_of=None,
    )


def _known(workspace: "Workspace", upload_id: str) -> Upload:
    upload = workspace.ledger.get(upload_id)
    if upload is None:
        raise KeyError(upload_id)
    return upload


@contextmanager
def _watching(
    workspace: "Workspace",
    upload_ids: list[str],
    total: int,
    on_event: Callable[[ProcessingEvent], None] | None,
) -> Iterator[None]:
    """Report every change of state while the block works, and the last ones at its end."""
    if on_event is None:
        yield
        return
    finished = threading.Event()
    known: dict[str, UploadState] = {}

    def report() -> None:
        now = [_known(workspace, upload_id) for upload_id in list(upload_ids)]
        changed = [upload for upload in now if known.get(upload.upload_id) != upload.state]
        for upload in changed:
            known[upload.upload_id] = upload.state
            done = sum(state in FINAL_STATES for state in known.values())
            event = (upload.upload_id, upload.original_name, upload.state, done, total)
            on_event(ProcessingEvent(*event))

    def watch() -> None:
        while not finished.wait(_POLL_SECONDS):
            report()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
        report()
