"""The result document of a table: one JSON object that every report is rendered from.

Belongs here: the assembly of ``result.json`` from what the stages found, and its shape.
Does not belong here: any computation; the numbers come from the records that are passed in.
The shape is published as ``docs/schemas/result.schema.json``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Protocol

from nika_pipelines.intake.records import IntakeReport
from nika_pipelines.tables.records import (
    ColumnProfile,
    QualityScore,
    TableProfile,
    UploadFacts,
)
from nika_pipelines.tables.verdict import recommendations, verdict

RESULT_SCHEMA_VERSION = 1
MOST_CHARTS = 4
MOST_DRIFTING_COLUMNS = 50
_SHEETS_TOLD = 5


class Findings(Protocol):
    """The anomaly report, of which this room knows only the document.

    Its keys are ``records`` (with ids ``a1``, ``a2``, ...), ``suppressed_count``, ``notes``
    and ``not_judged``.
    """

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        ...


@dataclass(frozen=True)
class RunFacts:
    """What is known about the run itself.

    Attributes:
        stage_times: seconds per stage.
        settings: the settings that shaped the result, JSON-ready.
        versions: of this program and the libraries that computed.
        data_files: ``table``, ``rejects`` and ``anomalies``, relative to the data folder.
        reports: report files, relative to the data folder.
    """

    stage_times: Mapping[str, float]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    data_files: Mapping[str, str | None]
    reports: Sequence[str] = field(default_factory=tuple)


def build_result(
    *,
    upload: UploadFacts,
    intake: IntakeReport,
    profile: TableProfile,
    quality: QualityScore,
    anomalies: Findings,
    run: RunFacts,
    drift: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Assemble ``result.json``; JSON-ready, without NaN or infinities.

    Args:
        upload: the file.
        intake: what intake found out about it.
        profile: statistics of its table.
        quality: the score.
        anomalies: what is unusual in it.
        run: the run.
        drift: comparisons with earlier versions, newest first; None if there was no comparison.
    """
    found = anomalies.to_json()
    records = [record | {"id": f"{upload.upload_id}/{record['id']}"} for record in found["records"]]
    axis = profile.time_axis
    other_tables = _other_tables(intake, run)
    result: dict[str, Any] = {
        "schema_version": RESULT_SCHEMA_VERSION,
        "upload_id": upload.upload_id,
        "dataset": upload.dataset,
        "version": upload.version,
        "status": "success",
        "run_id": upload.run_id,
        "file_info": _file_info(upload, intake),
        "metrics": _metrics(intake, quality, run, records, found["suppressed_count"]),
        "columns": [_column(column) for column in profile.columns],
        "correlations": [asdict(pair) for pair in profile.correlations],
        "time_column": axis.column if axis else None,
        "anomalies": records,
        "row_balance": asdict(intake.balance) | {"closes": intake.balance.closes},
        "rejects_by_code": dict(intake.rejects_by_code),
        "warnings": [{"code": w.code, "message": w.message} for w in intake.warnings],
        "other_tables": other_tables,
        "drift": None if drift is None else [_drift(one) for one in drift],
        "baseline": None,
        "notes": [*_left_aside(other_tables), *profile.notes, *found["notes"]],
        "not_judged": found["not_judged"],
        "settings": dict(run.settings),
        "versions": dict(run.versions),
        "data_files": dict(run.data_files),
        "reports": list(run.reports),
    }
    result["charts"] = _charts(profile, records)
    result["verdict"] = verdict(result)
    result["recommendations"] = recommendations(result)
    return {key: without_nan(value) for key, value in result.items()}


def _other_tables(intake: IntakeReport, run: RunFacts) -> list[dict[str, Any]]:
    """The other sheets of a workbook; they lie beside the table."""
    folder = PurePosixPath(run.data_files["table"] or ".").parent
    return [
        {**table, "parquet": table["parquet"] and str(folder / table["parquet"])}
        for table in intake.other_tables
    ]


def _left_aside(other_tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence about the sheets that are not the table."""
    if not other_tables:
        return []
    told = ", ".join(
        f"{table['name'][:60]!r} ({table['rows']:,} x {table['columns']:,})"
        for table in other_tables[:_SHEETS_TOLD]
    )
    more = len(other_tables) - _SHEETS_TOLD
    told += f" and {more:,} more" if more > 0 else ""
    kept = next((table["parquet"] for table in other_tables if table["parquet"]), None)
    place = f" They are kept as text in {PurePosixPath(kept).parent}." if kept else ""
    return [f"The other sheets of the workbook were not judged: {told}.{place}"]


def _file_info(upload: UploadFacts, intake: IntakeReport) -> dict[str, Any]:
    return {
        "filename": upload.filename,
        "size_bytes": upload.size_bytes,
        "sha256": upload.sha256,
        "received_at": utc_text(upload.received_at),
        "processed_at": utc_text(upload.processed_at),
        "encoding": intake.encoding,
        "dialect": asdict(intake.dialect),
    }


def _metrics(
    intake: IntakeReport,
    quality: QualityScore,
    run: RunFacts,
    records: list[dict[str, Any]],
    suppressed: int,
) -> dict[str, Any]:
    return {
        "total_records": intake.balance.records,
        "accepted_records": intake.balance.accepted,
        "rejected_records": intake.balance.rejected,
        "anomalies_detected": sum(not record["suppressed"] for record in records),
        "anomalies_suppressed": suppressed,
        "quality_score": quality.total,
        "quality_parts": {name: asdict(part) for name, part in quality.parts.items()},
        "processing_time": round(sum(run.stage_times.values()), 3),
        "stage_times": {name: round(seconds, 3) for name, seconds in run.stage_times.items()},
        "f1_score": None,
        "precision": None,
        "recall": None,
        "accuracy": None,
        "accuracy_source": None,
    }


def _column(column: ColumnProfile) -> dict[str, Any]:
    document = asdict(column)
    del document["non_finite"]
    return document


def _drift(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison with the columns that changed; ``drift.json`` has all of them."""
    changed = [column for column in comparison["columns"] if column["level"] != "stable"]
    return {
        **comparison,
        "columns": changed[:MOST_DRIFTING_COLUMNS],
        "changed": len(changed),
    }


def _charts(profile: TableProfile, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Which numeric columns a report draws: those with the highest scores first."""
    scores: dict[str, float] = {}
    for record in records:
        if not record["suppressed"] and record["kind"] == "statistical_outlier":
            name = record["column"]
            scores[name] = max(scores.get(name, -math.inf), record["score"])
    drawn = [
        column.name
        for column in profile.columns
        if column.type in ("integer", "float")
        and column.histogram is not None
        and (column.name in scores or (column.semantic_type != "id" and not column.is_constant))
    ]
    # Sorting is stable: columns without findings keep their order in the file.
    drawn.sort(key=lambda name: -scores.get(name, -math.inf))
    axis = profile.time_axis
    time = axis.column if axis else None
    return [{"column": name, "time_column": time} for name in drawn[:MOST_CHARTS]]


def utc_text(moment: datetime) -> str:
    """An aware time as ISO 8601 UTC with ``Z``.

    Raises:
        ValueError: the time has no zone, so its UTC time is not known.
    """
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone cannot be told in UTC: {moment}")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def without_nan(value: Any) -> Any:
    """The same JSON document with null for every float that JSON cannot hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return value
