"""Sensors: look at the inbox, let the planner decide, emit; and write down failed runs.

A sensor here never raises for what lies in a folder: what cannot be taken becomes a notice and is
tried again at the next look.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import DBAPIError

from assets.batches import ATTEMPT_TAG, BATCH_TAG
from nika_pipelines.disk import is_out_of_room, use_reserve
from nika_pipelines.feeds import FEEDS, Feed
from nika_pipelines.healing import LiveRuns, fail_orphans, give_up, live_runs
from nika_pipelines.intake.names import display_name
from nika_pipelines.intake.planner import Offer, backoff_seconds, plan_offers
from nika_pipelines.intake.states import Upload
from nika_pipelines.jobs import INGEST_JOBS
from nika_pipelines.partitions import UPLOADS
from nika_pipelines.settings import load_settings
from resources.clock import later, utc_now
from resources.leftovers import LeftoverSweep
from resources.workspace import Workspace


@dg.sensor(
    name="inbox_sensor",
    jobs=list(INGEST_JOBS.values()),
    minimum_interval_seconds=load_settings().sensor_interval_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes files that have come to rest in the inbox and offers them to runs.",
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
) -> dg.SensorResult | dg.SkipReason:
    """List, plan, emit, feed by feed; without room or a ledger, try again at the next look."""
    for leftover in _sweep(workspace.settings.data).run_when_due():
        context.log.info("removed %s, which a killed process left", display_name(leftover.name))
    try:
        return _look_and_offer(context, workspace)
    except (OSError, DBAPIError) as error:
        if is_out_of_room(error, workspace.settings.data):
            use_reserve(workspace.settings.data)
        context.log.warning("nothing can be taken now, trying again: %s", error)
        return dg.SkipReason(f"nothing can be taken now: {error}")


def _look_and_offer(
    context: dg.SensorEvaluationContext, workspace: Workspace
) -> dg.SensorResult | dg.SkipReason:
    requests: list[dg.RunRequest] = []
    new_partitions: list[dg.AddDynamicPartitionsRequest] = []
    settling = 0
    for run_id in fail_orphans(context.instance, workspace):
        context.log.warning("run %s lost its worker; its uploads are offered again", run_id)
    live = live_runs(context.instance, workspace)
    for feed in FEEDS.values():
        settling += _look(context, workspace, feed)
        for upload_id in give_up(workspace, feed.name, live):
            context.log.error("%s is not offered any more; see `nika show`", upload_id)
        unfinished = workspace.ledger.unfinished(feed.name)
        if not unfinished:
            continue  # listing the partitions costs more than all the rest of an idle look
        registered = context.instance.get_dynamic_partitions(feed.partitions)
        offers = _plan(workspace, unfinished, live, registered)
        _assign(workspace, offers)
        requests += [_run_request(feed, offer) for offer in offers]
        keys = _unregistered(offers, registered)
        if keys:
            new_partitions.append(UPLOADS[feed.name].build_add_request(keys))
    if not requests:
        return dg.SkipReason(f"nothing to offer; {settling} files are still settling")
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=new_partitions)


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


def partition_range_tags(upload_ids: Sequence[str]) -> dict[str, str]:
    """The run tags that make one run cover uploads that were registered in this order."""
    return {
        "dagster/asset_partition_range_start": upload_ids[0],
        "dagster/asset_partition_range_end": upload_ids[-1],
    }


@cache
def _sweep(data: Path) -> LeftoverSweep:
    return LeftoverSweep(data)


def _look(context: dg.SensorEvaluationContext, workspace: Workspace, feed: Feed) -> int:
    """Take what is stable; returns how many files are still settling."""
    try:
        look = workspace.inbox.look(feed.name)
    except OSError as error:
        # The uploads that were taken before still have to be offered, so this is no end.
        context.log.warning(
            "inbox/%s cannot be listed, trying again: %s", feed.name, error.strerror
        )
        return 0
    for notice in look.notices:
        context.log.warning("%s: %s (%s)", display_name(notice.path), notice.message, notice.code)
    return look.settling


def _plan(
    workspace: Workspace, unfinished: Sequence[Upload], live: LiveRuns, registered: Sequence[str]
) -> list[Offer]:
    return plan_offers(
        unfinished,
        live_batches=live.batch_ids,
        live_runs=live.run_ids,
        queue_length=live.queue_length,
        registered={key: place for place, key in enumerate(registered)},
        now=utc_now(),
        settings=workspace.settings,
    )


def _unregistered(offers: Sequence[Offer], registered: Sequence[str]) -> list[str]:
    known = set(registered)
    return [key for offer in offers for key in offer.upload_ids if key not in known]


def _assign(workspace: Workspace, offers: Sequence[Offer]) -> None:
    """Write down who gets what before Dagster makes the runs: a crash in between loses nothing."""
    for offer in offers:
        next_try = later(backoff_seconds(offer.attempt))
        workspace.ledger.offer(offer.upload_ids, offer.batch_id, not_before=next_try)


def _run_request(feed: Feed, offer: Offer) -> dg.RunRequest:
    tags = {BATCH_TAG: offer.batch_id, ATTEMPT_TAG: str(offer.attempt)}
    if offer.large:
        tags["nika/size"] = "large"
    alone = len(offer.upload_ids) == 1
    return dg.RunRequest(
        run_key=offer.run_key,
        job_name=feed.job,
        partition_key=offer.upload_ids[0] if alone else None,
        tags=tags if alone else tags | partition_range_tags(offer.upload_ids),
    )
