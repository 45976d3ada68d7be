"""Healing: finding runs whose worker is gone, and uploads that nobody works on any more.

Belongs here: the decisions after a crash. Taking files and planning offers is intake's business.
"""

import time
from dataclasses import dataclass

import dagster as dg

from assets.batches import BATCH_TAG, quarantine_upload
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.states import UploadState
from resources.workspace import Workspace

_PROCESS_STARTED = time.time()
_LOCK_GRACE_SECONDS = 120.0
_MOST_OFFERS = 10

_LIVE_STATUSES = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class LiveRuns:
    """Runs of one job that are queued or running: their ids and the batches they work on."""

    run_ids: frozenset[str]
    batch_ids: frozenset[str]


def live_runs(instance: dg.DagsterInstance, job_name: str) -> LiveRuns:
    """The runs of a job that still have to end."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=_LIVE_STATUSES))
    batches = (run.tags.get(BATCH_TAG) for run in runs)
    return LiveRuns(
        frozenset(run.run_id for run in runs),
        frozenset(batch for batch in batches if batch is not None),
    )


def fail_orphans(instance: dg.DagsterInstance, workspace: Workspace, job_name: str) -> list[str]:
    """Fail runs whose worker died and free their uploads to be offered again.

    A worker holds its run's lock for as long as it lives. The upload in work is charged with the
    death only if this process outlived the worker: when the daemon or the whole tree was killed,
    no file is to blame.

    Returns:
        Ids of the runs that were failed.
    """
    started = dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.STARTED])
    orphans = []
    for record in instance.get_run_records(started):
        run_id = record.dagster_run.run_id
        if not _is_orphan(workspace, run_id, record.start_time):
            continue
        instance.report_run_failed(record.dagster_run, "the worker process is gone")
        alone = (record.start_time or 0.0) > _PROCESS_STARTED
        workspace.ledger.release_run(run_id, charge=alone)
        workspace.run_locks.clear(run_id)
        orphans.append(run_id)
    return orphans


def give_up(workspace: Workspace, feed: str, live: LiveRuns) -> list[str]:
    """Stop offering uploads that kill their worker every time, or whose runs never start.

    Returns:
        Ids of the uploads that are final now.
    """
    stopped = []
    for upload in workspace.ledger.unfinished(feed):
        if upload.batch_id in live.batch_ids or upload.run_id in live.run_ids:
            continue
        if upload.worker_deaths >= workspace.settings.max_attempts:
            message = f"the worker died {upload.worker_deaths} times on this file alone"
            quarantine_upload(workspace, upload.upload_id, UploadRejected("INTERNAL", message))
        elif upload.attempt >= _MOST_OFFERS:
            message = f"{upload.attempt} runs were started for this file and none of them finished"
            workspace.ledger.advance(
                upload.upload_id, UploadState.FAILED, error_code="INTERNAL", message=message
            )
        else:
            continue
        workspace.ledger.record_error("INTERNAL", message, upload_id=upload.upload_id)
        stopped.append(upload.upload_id)
    return stopped


def _is_orphan(workspace: Workspace, run_id: str, start_time: float | None) -> bool:
    if workspace.run_locks.was_taken(run_id):
        return not workspace.run_locks.is_held(run_id)
    # Just started, or just ended: the lock is not there yet or not any more.
    return start_time is not None and time.time() - start_time > _LOCK_GRACE_SECONDS
