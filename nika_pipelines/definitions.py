"""The composition root: the one place where assets, jobs, sensors and resources meet."""

from typing import Any

import dagster as dg

from assets.batches import build_chain_asset
from assets.operations import daily_digest
from assets.tables import TABLES_CHAIN
from nika_pipelines.jobs import BUILD_DAILY_DIGEST, INGEST_JOBS
from nika_pipelines.schedules import daily_build_daily_digest
from nika_pipelines.sensors import inbox_sensor, run_failure_sensor
from nika_pipelines.settings import Settings, load_settings
from resources.warehouse import Warehouse
from resources.workspace import workspace_resource


def build_defs(settings: Settings, **overrides: Any) -> dg.Definitions:
    """Compose the code location.

    Args:
        settings: where data is and how it is processed.
        **overrides: resources to use instead of the usual ones, by key.
    """
    resources: dict[str, Any] = {
        "workspace": workspace_resource(settings),
        "warehouse": Warehouse(database=str(settings.data / "warehouse" / "nika.duckdb")),
    }
    return dg.Definitions(
        assets=[build_chain_asset(TABLES_CHAIN), daily_digest],
        jobs=[*INGEST_JOBS.values(), BUILD_DAILY_DIGEST],
        sensors=[inbox_sensor, run_failure_sensor],
        schedules=[daily_build_daily_digest],
        resources=resources | overrides,
        executor=dg.in_process_executor,
    )


defs = build_defs(load_settings())
