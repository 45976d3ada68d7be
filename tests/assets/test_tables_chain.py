"""The five assets of an upload, on a real instance: good files, bad files, reruns, duplicates."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from projects import CLEAN, Project

from assets.batches import BATCH_TAG
from nika_pipelines.intake.states import UploadState
from nika_pipelines.sensors import partition_range_tags

ASSETS = [
    "raw_upload",
    "validated_table",
    "table_statistics",
    "table_anomalies",
    "table_report",
]
UNCLOSED = 'a,b\n1,"never closed\n' + "2,3\n" * 50


def result_of(project: Project, upload_id: str) -> dict[str, Any]:
    path = project.settings.data / "results" / "tables" / upload_id / "result.json"
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def checks_of(project: Project, upload_id: str) -> dict[str, bool]:
    found = {}
    for run in project.instance.get_runs():
        kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        for entry in project.instance.all_logs(run.run_id, of_type=kind):
            assert entry.dagster_event is not None
            data: Any = entry.dagster_event.event_specific_data
            if data.partition == upload_id:
                found[data.check_name] = data.passed
    return found


def test_a_clean_file_becomes_five_assets_a_result_and_a_pdf(project: Project) -> None:
    (upload,) = project.arrive(sales_csv=CLEAN)
    assert project.run([upload]).success
    for asset in ASSETS:
        assert project.materialised(asset) == [upload.upload_id]
    done = project.now(upload)
    assert done.state == UploadState.REPORT_READY
    assert (done.dataset, done.version) == ("sales", 1)
    result = result_of(project, upload.upload_id)
    assert result["metrics"]["accepted_records"] == 60
    for path in [*result["reports"], *result["data_files"].values()]:
        assert (project.settings.data / path).is_file()
    assert checks_of(project, upload.upload_id) == {
        "matches_schema": True,
        "rows_balance": True,
        "rejects_are_few": True,
    }


def test_states_are_passed_in_order(project: Project) -> None:
    (upload,) = project.arrive(sales_csv=CLEAN)
    project.run([upload])
    passed = [state for state, _at in project.workspace.ledger.transitions(upload.upload_id)]
    order = list(UploadState)
    assert [order.index(state) for state in passed] == sorted(order.index(s) for s in passed)
    assert passed[-1] == UploadState.REPORT_READY


def test_a_bad_file_fails_its_own_partition_and_no_other(project: Project) -> None:
    uploads = project.arrive(good_csv=CLEAN, hurt_csv=UNCLOSED, well_csv=CLEAN.replace("5", "6"))
    good, hurt, well = uploads
    assert project.run(uploads).success
    assert [project.now(one).state for one in uploads] == [
        UploadState.REPORT_READY,
        UploadState.QUARANTINED,
        UploadState.REPORT_READY,
    ]
    assert project.materialised("table_report") == [good.upload_id, well.upload_id]
    assert project.materialised("validated_table") == [good.upload_id, well.upload_id]
    assert checks_of(project, hurt.upload_id) == {"matches_schema": False}
    folder = project.settings.data / "quarantine" / hurt.upload_id
    reason = json.loads((folder / "reason.json").read_text())
    assert reason["error_code"] == "UNCLOSED_QUOTE"
    assert (folder / "hurt.csv").read_text() == UNCLOSED


def test_an_unexpected_error_fails_one_file_and_the_run_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nika_pipelines.tables import statistics

    uploads = project.arrive(a_csv=CLEAN, b_csv=CLEAN.replace("5", "7"))
    profile_table = statistics.profile_table

    def fall_over(connection: Any, parquet: Path, *rest: Any) -> Any:
        if uploads[0].upload_id in str(parquet):
            raise ZeroDivisionError("boom")
        return profile_table(connection, parquet, *rest)

    monkeypatch.setattr(statistics, "profile_table", fall_over)
    assert not project.run(uploads).success
    failed, fine = (project.now(one) for one in uploads)
    assert (failed.state, failed.error_code) == (UploadState.FAILED, "INTERNAL")
    assert failed.message is not None
    assert "boom" in failed.message
    assert fine.state == UploadState.REPORT_READY
    assert [error.upload_id for error in project.workspace.ledger.errors()] == [failed.upload_id]
    assert project.workspace.archive.locate(failed).read_text() == CLEAN


def test_a_failure_while_a_failure_is_handled_stops_no_other_file(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resources.archive import Archive

    def disk_full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    uploads = project.arrive(a_hurt_csv=UNCLOSED, b_well_csv=CLEAN)
    monkeypatch.setattr(Archive, "quarantine", disk_full)
    assert not project.run(uploads).success
    hurt, well = (project.now(one) for one in uploads)
    assert (hurt.state, well.state) == (UploadState.FAILED, UploadState.REPORT_READY)
    assert project.workspace.archive.locate(hurt).read_text() == UNCLOSED


def test_a_later_stage_of_a_refused_upload_changes_nothing(project: Project) -> None:
    (hurt,) = project.arrive(hurt_csv=UNCLOSED)
    project.run([hurt])
    assert project.run([hurt], selection=["table_report"]).success
    assert project.now(hurt).state == UploadState.QUARANTINED


def test_a_refused_version_leaves_the_warehouse(project: Project) -> None:
    import duckdb

    first, second = project.arrive(sales_csv=CLEAN, more_csv=CLEAN + "2026-02-01,3.5,Kyiv\n")
    project.run([first, second])
    contract = project.settings.data / "contracts" / "sales.yaml"
    contract.write_text(contract.read_text().replace("city", "town"))
    sales = first if first.dataset == "sales" else second
    project.run([sales])
    assert project.now(sales).state == UploadState.QUARANTINED
    path = project.settings.data / "warehouse" / "nika.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        views = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal")
        assert views.fetchall() == [("more",)]


def test_the_same_file_again_is_a_duplicate_and_computes_nothing(project: Project) -> None:
    (first,) = project.arrive(sales_csv=CLEAN)
    project.run([first])
    (second,) = project.arrive(sales_csv=CLEAN)
    project.run([second])
    copy = project.now(second)
    assert (copy.state, copy.duplicate_of) == (UploadState.DUPLICATE, first.upload_id)
    assert project.materialised("validated_table") == [first.upload_id]
    assert list((project.settings.data / "claimed").iterdir()) == []


def test_new_content_of_a_dataset_is_its_next_version(project: Project) -> None:
    (first,) = project.arrive(sales_csv=CLEAN)
    project.run([first])
    (second,) = project.arrive(sales_csv=CLEAN + "2026-02-01,3.5,Kyiv\n")
    project.run([second])
    assert [project.now(one).version for one in (first, second)] == [1, 2]


def test_a_finished_upload_can_be_materialised_again_one_stage_at_a_time(project: Project) -> None:
    (upload,) = project.arrive(sales_csv=CLEAN)
    project.run([upload])
    before = result_of(project, upload.upload_id)
    for asset in ASSETS:
        assert project.run([upload], selection=[asset]).success
        assert project.now(upload).state == UploadState.REPORT_READY
        assert len(project.materialised(asset)) == 2
    after = result_of(project, upload.upload_id)
    for moving in ("run_id",):
        before.pop(moving), after.pop(moving)
    for result in (before, after):
        result["file_info"].pop("processed_at")
        result["metrics"].pop("processing_time")
        result["metrics"].pop("stage_times")
    assert after == before


def test_a_batch_that_is_offered_again_skips_what_is_finished(project: Project) -> None:
    uploads = project.arrive(a_csv=CLEAN, b_csv=CLEAN.replace("5", "7"))
    project.run(uploads[:1], batch="one")
    project.workspace.ledger.offer([one.upload_id for one in uploads], "two")
    keys = [one.upload_id for one in uploads]
    project.instance.add_dynamic_partitions("table_uploads", keys)
    job = project.definitions.resolve_job_def("ingest_tables")
    tags = partition_range_tags(keys) | {BATCH_TAG: "two"}
    assert job.execute_in_process(instance=project.instance, tags=tags).success
    assert project.materialised("table_report") == sorted(keys)


def test_a_range_leaves_strangers_between_its_ends_alone(project: Project) -> None:
    uploads = project.arrive(a_csv=CLEAN, b_csv=CLEAN.replace("5", "7"), c_csv=CLEAN + "\n")
    keys = [one.upload_id for one in uploads]
    project.instance.add_dynamic_partitions("table_uploads", keys)
    project.workspace.ledger.offer([keys[0], keys[2]], "mine")
    project.workspace.ledger.offer([keys[1]], "other")
    job = project.definitions.resolve_job_def("ingest_tables")
    tags = partition_range_tags(keys) | {BATCH_TAG: "mine"}
    assert job.execute_in_process(instance=project.instance, tags=tags).success
    assert project.materialised("table_report") == sorted([keys[0], keys[2]])


def test_the_warehouse_has_a_view_of_the_newest_version(project: Project) -> None:
    (first,) = project.arrive(sales_csv=CLEAN)
    project.run([first])
    (second,) = project.arrive(sales_csv=CLEAN + "2026-02-01,3.5,Kyiv\n")
    project.run([second])
    import duckdb

    path = project.settings.data / "warehouse" / "nika.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM tables.sales").fetchall() == [(61,)]
        rows = connection.execute("SELECT version, rows FROM uploads ORDER BY version").fetchall()
    assert rows == [(1, 60), (2, 61)]


def test_a_file_that_became_a_version_late_is_the_newest_though_it_arrived_first(
    project: Project,
) -> None:
    import duckdb

    (early,) = project.arrive(sales_csv=CLEAN + "2026-02-01,3.5,Kyiv\n")
    (late,) = project.arrive(sales_csv=CLEAN)
    project.run([late])
    project.run([early])

    path = project.settings.data / "warehouse" / "nika.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM tables.sales").fetchall() == [(61,)]


def test_the_metadata_that_the_web_ui_shows_is_there(project: Project) -> None:
    (upload,) = project.arrive(sales_csv=CLEAN)
    project.run([upload])

    def metadata(asset: str) -> dict[str, Any]:
        record = project.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert record is not None
        assert record.asset_materialization is not None
        return dict(record.asset_materialization.metadata)

    table = metadata("validated_table")
    assert table["dagster/row_count"].value == 60
    assert [c.name for c in table["dagster/column_schema"].schema.columns] == [
        "day",
        "amount",
        "city",
    ]
    assert set(table["dagster/column_lineage"].column_lineage.deps_by_column) == {
        "day",
        "amount",
        "city",
    }
    assert "Kyiv" in table["nika/preview"].value
    report = metadata("table_report")
    assert len(report["nika/verdict"].value) < 1000
    assert "![chart](http://127.0.0.1:3001/charts/" in report["nika/verdict"].value
    assert report["nika/report"].value.startswith("http://127.0.0.1:3001/reports/tables/")


def test_the_digest_of_a_day_counts_what_arrived(project: Project) -> None:
    from pypdf import PdfReader

    uploads = project.arrive(good_csv=CLEAN, hurt_csv=UNCLOSED)
    project.run(uploads)
    day = uploads[0].received_at[:10]
    job = project.definitions.resolve_job_def("build_daily_digest")
    assert job.execute_in_process(instance=project.instance, partition_key=day).success
    pages = PdfReader(project.settings.data / "reports" / "digest" / f"{day}.pdf").pages
    assert len(pages) == 1
    text = pages[0].extract_text()
    assert "UNCLOSED_QUOTE" in text
    assert "hurt.csv" in text


def test_a_table_that_is_not_what_its_contract_says_fails_the_check(project: Project) -> None:
    from dataclasses import replace

    from assets.checks import evaluate_table_checks

    (upload,) = project.arrive(sales_csv=CLEAN)
    project.run([upload])
    report = project.workspace.lake.read_intake("tables", upload.upload_id)
    wrong = [replace(column, type="integer") for column in report.columns]
    outcomes = evaluate_table_checks(replace(report, columns=wrong), project.settings)
    assert {one.name: one.passed for one in outcomes}["matches_schema"] is False
    short = replace(report.balance, accepted=report.balance.accepted - 1)
    outcomes = evaluate_table_checks(replace(report, balance=short), project.settings)
    assert {one.name: one.passed for one in outcomes}["rows_balance"] is False
