"""Jobs: what one run materialises.

Per-upload jobs run in one process: starting another costs more than a small file's work.
"""

import dagster as dg

INGEST_TABLES = dg.define_asset_job(
    "ingest_tables",
    selection=dg.AssetSelection.groups("tables"),
    description="From a claimed file to its validated table, statistics, anomalies and report.",
    executor_def=dg.in_process_executor,
)

BUILD_DAILY_DIGEST = dg.define_asset_job(
    "build_daily_digest",
    selection=dg.AssetSelection.assets("daily_digest"),
    description="One page about what arrived on one day and what became of it.",
    executor_def=dg.in_process_executor,
)
