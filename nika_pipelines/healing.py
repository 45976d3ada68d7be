"""Healing: finding runs whose worker is gone, and uploads that nobody works on any more.

Belongs here: the decisions after a crash. Taking files and planning offers is intake's business.
"""

import time
from dataclasses import dataclass

import dagster as dg

from assets.batches import BATCH_TAG
from assets.outcomes import fail_upload, quarantine_upload
from nika_pipelines.intake.codes import UploadRejected
from resources.workspace import Workspace

_PROCESS_STARTED = time.time()
_END_GRACE_SECONDS = 10.0
_START_GRACE_SECONDS = 120.0
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
    """Runs that still have to end.

    Attributes:
        run_ids: of every job, as Dagster sees it, and those whose worker holds its lock.
        batch_ids: the batches that they work on.
        queue_length: how many of them the sensor's own jobs have.
    """

    run_ids: frozenset[str]
    batch_ids: frozenset[str]
    queue_length: int


def live_runs(instance: dg.DagsterInstance, workspace: Workspace) -> LiveRuns:
    """Everything that may be working on an upload, runs launched from the web UI included."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_LIVE_STATUSES))
    batches = [run.tags[BATCH_TAG] for run in runs if BATCH_TAG in run.tags]
    ids = frozenset(run.run_id for run in runs) | workspace.run_locks.held()
    return LiveRuns(ids, frozenset(batches), queue_length=len(batches))


def fail_orphans(instance: dg.DagsterInstance, workspace: Workspace) -> list[str]:
    """Fail runs whose worker died and free their uploads to be offered again.

    A worker holds its run's lock for as long as it lives. The upload in work is charged with the
    death only if this process outlived the worker: when the daemon or the whole tree was killed,
    no file is to blame.

    Returns:
        Ids of the runs that were failed.
    """
    locks = workspace.run_locks
    orphans = []
    for run_id in locks.taken():
        if locks.is_held(run_id):
            continue
        record = instance.get_run_record_by_id(run_id)
        died = locks.died(run_id)
        is_over = record is None or record.dagster_run.is_finished
        # Dagster records the end of a run a moment after its worker released the lock.
        if not is_over and not died and locks.released_for(run_id) < _END_GRACE_SECONDS:
            continue
        if record is not None and not is_over:
            instance.report_run_failed(record.dagster_run, "the worker process is gone")
            orphans.append(run_id)
        alone = record is not None and (record.start_time or 0.0) > _PROCESS_STARTED
        workspace.ledger.release_run(run_id, charge=died and alone)
        locks.clear(run_id)
    return orphans + _fail_unborn(instance, workspace)


def give_up(workspace: Workspace, feed: str, live: LiveRuns) -> list[str]:
    """Stop offering uploads that kill their worker every time, or whose runs never finish.

    Returns:
        Ids of the uploads that are final now.
    """
    stopped = []
    for upload in workspace.ledger.unfinished(feed):
        if upload.batch_id in live.batch_ids or upload.run_id in live.run_ids:
            continue
        if upload.worker_deaths >= workspace.settings.max_attempts:
            message = f"the worker died {upload.worker_deaths} times on this file alone"
            try:
                quarantine_upload(workspace, upload.upload_id, UploadRejected("INTERNAL", message))
            except Exception as error:  # whatever is wrong with one file, the others go on
                fail_upload(workspace, upload.upload_id, f"{message}; {error}")
        elif upload.attempt >= _MOST_OFFERS:
            message = f"{upload.attempt} runs were started for this file and none of them finished"
            fail_upload(workspace, upload.upload_id, message)
        else:
            continue
        workspace.ledger.record_error("INTERNAL", message, upload_id=upload.upload_id)
        stopped.append(upload.upload_id)
    return stopped


def _fail_unborn(instance: dg.DagsterInstance, workspace: Workspace) -> list[str]:
    """Fail runs of ours that began long ago and never took their lock: they died on the way."""
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    taken = set(workspace.run_locks.taken())
    unborn = []
    for record in instance.get_run_records(started):
        age = time.time() - (record.start_time or time.time())
        run = record.dagster_run
        if BATCH_TAG in run.tags and run.run_id not in taken and age > _START_GRACE_SECONDS:
            instance.report_run_failed(run, "the worker process is gone")
            unborn.append(run.run_id)
    return unborn
