"""What the warehouse holds of the tables: a view per dataset, one row per upload, all findings.

Everything here can be built again from the ledger and the lake, and is brought up to date from
what is missing: a run that dies before publishing loses nothing.
"""

from typing import TYPE_CHECKING

from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.sql import identifier, parquet_rows
from resources.warehouse import Warehouse
from resources.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_UPLOADS = """
CREATE TABLE IF NOT EXISTS uploads (
    upload_id VARCHAR PRIMARY KEY, dataset VARCHAR, version INTEGER, filename VARCHAR,
    received_at TIMESTAMP, finished_at TIMESTAMP, rows BIGINT, rejected_rows BIGINT,
    anomalies BIGINT, quality_score DOUBLE, verdict VARCHAR
)
"""


def publish_uploads(workspace: Workspace, warehouse: Warehouse, feed: str) -> None:
    """Bring the warehouse up to date with every finished upload of a feed."""
    finished = workspace.ledger.uploads(feed=feed, states=[UploadState.REPORT_READY])
    if finished:
        warehouse.publish(lambda connection: _bring_up_to_date(connection, finished, workspace))


def _bring_up_to_date(
    connection: "DuckDBPyConnection", finished: list[Upload], workspace: Workspace
) -> None:
    connection.execute("CREATE SCHEMA IF NOT EXISTS tables")
    connection.execute(_UPLOADS)
    known = dict(
        connection.execute("SELECT upload_id, finished_at::VARCHAR FROM uploads").fetchall()
    )
    changed = [u for u in finished if known.get(u.upload_id) != _stamp(u)]
    for upload in changed:
        connection.execute(
            "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _row(upload),
        )
    newest = {upload.dataset: upload for upload in finished}
    for upload in changed:
        if newest[upload.dataset] is upload:
            _replace_view(connection, upload, workspace)


def _replace_view(connection: "DuckDBPyConnection", upload: Upload, workspace: Workspace) -> None:
    table = workspace.lake.folder(upload.feed, upload.upload_id) / "table.parquet"
    connection.execute(
        f"CREATE OR REPLACE VIEW tables.{identifier(upload.dataset)} AS "
        f"SELECT * FROM {parquet_rows(table)}"
    )


def _row(upload: Upload) -> list[object]:
    summary = upload.summary or {}
    return [
        upload.upload_id,
        upload.dataset,
        upload.version,
        upload.original_name,
        upload.received_at.rstrip("Z"),
        _stamp(upload),
        summary.get("rows"),
        summary.get("rejected_rows"),
        summary.get("anomalies"),
        summary.get("quality_score"),
        summary.get("verdict"),
    ]


def _stamp(upload: Upload) -> str:
    """The time of completion as DuckDB writes a timestamp."""
    stamp = (upload.finished_at or upload.updated_at).rstrip("Z").replace("T", " ")
    return stamp.rstrip("0").rstrip(".") if "." in stamp else stamp
