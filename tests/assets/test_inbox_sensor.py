"""The inbox sensor on a real instance: what it offers, and what it does after a crash."""

import os
import time
from collections.abc import Sequence

import dagster as dg
import pytest
from projects import CLEAN, Project

from nika_pipelines import healing
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.sensors import inbox_sensor


def look(project: Project) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=project.instance, resources={"workspace": project.workspace}
    )
    answer = inbox_sensor(context)
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    return answer


def requests_of(project: Project) -> Sequence[dg.RunRequest]:
    answer = look(project)
    return answer.run_requests or [] if isinstance(answer, dg.SensorResult) else []


def put(project: Project, name: str, content: str = CLEAN) -> None:
    (project.workspace.inbox.folder("tables") / name).write_text(content)


def start_run(project: Project, uploads: Sequence[Upload], batch: str) -> dg.DagsterRun:
    """A run that Dagster takes for running."""
    job = project.definitions.resolve_job_def("ingest_tables")
    run = project.instance.create_run_for_job(
        job, tags={"nika/batch": batch}, status=dg.DagsterRunStatus.NOT_STARTED
    )
    project.instance.report_engine_event("start", run)
    project.instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "ingest_tables"), run.run_id
    )
    project.workspace.ledger.offer([one.upload_id for one in uploads], batch)
    return run


def work_on(project: Project, run: dg.DagsterRun, upload: Upload) -> None:
    """The worker begins with an upload and is killed: its lock file stays, unheld."""
    project.workspace.ledger.advance(upload.upload_id, UploadState.PROCESSING, run_id=run.run_id)
    dead(project, run)


def dead(project: Project, run: dg.DagsterRun) -> None:
    """What a killed worker leaves: its lock file, free and never released."""
    (project.settings.data / "locks" / f"{run.run_id}.run").touch()


def test_a_file_is_offered_once_and_its_partition_registered(light_project: Project) -> None:
    put(light_project, "a.csv")
    answer = look(light_project)
    assert isinstance(answer, dg.SensorResult)
    (request,) = answer.run_requests or []
    (upload,) = light_project.workspace.ledger.uploads()
    assert request.partition_key == upload.upload_id
    (added,) = answer.dynamic_partitions_requests or []
    assert added.partition_keys == [upload.upload_id]


def test_many_files_come_as_contiguous_ranges(light_project: Project) -> None:
    for n in range(60):
        put(light_project, f"f{n:02d}.csv")
    answer = look(light_project)
    assert isinstance(answer, dg.SensorResult)
    keys = (answer.dynamic_partitions_requests or [])[0].partition_keys
    ends = [
        (
            keys.index(request.tags["dagster/asset_partition_range_start"]),
            keys.index(request.tags["dagster/asset_partition_range_end"]),
        )
        for request in answer.run_requests or []
    ]
    assert ends == [(0, 49), (50, 59)]


def test_odd_things_in_the_inbox_are_skipped_with_a_notice(light_project: Project) -> None:
    folder = light_project.workspace.inbox.folder("tables")
    (folder / "link.csv").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.csv")
    put(light_project, "line\nbreak.csv")
    (request,) = requests_of(light_project)
    assert "line_break" in (request.partition_key or "")
    assert {notice.code for notice in light_project.workspace.ledger.inbox.notices()} == {
        "LINK",
        "NOT_A_FILE",
    }


def test_an_inbox_that_cannot_be_listed_keeps_nothing_from_being_offered(
    light_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    offered = [one.upload_id for one in light_project.arrive(a_csv=CLEAN)]
    monkeypatch.setattr("nika_pipelines.intake.listing._scan", refuse)
    (taken,) = offered
    assert requests_of(light_project)[0].partition_key == taken


def test_a_run_that_was_never_created_is_offered_again(light_project: Project) -> None:
    put(light_project, "a.csv")
    first = requests_of(light_project)
    second = requests_of(light_project)
    assert [one.tags["nika/attempt"] for one in (*first, *second)] == ["1", "2"]
    assert first[0].run_key != second[0].run_key


def test_a_worker_that_died_alone_is_noticed_and_the_upload_in_work_is_charged(
    light_project: Project,
) -> None:
    uploads = light_project.arrive(a_csv=CLEAN, b_csv=CLEAN)
    run = start_run(light_project, uploads, batch="one")
    work_on(light_project, run, uploads[0])
    answer = requests_of(light_project)
    failed = light_project.instance.get_run_by_id(run.run_id)
    assert failed is not None
    assert failed.status == dg.DagsterRunStatus.FAILURE
    assert [light_project.now(one).worker_deaths for one in uploads] == [1, 0]
    assert sorted(one.partition_key or "" for one in answer) == sorted(
        one.upload_id for one in uploads
    )


def test_when_everything_was_killed_no_file_is_charged(
    light_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (upload,) = light_project.arrive(a_csv=CLEAN)
    run = start_run(light_project, [upload], batch="one")
    work_on(light_project, run, upload)
    monkeypatch.setattr(healing, "_PROCESS_STARTED", time.time() + 60)
    requests_of(light_project)
    assert light_project.now(upload).worker_deaths == 0
    assert light_project.now(upload).state == UploadState.RECEIVED


def test_a_death_that_dagster_notices_first_is_charged_all_the_same(
    light_project: Project,
) -> None:
    (upload,) = light_project.arrive(a_csv=CLEAN)
    run = start_run(light_project, [upload], batch="one")
    work_on(light_project, run, upload)
    light_project.instance.report_run_failed(run, "exited with -9")
    requests_of(light_project)
    assert light_project.now(upload).worker_deaths == 1


def test_a_living_worker_is_left_alone(light_project: Project) -> None:
    (upload,) = light_project.arrive(a_csv=CLEAN)
    run = start_run(light_project, [upload], batch="one")
    with light_project.workspace.run_locks.hold(run.run_id):
        assert requests_of(light_project) == []
    still = light_project.instance.get_run_by_id(run.run_id)
    assert still is not None
    assert still.status == dg.DagsterRunStatus.STARTED


def test_a_file_that_kills_three_workers_is_quarantined_and_blocks_nobody(
    light_project: Project,
) -> None:
    poison, healthy = light_project.arrive(poison_csv=CLEAN, well_csv=CLEAN + "\n")
    for attempt in range(3):
        run = start_run(light_project, [poison], batch=f"b{attempt}")
        work_on(light_project, run, poison)
        healing.fail_orphans(light_project.instance, light_project.workspace)
    offered = [one.partition_key for one in requests_of(light_project)]
    assert (light_project.now(poison).state, light_project.now(poison).error_code) == (
        UploadState.QUARANTINED,
        "INTERNAL",
    )
    assert offered == [healthy.upload_id]
    folder = light_project.settings.data / "quarantine" / poison.upload_id
    assert sorted(path.name for path in folder.iterdir()) == ["poison.csv", "reason.json"]


def test_a_run_from_the_web_ui_keeps_its_uploads(light_project: Project) -> None:
    (upload,) = light_project.arrive(a_csv=CLEAN)
    light_project.workspace.ledger.advance(
        upload.upload_id, UploadState.PROCESSING, run_id="launched-in-the-ui"
    )
    with light_project.workspace.run_locks.hold("launched-in-the-ui"):
        assert requests_of(light_project) == []


def test_a_run_that_just_released_its_lock_is_not_failed(light_project: Project) -> None:
    (upload,) = light_project.arrive(a_csv=CLEAN)
    run = start_run(light_project, [upload], batch="one")
    with light_project.workspace.run_locks.hold(run.run_id):
        pass
    requests_of(light_project)
    still = light_project.instance.get_run_by_id(run.run_id)
    assert still is not None
    assert still.status == dg.DagsterRunStatus.STARTED


def test_an_upload_that_cannot_even_be_quarantined_blocks_nobody(light_project: Project) -> None:
    poison, healthy = light_project.arrive(poison_csv=CLEAN, well_csv=CLEAN + "\n")
    for attempt in range(3):
        run = start_run(light_project, [poison], batch=f"b{attempt}")
        work_on(light_project, run, poison)
        healing.fail_orphans(light_project.instance, light_project.workspace)
    light_project.workspace.archive.locate(poison).unlink()
    assert [one.partition_key for one in requests_of(light_project)] == [healthy.upload_id]
    assert light_project.now(poison).state == UploadState.FAILED
