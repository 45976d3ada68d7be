"""Sensors: look at the inbox, let the planner decide, emit; and write down failed runs.

A sensor here never raises for what lies in a folder: what cannot be taken becomes a notice and is
tried again at the next look.
"""

from collections.abc import Sequence

import dagster as dg

from assets.batches import ATTEMPT_TAG, BATCH_TAG
from nika_pipelines.healing import fail_orphans, give_up, live_runs
from nika_pipelines.intake.names import display_name
from nika_pipelines.intake.planner import Offer, backoff_seconds, plan_offers
from nika_pipelines.jobs import INGEST_TABLES
from nika_pipelines.partitions import TABLE_UPLOADS
from nika_pipelines.settings import load_settings
from resources.inbox import Look
from resources.ledger import later, utc_now
from resources.workspace import Workspace

FEED = "tables"


@dg.sensor(
    name="inbox_sensor",
    job=INGEST_TABLES,
    minimum_interval_seconds=load_settings().sensor_interval_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes files that have come to rest in inbox/tables and offers them to runs.",
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
) -> dg.SensorResult | dg.SkipReason:
    """List, plan, emit."""
    for run_id in fail_orphans(context.instance, workspace, INGEST_TABLES.name):
        context.log.warning("run %s lost its worker; its uploads are offered again", run_id)
    live = live_runs(context.instance, INGEST_TABLES.name)
    for upload_id in give_up(workspace, FEED, live):
        context.log.error("%s is not offered any more; see `nika show`", upload_id)
    try:
        look = workspace.inbox.look(FEED)
    except OSError as error:
        return dg.SkipReason(f"inbox/{FEED} cannot be listed, trying again: {error.strerror}")
    for notice in look.notices:
        context.log.warning("%s: %s (%s)", display_name(notice.path), notice.message, notice.code)
    registered = context.instance.get_dynamic_partitions(str(TABLE_UPLOADS.name))
    offers = plan_offers(
        workspace.ledger.unfinished(FEED),
        live_batches=live.batch_ids,
        live_runs=live.run_ids,
        registered={key: place for place, key in enumerate(registered)},
        now=utc_now(),
        settings=workspace.settings,
    )
    return _emit(workspace, offers, set(registered), look)


def _emit(
    workspace: Workspace, offers: Sequence[Offer], registered: set[str], look: Look
) -> dg.SensorResult | dg.SkipReason:
    if not offers:
        return dg.SkipReason(f"nothing to offer; {look.settling} files are still settling")
    for offer in offers:
        next_try = later(backoff_seconds(offer.attempt))
        workspace.ledger.offer(offer.upload_ids, offer.batch_id, not_before=next_try)
    new_keys = [key for offer in offers for key in offer.upload_ids if key not in registered]
    return dg.SensorResult(
        run_requests=[_run_request(offer) for offer in offers],
        dynamic_partitions_requests=[TABLE_UPLOADS.build_add_request(new_keys)] if new_keys else [],
    )


def _run_request(offer: Offer) -> dg.RunRequest:
    tags: dict[str, str] = {BATCH_TAG: offer.batch_id, ATTEMPT_TAG: str(offer.attempt)}
    if offer.large:
        tags["nika/size"] = "large"
    if len(offer.upload_ids) == 1:
        return dg.RunRequest(run_key=offer.run_key, partition_key=offer.upload_ids[0], tags=tags)
    return dg.RunRequest(run_key=offer.run_key, tags=tags | partition_range_tags(offer.upload_ids))


def partition_range_tags(upload_ids: Sequence[str]) -> dict[str, str]:
    """The run tags that make one run cover uploads that were registered in this order."""
    return {
        "dagster/asset_partition_range_start": upload_ids[0],
        "dagster/asset_partition_range_end": upload_ids[-1],
    }


@dg.run_failure_sensor(
    name="run_failure_sensor",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes every failed run into the ledger, where `nika doctor` and digests see it.",
)
def run_failure_sensor(
    context: dg.RunFailureSensorContext, workspace: dg.ResourceParam[Workspace]
) -> None:
    """Record the error of a failed run."""
    message = (context.failure_event.message or "the run failed")[:2_000]
    workspace.ledger.record_error("RUN_FAILED", message, run_id=context.dagster_run.run_id)
