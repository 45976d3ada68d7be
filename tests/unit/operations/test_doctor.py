"""The doctor proves that every file is in exactly one place, and says what is wrong otherwise."""

import dataclasses
import os
import shutil
import sqlite3
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.operations import doctor
from nika_pipelines.operations.balance import LedgerReading
from nika_pipelines.operations.doctor import (
    Check,
    check_balance,
    check_contracts,
    check_failures,
    check_ledger_file,
    check_machine,
    check_notices,
    check_orphans,
    check_progress,
    check_space,
    check_uploads,
    check_versions,
    check_writable,
    worst,
)
from nika_pipelines.settings import Settings

SHA = "ab" + "0" * 62
HOUR_AGO = time.time() - 3600


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nika_pipelines.operations.balance._PAUSE_SECONDS", 0.0)


def upload(state: UploadState, upload_id: str = "sales-1", **more: object) -> Upload:
    now = "2026-01-01T10:00:00Z"
    record = Upload(upload_id, "tables", "sales.csv", "sales.csv", "sales", state, now, now)
    return dataclasses.replace(record, sha256=SHA, **more)


def reading(*uploads: Upload) -> LedgerReading:
    return LedgerReading(uploads, [], {u.upload_id: u for u in uploads}.get)


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")


def claim(data: Path) -> None:
    put(data / "claimed" / "sales-1" / "sales.csv")


def archive(data: Path) -> None:
    put(data / "archive" / SHA[:2] / SHA)


def quarantine(data: Path) -> None:
    put(data / "quarantine" / "sales-1" / "sales.csv")
    put(data / "quarantine" / "sales-1" / "reason.json")


def results(data: Path) -> None:
    put(data / "results" / "tables" / "sales-1" / "result.json")
    put(data / "reports" / "tables" / "sales-1" / "report.pdf")


Place = Callable[[Path], None]


@pytest.mark.parametrize(
    "state, places",
    [
        (UploadState.WAITING, []),
        (UploadState.RECEIVED, [claim]),
        (UploadState.VALIDATING, [claim]),
        (UploadState.VALIDATING, [archive]),
        # The same bytes came before, and this copy has not been hashed yet.
        (UploadState.VALIDATING, [claim, archive]),
        (UploadState.VALIDATING, [quarantine]),
        (UploadState.ANALYSING, [archive]),
        (UploadState.REPORT_READY, [archive, results]),
        (UploadState.DUPLICATE, [archive]),
        (UploadState.QUARANTINED, [quarantine]),
        (UploadState.QUARANTINED, [quarantine, archive]),
        (UploadState.FAILED, [archive]),
        (UploadState.FAILED, [claim]),
        (UploadState.DELETED, []),
    ],
)
def test_a_file_in_its_place_is_in_balance(
    tmp_path: Path, state: UploadState, places: list[Place]
) -> None:
    for place in places:
        place(tmp_path)
    duplicate_of = "first-1" if state == UploadState.DUPLICATE else None
    check = check_balance(tmp_path, reading(upload(state, duplicate_of=duplicate_of)))
    assert check.status == "ok", check.message


@pytest.mark.parametrize(
    "state, places, says",
    [
        (UploadState.RECEIVED, [], "nowhere"),
        (UploadState.RECEIVED, [claim, quarantine], "stored twice"),
        (UploadState.FAILED, [], "nowhere"),
        (UploadState.REPORT_READY, [results], "not in the archive"),
        (UploadState.REPORT_READY, [archive], "result.json is missing"),
        (UploadState.REPORT_READY, [archive, results, claim], "stored twice"),
        (UploadState.DUPLICATE, [], "not in the archive"),
        (UploadState.DUPLICATE, [archive], "duplicate of nothing"),
        (UploadState.QUARANTINED, [archive], "not in quarantine"),
        (UploadState.QUARANTINED, [quarantine, claim], "stored twice"),
        (UploadState.DELETED, [quarantine], "still stored"),
    ],
)
def test_a_file_out_of_its_place_is_a_failure(
    tmp_path: Path, state: UploadState, places: list[Place], says: str
) -> None:
    for place in places:
        place(tmp_path)
    check = check_balance(tmp_path, reading(upload(state)))
    assert check.status == "fail"
    assert says in check.message


@pytest.mark.parametrize(
    "missing, says",
    [
        ("reports/tables/sales-1/report.pdf", "report is missing"),
        ("results/tables/sales-1/result.json", "result.json is missing"),
    ],
)
def test_a_finished_upload_needs_its_result_and_report(
    tmp_path: Path, missing: str, says: str
) -> None:
    archive(tmp_path)
    results(tmp_path)
    (tmp_path / missing).unlink()
    check = check_balance(tmp_path, reading(upload(UploadState.REPORT_READY)))
    assert says in check.message


def test_a_quarantined_upload_needs_its_reason(tmp_path: Path) -> None:
    quarantine(tmp_path)
    (tmp_path / "quarantine" / "sales-1" / "reason.json").unlink()
    check = check_balance(tmp_path, reading(upload(UploadState.QUARANTINED)))
    assert "reason.json is missing" in check.message


def test_an_upload_that_moved_on_while_the_doctor_looked_is_no_finding(tmp_path: Path) -> None:
    quarantine(tmp_path)
    before = upload(UploadState.REPORT_READY)
    after = dataclasses.replace(
        before, state=UploadState.QUARANTINED, updated_at="2026-01-01T10:00:01Z"
    )
    check = check_balance(tmp_path, LedgerReading([before], [], lambda _id: after))
    assert check.status == "ok"


def test_an_upload_that_the_inbox_took_back_is_no_finding(tmp_path: Path) -> None:
    lost = upload(UploadState.RECEIVED)
    check = check_balance(tmp_path, LedgerReading([lost], [], lambda _id: None))
    assert check.status == "ok"


@pytest.mark.parametrize(
    "path, status",
    [
        ("claimed/stranger-1/file.csv", "fail"),
        ("quarantine/stranger-1/file.csv", "warn"),
        ("results/tables/stranger-1/result.json", "warn"),
        (f"archive/cd/{'cd' * 32}", "warn"),
    ],
)
def test_what_the_ledger_does_not_know_is_named(tmp_path: Path, path: str, status: str) -> None:
    put(tmp_path / path)
    named = tmp_path / path if path.startswith("archive") else (tmp_path / path).parent
    os.utime(named, (HOUR_AGO, HOUR_AGO))
    check = check_orphans(tmp_path, reading())
    assert check.status == status
    assert named.name in check.message


def test_what_is_written_right_now_is_no_orphan(tmp_path: Path) -> None:
    put(tmp_path / "claimed" / "stranger-1" / "file.csv")
    assert check_orphans(tmp_path, reading()).status == "ok"


def test_digests_and_known_uploads_are_no_orphans(tmp_path: Path) -> None:
    archive(tmp_path)
    results(tmp_path)
    put(tmp_path / "reports" / "digest" / "2026-01-01.pdf")
    for path in tmp_path.rglob("*"):
        os.utime(path, (HOUR_AGO, HOUR_AGO))
    check = check_orphans(tmp_path, reading(upload(UploadState.REPORT_READY)))
    assert check.status == "ok", check.message


def test_names_of_orphans_are_shown_without_control_characters(tmp_path: Path) -> None:
    put(tmp_path / "claimed" / "a\x1b[31m" / "file")
    os.utime(tmp_path / "claimed" / "a\x1b[31m", (HOUR_AGO, HOUR_AGO))
    assert "\x1b" not in check_orphans(tmp_path, reading()).message


def test_unfinished_uploads_without_a_service_are_a_warning(tmp_path: Path) -> None:
    check = check_progress(Settings(data=tmp_path), [upload(UploadState.RECEIVED)])
    assert check.status == "warn"
    assert check.advice is not None
    assert "nika up" in check.advice


def test_failed_uploads_and_notices_are_warnings(tmp_path: Path) -> None:
    assert check_failures([upload(UploadState.FAILED)]).status == "warn"
    assert check_failures([]).status == "ok"
    assert (
        check_notices([("inbox/tables/a\nb", "a link")]).message == "inbox/tables/a\ufffdb: a link"
    )
    assert check_notices([]).status == "ok"


def test_many_findings_are_counted_rather_than_listed(tmp_path: Path) -> None:
    lost = [upload(UploadState.RECEIVED, f"sales-{n}") for n in range(12)]
    message = check_balance(tmp_path, reading(*lost)).message
    assert message.endswith("and 7 more")


@pytest.mark.parametrize(
    "free, status", [(100_000_000, "fail"), (1_000_000_000, "warn"), (50_000_000_000, "ok")]
)
def test_little_room_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: str
) -> None:
    usage = namedtuple("usage", "total used free")(10**12, 10**12 - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    assert check_space(tmp_path / "not" / "there").status == status


def test_a_data_folder_that_cannot_be_made_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    check = check_writable(tmp_path / "file" / "data")
    assert check.status == "fail"
    assert "file" in check.message


def test_a_writable_folder_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    assert check_writable(tmp_path).status == "ok"
    assert [path.name for path in tmp_path.rglob("*")] == ["inbox"]


def test_a_damaged_ledger_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    assert check_ledger_file(tmp_path / "ledger.sqlite").status == "fail"


def test_a_sound_ledger_is_counted(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        connection.execute("CREATE TABLE uploads (upload_id)")
    connection.close()
    assert check_ledger_file(tmp_path / "ledger.sqlite") == Check("ledger", "ok", "0 uploads")


def test_the_installed_versions_are_those_that_were_tested() -> None:
    assert check_versions().status == "ok"


def test_a_wrong_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "importlib.metadata.requires",
        lambda _name: ["rich<1", "no-such-package-at-all", "x; extra=='dev'"],
    )
    check = check_versions()
    assert check.status == "fail"
    assert "rich" in check.message
    assert "no-such-package-at-all is missing" in check.message
    assert "x is" not in check.message


def test_the_worst_check_decides() -> None:
    ok, warn, fail = (Check("c", status, "") for status in ("ok", "warn", "fail"))
    assert worst([ok, warn]) == "warn"
    assert worst([ok, fail, warn]) == "fail"
    assert worst([]) == "ok"


def test_a_fresh_folder_is_healthy(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    checks = check_machine(settings) + check_uploads(settings, reading())
    assert worst(check for check in checks if check.name != "disk space") == "ok"


def test_a_service_whose_servers_are_dead_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nika_pipelines.operations.ports import any_free
    from nika_pipelines.operations.service import Service

    dead = f"http://127.0.0.1:{any_free()}"
    service = Service(1, 1.0, dead, dead, {}, {})
    monkeypatch.setattr(doctor, "running_service", lambda _settings: service)
    statuses = {check.name: check.status for check in doctor.check_service(Settings(data=tmp_path))}
    assert statuses == {
        "service": "ok",
        "web UI": "fail",
        "report server": "fail",
        "daemon": "warn",
    }


def test_a_contract_that_cannot_be_used_is_named_with_its_place(tmp_path: Path) -> None:
    put(tmp_path / "contracts" / ".history" / "sales" / "v1.yaml")
    assert check_contracts(tmp_path).status == "ok"
    (tmp_path / "contracts" / "sales.yaml").write_text("schema_version: [1\n")

    check = check_contracts(tmp_path)

    assert check.status == "fail"
    assert "sales: sales.yaml: the file: is not YAML: line 2" in check.message
