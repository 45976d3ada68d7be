"""The tables that the lake keeps of a dataset, for commands that hold a contract against them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.commands.ledgers import listed_uploads
from nika_pipelines.intake.states import Upload, UploadState

if TYPE_CHECKING:
    from nika_pipelines.intake.contract_file import Contract
    from nika_pipelines.intake.contract_trial import Trial
    from nika_pipelines.intake.records import Column
    from nika_pipelines.settings import Settings


@dataclass(frozen=True)
class StoredTable:
    """An upload with the table that intake made of it."""

    upload: Upload
    columns: "list[Column]"
    path: Path


def newest_table(dataset: str, settings: "Settings") -> tuple[StoredTable | None, Upload | None]:
    """The newest version of a dataset that has a table, and a newer upload that was refused."""
    newest = next(stored_tables(dataset, settings), None)
    refused = None
    for upload in reversed(_uploads_of(dataset, settings)):
        if newest is not None and upload.received_at <= newest.upload.received_at:
            break
        if upload.state == UploadState.QUARANTINED:
            refused = refused or upload
    return newest, refused


def stored_tables(dataset: str, settings: "Settings") -> Iterator[StoredTable]:
    """The tables of a dataset, the newest version first."""
    uploads = _uploads_of(dataset, settings)
    for upload in sorted(
        uploads, key=lambda one: (one.version or 0, one.received_at), reverse=True
    ):
        folder = settings.data / "lake" / upload.feed / upload.upload_id
        columns = _columns(folder)
        if columns is not None:
            yield StoredTable(upload, columns, folder / "table.parquet")


def trial_of(contract: "Contract", table: StoredTable, settings: "Settings") -> "Trial":
    """What the contract, enforced, would reject of a table."""
    from nika_pipelines.engine import connect
    from nika_pipelines.intake.contract_trial import Trial, try_contract
    from nika_pipelines.intake.masking import Masking

    if not table.path.is_file():
        return Trial(0, ())
    masking = Masking.of(table.columns, settings)
    with connect(settings) as con:
        return try_contract(contract, table.path, table.columns, con, masking)


def widened_for_all(contract: "Contract", dataset: str, settings: "Settings") -> "Contract":
    """The contract with room for what every stored table of its dataset holds."""
    from nika_pipelines.engine import connect
    from nika_pipelines.intake.contract_trial import widened

    with connect(settings) as con:
        for table in stored_tables(dataset, settings):
            if table.path.is_file():
                contract = widened(contract, table.path, table.columns, con)
    return contract


def _uploads_of(dataset: str, settings: "Settings") -> list[Upload]:
    name = dataset.casefold()
    uploads = listed_uploads(settings, feed=None, state=None)
    return [upload for upload in uploads if upload.dataset == name]


def _columns(folder: Path) -> "list[Column] | None":
    """The columns of the table that intake wrote into a folder, if it did."""
    from nika_pipelines.intake.records import Column

    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return [Column(**column) for column in report["columns"]]
