"""Jobs: what one run materialises.

Per-upload jobs run in one process: starting another costs more than a small file's work.
"""

import dagster as dg

from nika_pipelines.feeds import FEEDS

INGEST_JOBS = {
    feed.name: dg.define_asset_job(
        feed.job,
        selection=dg.AssetSelection.groups(feed.name),
        description=f"From a claimed file of feed {feed.name} to its report.",
        executor_def=dg.in_process_executor,
    )
    for feed in FEEDS.values()
}
"""The job of every per-upload system, by feed."""

BUILD_DAILY_DIGEST = dg.define_asset_job(
    "build_daily_digest",
    selection=dg.AssetSelection.assets("daily_digest"),
    description="One page about what arrived on one day and what became of it.",
    executor_def=dg.in_process_executor,
)
