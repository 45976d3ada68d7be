"""Findings as a Parquet file, one row each, for queries over many uploads."""

import os
from dataclasses import asdict
from pathlib import Path

from nika_pipelines.anomalies.records import AnomalyReport


def write_parquet(report: AnomalyReport, upload_id: str, path: Path) -> None:
    """Write every stored finding, suppressed ones included; whole or not at all.

    The columns are those of the records in ``result.json``, with ``expected_range`` as
    ``expected_low`` and ``expected_high``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for record in report.records:
        row = asdict(record)
        low, high = row.pop("expected_range") or (None, None)
        row |= {"id": f"{upload_id}/{record.id}", "expected_low": low, "expected_high": high}
        rows.append(row)
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("id", "type", "kind", "method", "severity")),
            *((name, pa.float64()) for name in ("score", "confidence")),
            ("column", pa.string()),
            *((name, pa.int64()) for name in ("row_start", "row_end")),
            *((name, pa.string()) for name in ("time_start", "time_end")),
            *((n, pa.float64()) for n in ("value", "expected_low", "expected_high", "effect")),
            *((name, pa.string()) for name in ("location", "explanation")),
            ("suppressed", pa.bool_()),
        ]
    )
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), draft)
    draft.replace(path)
