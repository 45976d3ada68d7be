"""System ``operations``: what Nika reports about its own work."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from nika_pipelines.intake.states import Upload
from nika_pipelines.operations.digest import DigestEntry, digest_document
from nika_pipelines.partitions import DAYS
from resources.ledger import RecordedError
from resources.workspace import Workspace


@dg.asset(
    partitions_def=DAYS,
    group_name="operations",
    kinds={"pdf"},
    owners=["team:data"],
    description="One page about one day: what arrived, what failed and why, the worst findings.",
)
def daily_digest(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.MaterializeResult[None]:
    """Render the ledger of one day as a PDF."""
    made = render_digest(workspace, date.fromisoformat(context.partition_key))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": made.uploads,
            "dagster/uri": made.path.as_uri(),
            "nika/report": dg.MetadataValue.url(workspace.report_store.url(made.path)),
            "nika/errors": made.errors,
        }
    )


@dataclass(frozen=True)
class DigestMade:
    """A digest that was rendered: its file, and how many uploads and errors it tells of."""

    path: Path
    uploads: int
    errors: int


def render_digest(workspace: Workspace, day: date) -> DigestMade:
    """Render the ledger of one day."""
    from nika_pipelines.reports.pdf import render_pdf

    zone = workspace.settings.digest_time_zone
    since, until = day_bounds(day, zone)
    uploads = workspace.ledger.uploads(since=since, until=until)
    errors = workspace.ledger.errors(since=since, until=until)
    made_at = datetime.now(UTC)
    document = digest_document(
        day,
        [digest_entry(upload) for upload in uploads],
        [_error(error) for error in errors],
        made_at=made_at,
        time_zone=zone,
    )
    path = workspace.report_store.digest_path(day.isoformat())
    render_pdf(document, path, made_at)
    return DigestMade(path, len(uploads), len(errors))


def render_digests_again(workspace: Workspace, upload: Upload) -> None:
    """Render the digests that may tell of an upload once more, if they are there."""
    zone = ZoneInfo(workspace.settings.digest_time_zone)
    times = [upload.received_at, *(one.at for one in _errors_of(workspace, upload))]
    days = {datetime.fromisoformat(at).astimezone(zone).date() for at in times}
    for day in sorted(days):
        if workspace.report_store.digest_path(day.isoformat()).exists():
            render_digest(workspace, day)


def _errors_of(workspace: Workspace, upload: Upload) -> list[RecordedError]:
    errors = workspace.ledger.errors(since=upload.received_at)
    return [one for one in errors if one.upload_id == upload.upload_id]


def day_bounds(day: date, zone: str) -> tuple[str, str]:
    """When a calendar day in a zone begins and ends, as the ledger writes times.

    >>> day_bounds(date(2026, 3, 29), "Europe/Berlin")
    ('2026-03-28T23:00:00.000000Z', '2026-03-29T22:00:00.000000Z')
    """
    midnights = [
        datetime.combine(day + timedelta(days=n), time(), tzinfo=ZoneInfo(zone)) for n in (0, 1)
    ]
    start, end = (moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") for moment in midnights)
    return start, end


def digest_entry(upload: Upload) -> DigestEntry:
    """One line of the digest from what the ledger knows."""
    summary = upload.summary or {}
    return DigestEntry(
        upload_id=upload.upload_id,
        filename=upload.original_name,
        feed=upload.feed,
        state=upload.state.value,
        received_at=upload.received_at,
        error_code=upload.error_code,
        message=upload.message,
        rows=summary.get("rows"),
        rejected=summary.get("rejected_rows"),
        quality_score=summary.get("quality_score"),
        anomalies=summary.get("anomalies_by_severity", {}),
        worst_severity=summary.get("worst_severity"),
        worst_finding=summary.get("worst_finding"),
        processing_seconds=summary.get("seconds"),
    )


def _error(error: RecordedError) -> dict[str, str]:
    where = error.upload_id or (f"run {error.run_id}" if error.run_id else "Nika")
    return {"at": error.at, "where": where, "message": error.message}
