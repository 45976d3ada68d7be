"""The loop that takes a run's uploads one by one through the stages of their system.

Belongs here: what every per-upload system shares: order, states, events, failures. A system lists
its stages and nothing else. Files that arrive together share one run, because starting a worker
costs more than a file; the price is that Dagster would let one bad file fail its whole batch. So
the loop logs every event itself, per asset and partition, and a file that fails fails alone.
"""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from assets.outcomes import fail_upload, quarantine_upload
from assets.stages import Chain, DuplicateUpload, Stage, StageCheck, StageInput, StageOutcome
from nika_pipelines.disk import (
    is_out_of_room,
    keep_reserve,
    no_room_message,
    require_room,
    use_reserve,
)
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.masking import error_told, frames_told
from nika_pipelines.intake.names import display_name
from nika_pipelines.intake.states import Upload, UploadState
from resources.archive import StillBeingWrittenError
from resources.clock import later, utc_now
from resources.originals import SourceGoneError
from resources.warehouse import Warehouse
from resources.workspace import Workspace

BATCH_TAG = "nika/batch"
ATTEMPT_TAG = "nika/attempt"


def build_chain_asset(chain: Chain) -> dg.AssetsDefinition:
    """The stages of a system as assets that one run materialises for a range of uploads."""

    @dg.multi_asset(
        name=f"{chain.feed}_chain",
        specs=[_asset_spec(chain, stage) for stage in chain.stages],
        check_specs=_check_specs(chain),
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def process_uploads(
        context: dg.AssetExecutionContext,
        workspace: dg.ResourceParam[Workspace],
        warehouse: Warehouse,
    ) -> Iterator[Any]:
        keep_reserve(workspace.settings.data)
        with workspace.run_locks.hold(context.run.run_id):
            broken = _process_keys(context, chain, workspace)
            chain.finish(workspace, warehouse)
        _fail_run(broken, len(context.partition_keys))
        yield from ()  # every event was logged in the loop; a generator may leave outputs out

    return process_uploads


def _check_specs(chain: Chain) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Partitioned checks are in preview; Dagster is pinned, so they do not change under us.
        warnings.filterwarnings("ignore", message=".*partitions_def on an AssetCheckSpec.*")
        return [
            dg.AssetCheckSpec(
                check.name,
                asset=stage.asset,
                description=check.description,
                partitions_def=chain.partitions_def,
            )
            for stage in chain.stages
            for check in stage.checks
        ]


def _asset_spec(chain: Chain, stage: Stage) -> dg.AssetSpec:
    return dg.AssetSpec(
        stage.asset,
        deps=stage.deps,
        description=stage.description,
        group_name=chain.feed,
        kinds=set(stage.kinds),
        owners=chain.owners,
        partitions_def=chain.partitions_def,
        skippable=True,
        freshness_policy=stage.freshness,
    )


def _process_keys(
    context: dg.AssetExecutionContext, chain: Chain, workspace: Workspace
) -> list[str]:
    """Process the run's uploads one by one; returns those that failed for our reasons."""
    broken: list[str] = []
    keys = list(context.partition_keys)
    for number, key in enumerate(keys, 1):
        upload = workspace.ledger.get(key)
        if upload is None:
            context.log.error("%s: the ledger knows no such upload", key)
            broken.append(key)
        elif not _is_for_this_run(upload, context.run.tags):
            context.log.info("%s: left to the run that it is assigned to", key)
        else:
            name = display_name(upload.original_name)
            context.log.info("%d of %d: %s", number, len(keys), name)
            if not _Worker(context, chain, workspace).take(upload):
                broken.append(key)
    return broken


def _fail_run(broken: Sequence[str], total: int) -> None:
    """Fail the run, once every other upload is done, if an upload failed for our reasons."""
    if broken:
        raise dg.Failure(
            f"{len(broken)} of {total} uploads failed",
            metadata={"nika/failed_uploads": "\n".join(broken[:20])},
            allow_retries=False,
        )


def _is_for_this_run(upload: Upload, tags: Mapping[str, str]) -> bool:
    """Whether a run should work on an upload that its partition range covers.

    A range covers every key between its ends, so a run that the sensor offered keeps to its own
    batch, and one that is offered again skips what is finished. A run launched by a person has no
    batch and does what it is told.
    """
    if BATCH_TAG not in tags:
        return True
    return upload.batch_id == tags[BATCH_TAG] and not upload.is_final


def _retry(upload: Upload) -> str:
    return f"`nika retry {upload.upload_id}`"


class _Worker:
    """Takes one upload through the selected stages and turns every outcome into events."""

    def __init__(
        self, context: dg.AssetExecutionContext, chain: Chain, workspace: Workspace
    ) -> None:
        self._context = context
        self._chain = chain
        self._workspace = workspace
        self._ledger = workspace.ledger
        selected = {key.to_user_string() for key in context.selected_asset_keys}
        self._stages = [stage for stage in chain.stages if stage.asset in selected]
        self._stage_times: dict[str, float] = {}

    def take(self, upload: Upload) -> bool:
        """Process one upload, whatever happens; False when it failed for our reasons."""
        if self._has_no_input(upload):
            self._context.log.warning(
                "%s: %s, so only a run that begins with %s can change that",
                upload.upload_id,
                upload.state.value,
                self._chain.stages[0].asset,
            )
            return True
        mine = self._ledger.begin_work(
            upload.upload_id, self._context.run.run_id, self._workspace.run_locks.is_held
        )
        if mine is None:
            self._context.log.info("%s: another run works on it", upload.upload_id)
            return True
        try:
            return self._process(mine)
        except Exception as error:  # what comes here went wrong while a failure was handled
            told = self._told(error)
            use_reserve(self._workspace.settings.data)
            # Not with `exc_info`: libraries quote the values that they stumble over.
            self._context.log.error(  # noqa: TRY400
                "%s cannot be put away: %s\n%s", upload.upload_id, told, frames_told(error)
            )
            fail_upload(self._workspace, upload.upload_id, told)
            return False

    def _has_no_input(self, upload: Upload) -> bool:
        """Whether the selected stages would read what a refused or repeated file never got."""
        unusable = upload.is_final and upload.state != UploadState.REPORT_READY
        return unusable and self._stages[0] is not self._chain.stages[0]

    def _process(self, upload: Upload) -> bool:
        stage = self._stages[0]
        summary: Mapping[str, Any] | None = upload.summary
        try:
            require_room(self._workspace.settings.data, 0, _retry(upload))
            for stage in self._stages:
                outcome = self._run_stage(stage, upload)
                summary = outcome.summary or summary
            self._settle(upload, summary)
        except UploadRejected as rejection:
            self._quarantine(upload, stage, rejection)
        except DuplicateUpload as duplicate:
            self._mark_duplicate(upload, stage, duplicate)
        except SourceGoneError as gone:
            self._let_go(upload, stage, gone)
        except StillBeingWrittenError:
            self._wait(upload, stage)
        except Exception as error:  # one file's unexpected error must not stop the others
            self._fail(upload, stage, error)
            return False
        return True

    def _run_stage(self, stage: Stage, upload: Upload) -> StageOutcome:
        run_id = self._context.run.run_id
        current = self._ledger.advance(upload.upload_id, stage.state, run_id=run_id)
        started = time.perf_counter()
        outcome = stage.run(StageInput(current, self._workspace, run_id, self._stage_times))
        self._stage_times[stage.asset] = round(time.perf_counter() - started, 4)
        metadata = {**outcome.metadata, "nika/seconds": self._stage_times[stage.asset]}
        self._context.log_event(
            dg.AssetMaterialization(stage.asset, partition=upload.upload_id, metadata=metadata)
        )
        if outcome.checks:
            target = self._last_materialisation(stage.asset, upload.upload_id)
            for check in outcome.checks:
                self._log_check(stage.asset, upload.upload_id, check, target)
        return outcome

    def _settle(self, upload: Upload, summary: Mapping[str, Any] | None) -> None:
        """Give the upload the state it has earned: final if the chain's last stage ran."""
        if self._stages[-1] is self._chain.stages[-1] or upload.state == UploadState.REPORT_READY:
            self._ledger.advance(
                upload.upload_id,
                UploadState.REPORT_READY,
                summary=None if summary is None else dict(summary),
                error_code=None,
                message=None,
                unstable_since=None,
            )

    def _quarantine(self, upload: Upload, stage: Stage, rejection: UploadRejected) -> None:
        folder = quarantine_upload(self._workspace, upload.upload_id, rejection)
        facts = {
            "nika/state": UploadState.QUARANTINED.value,
            "nika/error_code": rejection.code,
            "nika/message": display_name(rejection.message),
            "nika/advice": rejection.advice,
            "nika/quarantine": str(folder),
        }
        asset, check = self._chain.gate
        self._log_check(
            asset, upload.upload_id, StageCheck(check, passed=False, metadata=facts), None
        )
        self._observe(stage.asset, upload, facts)
        self._context.log.warning(
            "%s: quarantined, %s: %s", upload.upload_id, rejection.code, facts["nika/message"]
        )

    def _mark_duplicate(self, upload: Upload, stage: Stage, duplicate: DuplicateUpload) -> None:
        original, message = duplicate.original.upload_id, duplicate.message
        self._ledger.advance(
            upload.upload_id,
            UploadState.DUPLICATE,
            duplicate_of=original,
            error_code=None,
            message=message,
        )
        facts = {
            "nika/state": UploadState.DUPLICATE.value,
            "nika/duplicate_of": original,
            "nika/message": message,
        }
        self._observe(stage.asset, upload, facts)
        self._context.log.info("%s: %s; nothing computed again", upload.upload_id, message)

    def _let_go(self, upload: Upload, stage: Stage, gone: SourceGoneError) -> None:
        """Its owner took the file away before it was ours: nothing is left to keep."""
        message = display_name(str(gone))
        self._ledger.advance(
            upload.upload_id,
            UploadState.DELETED,
            message=message,
            # Not known any more: should the file come back, it is taken.
            source_fingerprint=None,
        )
        facts = {"nika/state": UploadState.DELETED.value, "nika/message": message}
        self._observe(stage.asset, upload, facts)
        self._context.log.warning("%s: %s", upload.upload_id, message)

    def _wait(self, upload: Upload, stage: Stage) -> None:
        """Try again in a moment, unless somebody has been writing since long ago."""
        settings = self._workspace.settings
        since = upload.unstable_since or utc_now()
        age = datetime.now(UTC) - datetime.fromisoformat(since)
        if age > timedelta(minutes=settings.unstable_minutes):
            message = f"the file kept changing for {settings.unstable_minutes:g} minutes"
            self._quarantine(upload, stage, UploadRejected("UNSTABLE", message))
            return
        self._ledger.advance(
            upload.upload_id,
            UploadState.RECEIVED,
            not_before=later(settings.settle_seconds),
            unstable_since=since,
            run_id=None,
            # Waiting for a slow writer is no failed attempt.
            attempt=1,
        )
        self._observe(stage.asset, upload, {"nika/state": "still being written"})

    def _fail(self, upload: Upload, stage: Stage, error: Exception) -> None:
        message = f"{stage.asset}: {self._reason(upload, error)}"[:2_000]
        self._context.log.error("%s: %s\n%s", upload.upload_id, message, frames_told(error))
        fail_upload(self._workspace, upload.upload_id, message)
        self._ledger.record_error(
            "INTERNAL", message, run_id=self._context.run.run_id, upload_id=upload.upload_id
        )
        facts = {"nika/state": "failed", "nika/error_code": "INTERNAL", "nika/message": message}
        asset, check = self._chain.gate
        if stage.asset == asset:
            failed = StageCheck(check, passed=False, metadata=facts)
            self._log_check(asset, upload.upload_id, failed, None)
        self._observe(stage.asset, upload, facts)

    def _reason(self, upload: Upload, error: Exception) -> str:
        """What went wrong, in words; a full disk gets the room to be told at all."""
        data = self._workspace.settings.data
        if not is_out_of_room(error, data):
            return self._told(error)
        use_reserve(data)
        return no_room_message(data, upload.size_bytes or 0, _retry(upload))

    def _told(self, error: Exception) -> str:
        return error_told(error, masked=self._workspace.settings.mask_personal_data)

    def _observe(self, asset: str, upload: Upload, metadata: Mapping[str, Any]) -> None:
        self._context.log_event(
            dg.AssetObservation(asset, partition=upload.upload_id, metadata=dict(metadata))
        )

    def _log_check(self, asset: str, partition: str, check: StageCheck, target: Any) -> None:
        self._context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(asset),
                check_name=check.name,
                passed=check.passed,
                severity=check.severity,
                metadata=dict(check.metadata),
                partition=partition,
                target_materialization_data=target,
            )
        )

    def _last_materialisation(self, asset: str, partition: str) -> Any:
        """The event that checks refer to; checks without it count nowhere in the web UI."""
        # The only private import of the project: Dagster has no public name for this record.
        from dagster._core.definitions.asset_checks.asset_check_evaluation import (
            AssetCheckEvaluationTargetMaterializationData,
        )

        filters = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition])
        record = self._context.instance.fetch_materializations(filters, limit=1).records[0]
        return AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
