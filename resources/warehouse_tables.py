"""What the warehouse holds of a feed: a view per dataset, and one row per finished upload.

Everything here can be built again from the ledger and the lake, and is brought up to date from
what has changed since: a run that dies before publishing loses nothing.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nika_pipelines.intake.states import FINAL_STATES, Upload, UploadState
from nika_pipelines.sql import identifier, parquet_rows
from resources.warehouse import Warehouse
from resources.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_UPLOADS = """
CREATE TABLE IF NOT EXISTS uploads (
    upload_id VARCHAR PRIMARY KEY, feed VARCHAR, dataset VARCHAR, version INTEGER,
    filename VARCHAR, received_at TIMESTAMP, finished_at TIMESTAMP, rows BIGINT,
    rejected_rows BIGINT, anomalies BIGINT, quality_score DOUBLE, verdict VARCHAR
)
"""
_OVERLAP = timedelta(minutes=5)
"""Two runs may write to the ledger in another order than their times; the rest is idempotent."""


def publish_uploads(workspace: Workspace, warehouse: Warehouse, feed: str) -> None:
    """Bring the warehouse up to date with the uploads of a feed that became final since."""
    warehouse.publish(lambda connection: _bring_up_to_date(connection, workspace, feed))


def rebuild_uploads(workspace: Workspace, warehouse: Warehouse, feeds: Iterable[str]) -> None:
    """Build the warehouse anew from the ledger and the lake."""

    def build(connection: "DuckDBPyConnection") -> None:
        for feed in feeds:
            _bring_up_to_date(connection, workspace, feed)

    warehouse.rebuild(build)


def _bring_up_to_date(connection: "DuckDBPyConnection", workspace: Workspace, feed: str) -> None:
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(feed)}")
    connection.execute(_UPLOADS)
    newest = connection.execute(
        "SELECT max(finished_at) FROM uploads WHERE feed = ?", [feed]
    ).fetchone()
    changed = workspace.ledger.uploads(
        feed=feed, states=FINAL_STATES, finished_since=_since(newest[0] if newest else None)
    )
    ready = [upload for upload in changed if upload.state == UploadState.REPORT_READY]
    gone = [upload for upload in changed if upload.state != UploadState.REPORT_READY]
    for upload in gone:
        connection.execute("DELETE FROM uploads WHERE upload_id = ?", [upload.upload_id])
    for upload in ready:
        marks = ", ".join("?" * len(_row(upload)))
        connection.execute(f"INSERT OR REPLACE INTO uploads VALUES ({marks})", _row(upload))
    for dataset in dict.fromkeys(upload.dataset for upload in changed):
        _replace_view(connection, workspace, feed, dataset)


def _replace_view(
    connection: "DuckDBPyConnection", workspace: Workspace, feed: str, dataset: str
) -> None:
    """Point the dataset's view at its newest version; without a table there is no view."""
    view = f"{identifier(feed)}.{identifier(dataset)}"
    rows = connection.execute(
        "SELECT upload_id FROM uploads WHERE feed = ? AND dataset = ? "
        # One that was refused at first and retried later is the newest, though it came before.
        "ORDER BY version DESC NULLS LAST, received_at DESC, upload_id DESC",
        [feed, dataset],
    ).fetchall()
    for (upload_id,) in rows:
        table = workspace.lake.folder(feed, upload_id) / "table.parquet"
        if table.exists():
            connection.execute(
                f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM {parquet_rows(table)}"
            )
            return
    connection.execute(f"DROP VIEW IF EXISTS {view}")


def _since(newest: datetime | None) -> str | None:
    if newest is None:
        return None
    return (newest - _OVERLAP).isoformat(timespec="microseconds") + "Z"


def _row(upload: Upload) -> list[object]:
    summary = upload.summary or {}
    return [
        upload.upload_id,
        upload.feed,
        upload.dataset,
        upload.version,
        upload.original_name,
        upload.received_at.rstrip("Z"),
        (upload.finished_at or upload.updated_at).rstrip("Z"),
        summary.get("rows"),
        summary.get("rejected_rows"),
        summary.get("anomalies"),
        summary.get("quality_score"),
        summary.get("verdict"),
    ]
