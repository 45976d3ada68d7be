"""Putting a table's result together from what its stages stored, and rendering it."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.stages import StageInput
from assets.table_history import stored_comparisons
from nika_pipelines.intake.states import Upload
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    from nika_pipelines.tables.records import UploadFacts

_VERSIONED = ("nika-pipelines", "dagster", "duckdb", "numpy", "pandas", "pandera")
_SHAPING = (
    "z_score_threshold",
    "iqr_multiplier",
    "mad_threshold",
    "expected_false_flags",
    "min_samples",
    "max_anomalies_per_report",
    "max_bad_row_share",
    "type_vote_share",
    "mask_personal_data",
)
"""Settings that change a result; the others change where and how fast it is made."""


def result_document(given: StageInput) -> dict[str, Any]:
    """The result of an upload, from the documents of its earlier stages.

    Raises:
        FileNotFoundError: an earlier stage has not run.
    """
    from nika_pipelines.anomalies.records import AnomalyReport
    from nika_pipelines.tables.quality import score
    from nika_pipelines.tables.records import TableProfile
    from nika_pipelines.tables.result import RunFacts, build_result

    upload, store, lake = given.upload, given.workspace.report_store, given.workspace.lake
    feed, upload_id = upload.feed, upload.upload_id
    intake = lake.read_intake(feed, upload_id)
    profile = TableProfile.from_json(store.read_document(feed, upload_id, "statistics"))
    anomalies = AnomalyReport.from_json(store.read_document(feed, upload_id, "anomalies"))
    findings = store.result_folder(feed, upload_id) / "anomalies.parquet"
    return build_result(
        upload=_facts(upload, given.run_id),
        intake=intake,
        profile=profile,
        quality=score(profile, intake),
        anomalies=anomalies,
        drift=stored_comparisons(given),
        run=RunFacts(
            stage_times=_stage_times(given),
            settings=_shaping_settings(given.workspace.settings),
            versions={name: version(name) for name in _VERSIONED},
            data_files={
                "table": lake.relative(intake.table_parquet),
                "rejects": lake.relative(intake.rejects_parquet),
                "anomalies": lake.relative(findings),
            },
            reports=[lake.relative(store.report_path(feed, upload_id))],
        ),
    )


def render_report(result: dict[str, Any], given: StageInput) -> tuple[Path, Path | None]:
    """Render the PDF and the picture; the picture is None for a table without anything to draw."""
    from nika_pipelines.reports.charts import render_svg
    from nika_pipelines.reports.pdf import render_pdf
    from nika_pipelines.tables.report import main_chart, table_report

    upload, store, settings = given.upload, given.workspace.report_store, given.workspace.settings
    document = table_report(result, settings.data, settings)
    processed_at = datetime.fromisoformat(result["file_info"]["processed_at"])
    pdf = render_pdf(document, store.report_path(upload.feed, upload.upload_id), processed_at)
    chart = main_chart(result, settings.data, settings)
    if chart is None:
        return pdf, None
    return pdf, render_svg(chart, store.chart_path(upload.upload_id))


def _facts(upload: Upload, run_id: str) -> "UploadFacts":
    from nika_pipelines.tables.records import UploadFacts

    return UploadFacts(
        upload_id=upload.upload_id,
        dataset=upload.dataset,
        version=upload.version or 1,
        filename=upload.original_name,
        size_bytes=upload.size_bytes or 0,
        sha256=upload.sha256 or "",
        received_at=datetime.fromisoformat(upload.received_at),
        processed_at=datetime.now(UTC),
        run_id=run_id,
    )


def _stage_times(given: StageInput) -> dict[str, float]:
    """Seconds of the stages of this run, and of an earlier one for stages that did not run."""
    earlier: dict[str, float] = {}
    try:
        earlier = given.workspace.report_store.read_document(
            given.upload.feed, given.upload.upload_id, "result"
        )["metrics"]["stage_times"]
    except FileNotFoundError:
        return dict(given.stage_times)
    return earlier | dict(given.stage_times)


def _shaping_settings(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in _SHAPING}
