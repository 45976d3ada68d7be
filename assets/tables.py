"""System ``tables``: from a dropped file to a validated table, its statistics, anomalies, report.

Five assets per upload. Each stage reads what the stage before it stored, so that any of them can
be materialised again alone from the web UI.
"""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from assets import checks
from assets.lineage import ANOMALIES_SCHEMA, STATISTICS_SCHEMA, lineage_from_file, lineage_to_table
from assets.previews import (
    findings_preview,
    markdown_preview,
    statistics_preview,
    verdict_markdown,
)
from assets.stages import Chain, DuplicateUpload, Stage, StageInput, StageOutcome
from assets.table_history import compare_with_earlier
from assets.table_report import render_report, result_document
from nika_pipelines.engine import connect
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.identity import content_identity, reading_options
from nika_pipelines.intake.names import display_name
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.partitions import UPLOADS
from nika_pipelines.settings import Settings, load_settings
from resources.archive import Fingerprint, StillBeingWrittenError
from resources.warehouse_tables import publish_uploads
from resources.workspace import Workspace

FEED = "tables"


def raw_upload(given: StageInput) -> StageOutcome:
    """Hash the file, archive its bytes unchanged, read its sidecar and recognise a repetition."""
    upload, workspace = given.upload, given.workspace
    read = workspace.originals.read_in(upload)
    try:
        identity = _identity(upload, workspace, read.sha256)
    except UploadRejected:
        _archive(upload, workspace, read, identity=None)
        raise
    upload, path = _archive(upload, workspace, read, identity)
    original = _repeated(upload, workspace, identity)
    if original is not None:
        raise DuplicateUpload(upload, original)
    return StageOutcome(
        {
            "dagster/uri": path.as_uri(),
            "nika/verdict": f"{read.size_bytes:,} bytes archived unchanged",
            "nika/filename": display_name(upload.original_name),
            "nika/size_bytes": read.size_bytes,
            "nika/sha256": read.sha256,
            "nika/received_at": upload.received_at,
        }
    )


def _identity(upload: Upload, workspace: Workspace, sha256: str) -> str:
    """The upload's identity; a copy of its sidecar is kept before anything refers to it."""
    sidecar = workspace.sidecars.take(upload)
    contract = contract_path(workspace.settings, upload)
    return content_identity(sha256, reading_options(sidecar, contract))


def _archive(
    upload: Upload, workspace: Workspace, read: Fingerprint, identity: str | None
) -> tuple[Upload, Path]:
    """Note what was read, then move the bytes to where the ledger now looks for them."""
    noted = workspace.ledger.advance(
        upload.upload_id,
        upload.state,
        sha256=read.sha256,
        size_bytes=read.size_bytes,
        identity=identity,
    )
    path = workspace.archive.admit(noted)
    workspace.originals.release(noted)
    return noted, path


def _repeated(upload: Upload, workspace: Workspace, identity: str) -> Upload | None:
    """The finished upload that this one repeats, under the same name or as an alias.

    An upload that became a version of its dataset has results of its own and repeats none. One of
    another dataset that has a contract is judged by that, whoever had the same content before.
    """
    if upload.version is not None:
        return None
    original = workspace.ledger.original_of(upload, identity, under_any_name=True)
    if original is None or original.dataset == upload.dataset:
        return original
    return None if contract_path(workspace.settings, upload).exists() else original


def validated_table(given: StageInput) -> StageOutcome:
    """Decode, cut into cells, type and check against the contract; keep the typed table."""
    from nika_pipelines.intake.take_in import take_in

    upload, workspace = given.upload, given.workspace
    contract = contract_path(workspace.settings, upload)
    options = workspace.sidecars.kept(upload.upload_id)
    source = workspace.archive.locate(upload)
    before = source.stat()
    with workspace.lake.publishing(FEED, upload.upload_id) as folder:
        report = take_in(
            source,
            upload.stored_name,
            folder,
            workspace.settings,
            contract,
            upload.dataset,
            options=options,
        )
        workspace.lake.write_intake(folder, report)
        after = source.stat()
        unchanged = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        if not unchanged or after.st_size != upload.size_bytes:
            raise StillBeingWrittenError(upload.stored_name)
    report = workspace.lake.read_intake(FEED, upload.upload_id)
    version = workspace.ledger.assign_version(upload.upload_id)
    return StageOutcome(
        {
            "dagster/row_count": report.n_rows,
            "dagster/column_schema": checks.table_schema(report),
            "dagster/column_lineage": lineage_from_file(report.columns),
            "dagster/uri": report.table_parquet.as_uri(),
            "nika/dataset": f"{upload.dataset}, version {version}",
            "nika/verdict": f"{report.n_rows:,} of {report.balance.records:,} rows are usable",
            "nika/rejected_rows": report.balance.rejected,
            "nika/warnings": len(report.warnings),
            "nika/preview": dg.MetadataValue.md(
                markdown_preview(report.table_parquet, report.columns, workspace.settings)
            ),
        },
        checks=checks.evaluate_table_checks(report, workspace.settings),
    )


def contract_path(settings: Settings, upload: Upload) -> Path:
    """Where the contract of an upload's dataset is."""
    return settings.data / "contracts" / f"{upload.dataset}.yaml"


def table_statistics(given: StageInput) -> StageOutcome:
    """Describe every column, the correlations between them, and what is unlike earlier files."""
    from nika_pipelines.tables.sketch import sketch_table
    from nika_pipelines.tables.statistics import profile_table

    upload, workspace = given.upload, given.workspace
    report = workspace.lake.read_intake(FEED, upload.upload_id)
    with connect(workspace.settings) as connection:
        profile = profile_table(
            connection, report.table_parquet, report.columns, workspace.settings
        )
        sketch = sketch_table(
            connection, report.table_parquet, report.columns, profile, report.balance.rejected
        )
    path = workspace.report_store.write_document(
        FEED, upload.upload_id, "statistics", profile.to_json()
    )
    drifts = compare_with_earlier(given, sketch)
    return StageOutcome(
        {
            "dagster/row_count": len(profile.columns),
            "dagster/column_schema": STATISTICS_SCHEMA,
            "dagster/column_lineage": lineage_to_table(STATISTICS_SCHEMA, report.columns),
            "dagster/uri": path.as_uri(),
            "nika/verdict": f"{profile.rows:,} rows in {len(profile.columns):,} columns described",
            "nika/correlations": len(profile.correlations),
            "nika/drift": drifts[0].level if drifts else "nothing to compare with",
            "nika/preview": dg.MetadataValue.md(statistics_preview(profile)),
        }
    )


def table_anomalies(given: StageInput) -> StageOutcome:
    """Find unusual values and runs of missing data."""
    from nika_pipelines.anomalies.engine import detect_anomalies
    from nika_pipelines.anomalies.storage import write_parquet
    from nika_pipelines.tables.records import TableProfile

    upload, workspace = given.upload, given.workspace
    report = workspace.lake.read_intake(FEED, upload.upload_id)
    profile = TableProfile.from_json(
        workspace.report_store.read_document(FEED, upload.upload_id, "statistics")
    )
    with connect(workspace.settings) as connection:
        found = detect_anomalies(
            connection, report.table_parquet, report.columns, profile, workspace.settings
        )
    folder = workspace.report_store.result_folder(FEED, upload.upload_id)
    write_parquet(found, upload.upload_id, folder / "anomalies.parquet")
    path = workspace.report_store.write_document(
        FEED, upload.upload_id, "anomalies", found.to_json()
    )
    return StageOutcome(
        {
            "dagster/row_count": len(found.findings),
            "dagster/column_schema": ANOMALIES_SCHEMA,
            "dagster/column_lineage": lineage_to_table(ANOMALIES_SCHEMA, report.columns),
            "dagster/uri": path.as_uri(),
            "nika/verdict": f"{len(found.findings):,} findings, {found.suppressed_count:,} weaker ones",
            "nika/suppressed": found.suppressed_count,
            "nika/preview": dg.MetadataValue.md(findings_preview(found)),
            "nika/notes": "; ".join(found.notes) or "none",
        }
    )


def table_report(given: StageInput) -> StageOutcome:
    """Put everything together: the result document, the PDF and the picture for the web UI."""
    upload, store = given.upload, given.workspace.report_store
    result = result_document(given)
    store.write_document(FEED, upload.upload_id, "result", result)
    pdf, chart = render_report(result, given)
    metrics = result["metrics"]
    return StageOutcome(
        {
            "dagster/row_count": metrics["anomalies_detected"],
            "dagster/uri": pdf.as_uri(),
            "nika/verdict": dg.MetadataValue.md(
                verdict_markdown(result, None if chart is None else store.url(chart))
            ),
            "nika/report": dg.MetadataValue.url(store.url(pdf)),
            "nika/quality_score": metrics["quality_score"],
            "nika/anomalies": metrics["anomalies_detected"],
        },
        summary=_summary(result),
    )


def _summary(result: dict[str, Any]) -> dict[str, Any]:
    """What the ledger keeps of a result, for lists and digests."""
    metrics = result["metrics"]
    found = [one for one in result["anomalies"] if not one["suppressed"]]
    worst = found[0] if found else None
    return {
        "rows": metrics["accepted_records"],
        "rejected_rows": metrics["rejected_records"],
        "anomalies": metrics["anomalies_detected"],
        "anomalies_by_severity": dict(Counter(one["severity"] for one in found)),
        "worst_severity": None if worst is None else worst["severity"],
        "worst_finding": None if worst is None else worst["explanation"],
        "quality_score": metrics["quality_score"],
        "verdict_level": result["verdict"]["level"],
        "verdict": result["verdict"]["text"],
        "warnings": list(dict.fromkeys(one["code"] for one in result["warnings"])),
        "seconds": metrics["processing_time"],
    }


TABLES_CHAIN = Chain(
    feed=FEED,
    stages=(
        Stage(
            asset="raw_upload",
            deps=(),
            state=UploadState.VALIDATING,
            run=raw_upload,
            description="The file as it arrived: bytes unchanged, named by their SHA-256.",
            kinds=frozenset({"file"}),
            freshness=dg.FreshnessPolicy.time_window(
                fail_window=timedelta(days=load_settings().freshness_days)
            ),
        ),
        Stage(
            asset="validated_table",
            deps=("raw_upload",),
            state=UploadState.VALIDATING,
            run=validated_table,
            description="The accepted rows with their types, checked against the dataset's "
            "contract; rejected rows are kept beside it with line, column and reason.",
            kinds=frozenset({"duckdb", "parquet", "pandera"}),
            checks=checks.TABLE_CHECKS,
        ),
        Stage(
            asset="table_statistics",
            deps=("validated_table",),
            state=UploadState.PROCESSING,
            run=table_statistics,
            description="Count, spread, shape and most frequent values of every column, and "
            "Pearson correlations.",
            kinds=frozenset({"duckdb", "json"}),
        ),
        Stage(
            asset="table_anomalies",
            deps=("validated_table", "table_statistics"),
            state=UploadState.ANALYSING,
            run=table_anomalies,
            description="Unusual values and runs of missing data, each with severity, expected "
            "range and explanation.",
            kinds=frozenset({"numpy", "parquet"}),
        ),
        Stage(
            asset="table_report",
            deps=("validated_table", "table_statistics", "table_anomalies"),
            state=UploadState.COMPLETE,
            run=table_report,
            description="The verdict on an upload: result.json, a PDF to hand on, a picture.",
            kinds=frozenset({"pdf", "json"}),
        ),
    ),
    gate=("validated_table", checks.MATCHES_SCHEMA.name),
    partitions_def=UPLOADS[FEED],
    owners=("team:data",),
    finish=lambda workspace, warehouse: publish_uploads(workspace, warehouse, FEED),
)
"""The system, as the batch loop takes it."""
