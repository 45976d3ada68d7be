"""Deletion of an upload: everything that was kept of it goes, one line in the ledger stays.

Belongs here: the order of the steps, which may be cut off anywhere. The ledger is told first, so
that from then on nobody works on the upload or relies on it; every further step can be repeated,
and doing it all again finishes what was begun.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.environment import prepare_environment
from nika_pipelines.feeds import FEEDS
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.processing import UploadBusyError
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from resources.workspace import Workspace


@dataclass(frozen=True)
class Deletion:
    """What a deletion would take away, or took.

    Attributes:
        upload: its record.
        paths: the files and folders that hold something of it.
        shared_with: other uploads that keep the same archived bytes alive.
        repeats: duplicates and aliases, whose result this was.
    """

    upload: Upload
    paths: tuple[Path, ...]
    shared_with: tuple[str, ...]
    repeats: tuple[str, ...]


def planned_deletion(upload_id: str, settings: Settings) -> Deletion:
    """What deleting an upload would take away; nothing is changed.

    Raises:
        KeyError: there is no such upload.
        UploadBusyError: it is not final yet.
    """
    from resources.workspace import open_workspace

    with open_workspace(settings) as workspace:
        return _planned(workspace, upload_id)


def delete_upload(upload_id: str, settings: Settings) -> Deletion:
    """Delete an upload, or finish a deletion that was cut off.

    Raises:
        KeyError: there is no such upload.
        UploadBusyError: it is not final yet.
        OSError: something of it cannot be deleted; what was done stays done.
        sqlite3.Error: a copy of an older ledger cannot be changed; everything else is done.
    """
    prepare_environment(settings)
    import dagster as dg

    from resources.workspace import open_workspace

    with open_workspace(settings) as workspace, dg.DagsterInstance.get() as instance:
        return erase_upload(upload_id, workspace, instance)


def erase_upload(
    upload_id: str, workspace: "Workspace", instance: "dg.DagsterInstance"
) -> Deletion:
    """Delete an upload of a workspace and an instance that are open; as `delete_upload`."""
    from assets.operations import render_digests_again
    from resources.ledger_migrations import erase_from_backups

    planned = _planned(workspace, upload_id)
    upload = workspace.ledger.erase(upload_id)
    if upload is None:  # taken up again since
        raise _busy(_known(workspace, upload_id))
    _delete_files(workspace, upload)
    _delete_from_warehouse(workspace)
    _delete_from_dagster(workspace, instance, upload)
    render_digests_again(workspace, upload)
    erase_from_backups(workspace.ledger.path, upload_id)
    return replace(planned, upload=upload)


def _delete_files(workspace: "Workspace", upload: Upload) -> None:
    workspace.archive.erase(upload, is_shared=lambda: workspace.ledger.is_shared(upload))
    workspace.lake.remove(upload.feed, upload.upload_id)
    workspace.report_store.remove(upload.feed, upload.upload_id)
    for path in _single_files(workspace.settings.data, upload.upload_id):
        path.unlink(missing_ok=True)


def _delete_from_warehouse(workspace: "Workspace") -> None:
    from resources.warehouse import Warehouse
    from resources.warehouse_tables import rebuild_uploads

    path = workspace.settings.data / "warehouse" / "nika.duckdb"
    if path.exists():
        rebuild_uploads(workspace, Warehouse(database=str(path)), FEEDS)


def _delete_from_dagster(
    workspace: "Workspace", instance: "dg.DagsterInstance", upload: Upload
) -> None:
    from resources.run_history import erase_from_history

    runs = workspace.ledger.runs_of(upload.upload_id)
    erase_from_history(
        instance,
        FEEDS[upload.feed].partitions,
        upload.upload_id,
        list(runs),
        [run_id for run_id, alone in runs.items() if alone],
    )


def _known(workspace: "Workspace", upload_id: str) -> Upload:
    upload = workspace.ledger.get(upload_id)
    if upload is None:
        raise KeyError(upload_id)
    return upload


def _planned(workspace: "Workspace", upload_id: str) -> Deletion:
    upload, ledger = _known(workspace, upload_id), workspace.ledger
    if not upload.is_final:
        raise _busy(upload)
    sharing = ledger.sharers_of(upload)
    return Deletion(
        upload=upload,
        paths=tuple(_places(workspace, upload, shared=bool(sharing))),
        shared_with=tuple(sharing),
        repeats=tuple(one.upload_id for one in ledger.repeats_of(upload.upload_id)),
    )


def _places(workspace: "Workspace", upload: Upload, *, shared: bool) -> Iterator[Path]:
    """Everything on the disk that belongs to the upload alone."""
    data, archive = workspace.settings.data, workspace.archive
    places = [archive.claimed_path(upload).parent, archive.quarantined_path(upload).parent]
    if upload.sha256 is not None and not shared:
        places.append(archive.archived_path(upload.sha256))
    places += [data / kind / upload.feed / upload.upload_id for kind in ("results", "reports")]
    places += [workspace.lake.folder(upload.feed, upload.upload_id)]
    places += _single_files(data, upload.upload_id)
    yield from (place for place in places if place.exists())


def _single_files(data: Path, upload_id: str) -> list[Path]:
    return [
        data / "charts" / f"{upload_id}.svg",
        data / "sidecars" / f"{upload_id}.nika.yaml",
        data / "tmp" / f"{upload_id}.part",
    ]


def _busy(upload: Upload) -> UploadBusyError:
    if upload.state == UploadState.WAITING:
        return UploadBusyError(
            f"{upload.upload_id} was not taken yet: remove its file from the inbox instead"
        )
    return UploadBusyError(
        f"{upload.upload_id} is being processed ({upload.state.value}); wait until it is final"
    )
