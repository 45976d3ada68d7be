"""How many false outliers clean data raise, and how large a spike has to be: prints JSON.

Every generated column is a file of its own (the hardest case for the limit on false flags: one
column gets all of it). Beside Nika's findings stand the flags of the classic thresholds. The
second part plants one spike of so many robust sigmas into each column and counts those found.
Seeds are fixed; the figures of one version can be repeated exactly.

    nika bench anomaly_false_flags [columns per family]
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from nika_pipelines.anomalies.engine import detect_anomalies
from nika_pipelines.anomalies.records import AnomalyReport
from nika_pipelines.intake.records import Column
from nika_pipelines.settings import Settings
from nika_pipelines.tables.statistics import profile_table

Generator = Callable[[np.random.Generator, int], Any]

FAMILIES: dict[str, Generator] = {
    "normal": lambda rng, n: rng.normal(50, 7, n),
    "uniform": lambda rng, n: rng.random(n),
    "exponential": lambda rng, n: rng.exponential(3, n),
    "lognormal": lambda rng, n: np.exp(rng.normal(0, 1, n)),
    "poisson_3": lambda rng, n: rng.poisson(3, n),
    "poisson_0.3": lambda rng, n: rng.poisson(0.3, n),
    "t5": lambda rng, n: rng.standard_t(5, n),
    "t3": lambda rng, n: rng.standard_t(3, n),
}
ROWS = (100, 1_000, 10_000)
SPIKES = (6, 8, 12)
COLUMNS = 200
SEED = 20_240_601


def main() -> None:
    """Run every family and print one JSON document."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COLUMNS
    settings = Settings()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        parquet = Path(folder) / "column.parquet"
        clean = [
            _clean(con, parquet, family, rows, count, settings)
            for rows in ROWS
            for family in FAMILIES
        ]
        spiked = [
            _spiked(con, parquet, family, sigmas, count, settings)
            for sigmas in SPIKES
            for family in FAMILIES
        ]
    document = {
        "allowed_false_flags_per_file": settings.expected_false_flags,
        "seed": SEED,
        "columns_per_line": count,
        "clean": clean,
        "one_spike_in_1000_rows": spiked,
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(document, indent=1))


def _clean(
    con: duckdb.DuckDBPyConnection,
    parquet: Path,
    family: str,
    rows: int,
    count: int,
    settings: Settings,
) -> dict[str, Any]:
    rng = np.random.default_rng([SEED, rows])
    values = [FAMILIES[family](rng, rows) for _ in range(count)]
    reports = [_detect(con, parquet, column, settings) for column in values]
    findings = [len(report.findings) for report in reports]
    return {
        "family": family,
        "rows": rows,
        "false_findings_per_file": sum(findings) / count,
        "files_with_a_finding": sum(found > 0 for found in findings) / count,
        "false_findings_per_10k_rows": round(sum(findings) / count / rows * 1e4, 3),
        "classic_z_per_file": sum(map(_beyond_three_sigma, values)) / count,
        "classic_iqr_per_file": sum(map(_beyond_fences, values)) / count,
    }


def _spiked(
    con: duckdb.DuckDBPyConnection,
    parquet: Path,
    family: str,
    sigmas: int,
    count: int,
    settings: Settings,
) -> dict[str, Any]:
    rng = np.random.default_rng([SEED, sigmas])
    found = judged = 0
    for _ in range(count):
        values = FAMILIES[family](rng, 1_000)
        middle = np.median(values)
        sigma = 1.4826 * np.median(np.abs(values - middle))
        if sigma == 0:
            continue
        judged += 1
        values[500] = middle + sigmas * sigma
        report = _detect(con, parquet, values, settings)
        found += any(one.row_start <= 501 <= one.row_end for one in report.findings)
    return {"family": family, "sigmas": sigmas, "files": judged, "found": found}


def _detect(
    con: duckdb.DuckDBPyConnection, parquet: Path, values: Any, settings: Settings
) -> AnomalyReport:
    whole = np.issubdtype(values.dtype, np.integer)
    columns = [Column("x", "integer" if whole else "float", "measure")]
    con.register("given", {"x": values})
    con.execute(f"COPY (SELECT x FROM given) TO '{parquet}'")
    con.unregister("given")
    profile = profile_table(con, parquet, columns, settings)
    return detect_anomalies(con, parquet, columns, profile, settings)


def _beyond_three_sigma(values: Any) -> int:
    return int((np.abs(values - values.mean()) > 3 * values.std(ddof=1)).sum())


def _beyond_fences(values: Any) -> int:
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 1.5 * (high - low)
    return int(((values < low - reach) | (values > high + reach)).sum())


if __name__ == "__main__":
    main()
