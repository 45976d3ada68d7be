"""The commands as users and scripts see them: exit codes, one JSON document, clear errors."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from nika_pipelines import processing
from nika_pipelines.cli import app
from nika_pipelines.commands.outcomes import exit_code
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.processing import ProcessingEvent
from nika_pipelines.settings import Settings, load_settings
from resources.ledger import open_ledger

NOW = "2026-01-02T10:00:00.000000Z"
RESULT = {
    "metrics": {
        "total_records": 1000,
        "accepted_records": 1000,
        "anomalies_detected": 7,
        "quality_score": 91.4,
    },
    "verdict": {"level": "attention", "text": "Seven values are odd. Look at [red]March[/]."},
    "anomalies": [
        {
            "type": "Outlier",
            "severity": "high",
            "column": "a",
            "explanation": "far",
            "suppressed": False,
        }
    ]
    * 7,
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    data = tmp_path / "data"
    for name in [name for name in os.environ if name.startswith("NIKA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NIKA_DATA", str(data))
    monkeypatch.setenv("COLUMNS", "200")
    load_settings.cache_clear()
    yield data
    load_settings.cache_clear()


def nika(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def upload(upload_id: str, state: UploadState, **more: Any) -> Upload:
    name = more.pop("name", f"{upload_id}.csv")
    record = Upload(upload_id, "tables", name, "x.csv", "sales", state, NOW, NOW)
    return dataclasses.replace(record, **more)


def register(data: Path, *uploads: Upload) -> None:
    with open_ledger(data / "ledger.sqlite") as ledger:
        for one in uploads:
            ledger.register(one)


def publish(data: Path, upload_id: str) -> tuple[Path, Path]:
    result = data / "results" / "tables" / upload_id / "result.json"
    report = data / "reports" / "tables" / upload_id / "report.pdf"
    for path in (result, report):
        path.parent.mkdir(parents=True)
    result.write_text(json.dumps(RESULT))
    report.write_bytes(b"%PDF")
    return result, report


Processor = Callable[[Sequence[Path], str, Settings, Any], list[Upload]]


def processor(*uploads: Upload) -> Processor:
    """Stands in for the run itself, which the tests of the assets cover."""

    def run_now(
        paths: Sequence[Path], feed: str, settings: Settings, on_event: Any
    ) -> list[Upload]:
        print("noise of a library")
        os.write(sys.__stdout__.fileno(), b"")
        for number, one in enumerate(uploads, 1):
            on_event(
                ProcessingEvent(one.upload_id, one.original_name, one.state, number, len(paths))
            )
        return list(uploads)

    return run_now


# ---- exit codes


@pytest.mark.parametrize(
    "states, code",
    [
        ([], 0),
        (["report_ready"], 0),
        (["report_ready", "duplicate"], 0),
        (["quarantined", "report_ready"], 3),
        (["failed", "quarantined"], 1),
        (["failed", "processing"], 1),
        (["waiting"], 4),
        (["quarantined", "analysing"], 4),
        (["deleted"], 0),
    ],
)
def test_the_worst_outcome_decides_the_exit_code(states: list[str], code: int) -> None:
    assert exit_code(upload("a-1", UploadState(state)) for state in states) == code


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["run", "missing.csv"], "no file missing.csv"),
        (["run", "missing.csv", "--json"], "no file missing.csv"),
        (["run", __file__, "--feed", "weather"], "the feeds are tables"),
        (["run", __file__, "--feed", "images"], "no system for the feed 'images' yet"),
        (["drop", "missing.csv"], "no file missing.csv"),
        (["drop", __file__, "--wait", "-1"], "--wait"),
        (["list", "--feed", "weather"], "there is no feed 'weather'"),
        (["list", "--state", "lost"], "report_ready"),
        (["show", "nothing-1"], "nothing was ever processed"),
        (["retry", "nothing-1"], "nothing was ever processed"),
        (["inspect", "missing.csv", "--out", "x"], "no file missing.csv"),
        (["inspect", ".", "--out", "x"], "is a folder"),
        (["run", "/dev/null"], "not a file"),
        (["nonsense"], "nonsense"),
        (["run"], "Missing argument"),
    ],
)  # fmt: skip
def test_wrong_usage_is_said_on_stderr_with_code_2(
    data: Path, arguments: list[str], says: str
) -> None:
    result = nika(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert says in " ".join(result.stderr.replace("│", " ").split())


def test_a_setting_outside_its_limits_is_wrong_usage(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIKA_MAX_ROWS", "-3")
    load_settings.cache_clear()
    result = nika("list")
    assert result.exit_code == 2
    assert "NIKA_MAX_ROWS" in result.stderr
    assert "-3" in result.stderr


def test_an_unknown_upload_names_similar_ones(data: Path) -> None:
    register(data, upload("sales-20260102T100000Z-ab12", UploadState.REPORT_READY))
    for typed in ("sales", "sales-20260102T100000Z-ab13"):
        result = nika("show", typed)
        assert result.exit_code == 2
        assert "sales-20260102T100000Z-ab12" in result.stderr


# ---- run


def test_run_answers_in_the_order_of_the_paths_with_one_document(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name for name in ("b.csv", "a.csv")]
    for file in files:
        file.write_text("x")
    result_path, report_path = publish(data, "b-1")
    uploads = [
        upload("b-1", UploadState.REPORT_READY),
        upload("a-1", UploadState.QUARANTINED, error_code="RAGGED"),
    ]
    monkeypatch.setattr(processing, "run_now", processor(*uploads))
    result = nika("run", *files, "--json")
    assert result.exit_code == 3
    first, second = json.loads(result.stdout)
    assert first["path"] == str(files[0])
    assert (first["upload_id"], first["state"]) == ("b-1", "report_ready")
    assert (first["result"], first["reports"]) == (str(result_path), [str(report_path)])
    assert first["error_code"] is None
    assert (second["path"], second["error_code"]) == (str(files[1]), "RAGGED")
    assert (second["result"], second["reports"]) == (None, [])
    assert "noise of a library" in result.stderr


def test_a_duplicate_points_to_the_files_of_the_first(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("x")
    result_path, report_path = publish(data, "first-1")
    copy = upload("a-2", UploadState.DUPLICATE, duplicate_of="first-1")
    monkeypatch.setattr(processing, "run_now", processor(copy))
    result = nika("run", tmp_path / "a.csv", "--json")
    assert result.exit_code == 0
    (record,) = json.loads(result.stdout)
    assert (record["result"], record["reports"]) == (str(result_path), [str(report_path)])


def test_run_shows_figures_verdict_and_report(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("x")
    _, report_path = publish(data, "a-1")
    name = "[red]x\x1b[31m\u202e.csv"
    finished = upload("a-1", UploadState.REPORT_READY, name=name)
    monkeypatch.setattr(processing, "run_now", processor(finished))
    result = nika("run", tmp_path / "a.csv")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    for text in ("[red]x", "report ready", "1,000", "91", "[red]March[/]", str(report_path)):
        assert text in result.stdout


def test_a_refused_file_is_shown_with_its_advice(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("x")
    refused = upload("a-1", UploadState.QUARANTINED, error_code="EMPTY_FILE", message="no content")
    monkeypatch.setattr(processing, "run_now", processor(refused))
    result = nika("run", tmp_path / "a.csv")
    assert result.exit_code == 3
    for text in ("EMPTY_FILE", "no content", "Export it again"):
        assert text in result.stdout


def test_an_empty_folder_is_nothing_to_do(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = nika("run", tmp_path / "empty", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_a_folder_means_its_candidates(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("b.csv", ".hidden", "a.csv.part"):
        (folder / name).write_text("x")
    monkeypatch.setattr(processing, "run_now", processor(upload("b-1", UploadState.DUPLICATE)))
    result = nika("run", folder, "--json")
    assert [record["path"] for record in json.loads(result.stdout)] == [str(folder / "b.csv")]


# ---- drop


def test_drop_registers_at_once_and_leaves_the_file(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("a,b\n1,2\n")
    result = nika("drop", file, "--json")
    assert result.exit_code == 0
    (record,) = json.loads(result.stdout)
    assert record["state"] == "waiting"
    assert file.exists()
    assert (data / "inbox" / "tables" / "sales.csv").read_text() == "a,b\n1,2\n"
    assert "nika up" in result.stderr


def test_drop_that_waited_in_vain_ends_with_4(data: Path, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("a,b\n1,2\n")
    result = nika("drop", tmp_path / "sales.csv", "--wait", "0.3", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)[0]["state"] == "waiting"


def test_drop_waits_until_the_upload_is_final(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sales.csv").write_text("a,b\n1,2\n")

    def daemon(_seconds: float) -> None:
        with open_ledger(data / "ledger.sqlite") as ledger:
            for one in ledger.uploads():
                ledger.advance(one.upload_id, UploadState.REPORT_READY)

    monkeypatch.setattr("nika_pipelines.commands.running.time.sleep", daemon)
    result = nika("drop", tmp_path / "sales.csv", "--wait", "20", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["state"] == "report_ready"


# ---- list and show


def test_list_is_empty_without_a_ledger_and_makes_none(data: Path) -> None:
    result = nika("list", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert not data.exists()


def test_list_filters_by_state_and_feed(data: Path) -> None:
    register(
        data,
        upload("a-1", UploadState.REPORT_READY, summary={"rows": 3333}),
        upload("b-1", UploadState.FAILED),
    )
    everything = json.loads(nika("list", "--json").stdout)
    assert [record["upload_id"] for record in everything] == ["a-1", "b-1"]
    assert everything[0]["summary"] == {"rows": 3333}
    failed = json.loads(nika("list", "--state", "failed", "--json").stdout)
    assert [record["upload_id"] for record in failed] == ["b-1"]
    assert json.loads(nika("list", "--feed", "images", "--json").stdout) == []
    text = nika("list").stdout
    assert "report ready" in text
    assert "3,333" in text


@pytest.mark.parametrize("width", [80, 120, 160])
def test_a_long_name_leaves_room_for_the_state_and_the_remark(
    data: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    long = f"{'x' * 200}-20260102T100000Z-{{}}"
    register(
        data,
        upload(long.format("aaaa"), UploadState.REPORT_READY, dataset="y" * 200,
               summary={"rows": 1234, "warnings": ["AMBIGUOUS_DATE"]}),
        upload(long.format("bbbb"), UploadState.QUARANTINED, error_code="CONTRACT_BROKEN"),
    )  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(width))
    lines = nika("list").stdout.splitlines()
    assert max(map(len, lines)) <= width
    (first,) = [line for line in lines if "-20260102T100000Z-aaaa" in line]
    (second,) = [line for line in lines if "-20260102T100000Z-bbbb" in line]
    assert "report ready" in first
    assert "1,234" in first
    assert "quarantined" in second
    assert ("AMBIGUOUS_DATE" in first) == ("CONTRACT_BROKEN" in second) == (width >= 120)
    shown = nika("show", first.split()[0])
    assert shown.exit_code == 0
    assert long.format("aaaa") in shown.stdout.replace("\n", "").replace(" ", "")


def test_list_says_what_is_wrong_with_a_ledger_of_another_version(data: Path) -> None:
    register(data, upload("a-1", UploadState.FAILED))
    import sqlite3

    with sqlite3.connect(data / "ledger.sqlite") as connection:
        connection.execute("UPDATE meta SET value = '99'")
        connection.execute("ALTER TABLE uploads DROP COLUMN summary")
    connection.close()
    result = nika("list")
    assert result.exit_code == 1
    assert "schema 99" in result.stderr


def test_show_tells_everything_about_a_finished_upload(data: Path) -> None:
    register(data, upload("a-1", UploadState.RECEIVED))
    result_path, report_path = publish(data, "a-1")
    with open_ledger(data / "ledger.sqlite") as ledger:
        ledger.advance("a-1", UploadState.REPORT_READY)
    shown = json.loads(nika("show", "a-1", "--json").stdout)
    assert shown["verdict"]["level"] == "attention"
    assert [step["state"] for step in shown["history"]] == ["received", "report_ready"]
    assert len(shown["findings"]) == 5
    assert (shown["result"], shown["reports"]) == (str(result_path), [str(report_path)])
    text = nika("show", "a-1").stdout
    for part in ("Seven values are odd", "[red]March[/]", "Findings (5 of 7)", str(report_path)):
        assert part in text


def test_show_gives_the_reason_and_advice_of_a_refused_upload(data: Path) -> None:
    refused = upload("a-1", UploadState.QUARANTINED, error_code="ZIP_BOMB", message="too much")
    register(data, refused)
    folder = data / "quarantine" / "a-1"
    folder.mkdir(parents=True)
    (folder / "reason.json").write_text(json.dumps({"details": {"limit": 5}}))
    shown = json.loads(nika("show", "a-1", "--json").stdout)
    assert shown["details"] == {"limit": 5}
    assert "Save it anew" in shown["advice"]
    text = nika("show", "a-1").stdout
    for part in ("ZIP_BOMB: too much", "Save it anew", str(folder)):
        assert part in text


# ---- retry, demo


def test_retry_runs_here_when_nothing_is_up(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(data, upload("a-1", UploadState.FAILED))
    publish(data, "a-1")
    again = upload("a-1", UploadState.REPORT_READY)
    monkeypatch.setattr(processing, "run_again", lambda ids, settings, on_event: [again])
    result = nika("retry", "a-1", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["state"] == "report_ready"


def test_retry_hands_over_to_a_running_service(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(data, upload("a-1", UploadState.FAILED))
    monkeypatch.setattr("nika_pipelines.operations.service.is_up", lambda _settings: True)
    back = upload("a-1", UploadState.RECEIVED)
    monkeypatch.setattr(processing, "requeue", lambda upload_id, settings: back)
    result = nika("retry", "a-1", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["state"] == "received"


def test_retry_says_that_a_good_upload_lost_its_results(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(data, upload("a-1", UploadState.REPORT_READY))
    refused = upload("a-1", UploadState.QUARANTINED, error_code="CONTRACT_BROKEN")
    monkeypatch.setattr(processing, "run_again", lambda *_args: [refused])
    result = nika("retry", "a-1")
    assert result.exit_code == 3
    assert "earlier table, results and report were removed" in result.stderr
    assert "`nika retry a-1` makes them again" in result.stderr


def test_a_deleted_upload_cannot_be_taken_again(data: Path) -> None:
    register(data, upload("a-1", UploadState.DELETED))
    result = nika("retry", "a-1")
    assert result.exit_code == 2
    assert "was deleted" in result.stderr


def test_the_demo_takes_samples_only_and_a_refused_one_is_a_success(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    for name in ("a.csv", "b.csv", "README.md", "a.csv.license", "LICENSE"):
        (samples / name).write_text("x")
    monkeypatch.setenv("NIKA_SAMPLES", str(samples))
    load_settings.cache_clear()
    _, report_path = publish(data, "a-1")
    outcome = [
        upload("a-1", UploadState.REPORT_READY),
        upload("b-1", UploadState.QUARANTINED, error_code="RAGGED", name="b.csv"),
    ]
    monkeypatch.setattr(processing, "run_now", processor(*outcome))
    result = nika("demo")
    assert result.exit_code == 0
    assert str(report_path) in result.stdout
    assert "b.csv is meant to be refused" in result.stdout


# ---- inspect


def test_inspect_writes_the_table_as_text_and_what_was_found(data: Path, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("day;amount\n2026-01-01;1,5\n2026-01-02;2,5\n")
    result = nika("inspect", tmp_path / "sales.csv", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["status"], found["delimiter"], found["n_rows"]) == ("accepted", ";", 2)
    table = (tmp_path / "out" / "table.csv").read_text()
    assert table == 'day,amount\n2026-01-01,"1,5"\n2026-01-02,"2,5"\n'
    text = nika("inspect", tmp_path / "sales.csv", "--out", tmp_path / "out").stdout
    assert "2 rows, 2 columns" in text


def test_inspect_ends_with_3_when_the_file_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    result = nika("inspect", tmp_path / "empty.csv", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error_code"] == "EMPTY_FILE"
    text = nika("inspect", tmp_path / "empty.csv", "--out", tmp_path / "out").stdout
    assert "Export it again" in text


def test_inspect_says_in_one_sentence_that_intake_itself_broke(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nika_pipelines.intake import take_in
    from nika_pipelines.intake.codes import IntakeFault

    def break_down(*_args: object) -> bool:
        raise IntakeFault("The row balance does not close.", {"found": 3})

    monkeypatch.setattr(take_in, "inspect", break_down)
    (tmp_path / "sales.csv").write_text("day;amount\n2026-01-01;1,5\n")
    result = nika("inspect", tmp_path / "sales.csv", "--out", tmp_path / "out", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "INTERNAL: this is our fault: IntakeFault: The row balance does not close. (found: 3)"
    ]


def test_inspect_tells_no_value_that_a_library_stumbled_over(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nika_pipelines.intake import take_in

    def break_down(*_args: object) -> bool:
        raise ValueError("could not convert 'Annegret Maier'")

    monkeypatch.setattr(take_in, "inspect", break_down)
    (tmp_path / "sales.csv").write_text("day;amount\n2026-01-01;1,5\n")
    result = nika("inspect", tmp_path / "sales.csv", "--out", tmp_path / "out")
    assert (result.exit_code, "Annegret" in result.output) == (1, False)
    assert "ValueError" in result.stderr


# ---- config, doctor, version


def test_config_shows_value_unit_default_and_variable(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIKA_MAX_COLUMNS", "77")
    load_settings.cache_clear()
    settings = {one["name"]: one for one in json.loads(nika("config", "--json").stdout)}
    columns = settings["max_columns"]
    assert (columns["value"], columns["default"], columns["unit"]) == (77, 2000, "columns")
    assert columns["variable"] == "NIKA_MAX_COLUMNS"
    assert set(settings) == set(Settings.model_fields)
    assert "NIKA_MAX_COLUMNS" in nika("config").stdout


def test_doctor_finds_a_lost_file_and_ends_with_1(data: Path) -> None:
    register(data, upload("a-1", UploadState.RECEIVED))
    result = nika("doctor", "--json")
    assert result.exit_code == 1
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["balance"]["status"] == "fail"
    assert "a-1" in checks["balance"]["message"]


def test_doctor_reports_bad_settings_instead_of_stopping(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIKA_MAX_ROWS", "many")
    load_settings.cache_clear()
    result = nika("doctor", "--json")
    assert result.exit_code == 1
    (check,) = json.loads(result.stdout)["checks"]
    assert "NIKA_MAX_ROWS" in check["message"]


def test_doctor_on_a_new_folder_is_content(data: Path) -> None:
    result = nika("doctor")
    assert result.exit_code == 0, result.stdout


def test_the_version_is_printed() -> None:
    assert nika("--version").stdout.startswith("nika 0.")


# ---- as a process


@pytest.mark.parametrize("command", ["list", "config", "doctor"])
def test_short_commands_load_no_heavy_library(data: Path, command: str) -> None:
    register(data, upload("a-1", UploadState.DELETED))
    program = (
        "import sys\n"
        "from nika_pipelines.cli import app\n"
        f"app(['{command}', '--json'], standalone_mode=False)\n"
        "heavy = {'dagster', 'pandas', 'numpy', 'duckdb', 'scipy', 'pandera'} & set(sys.modules)\n"
        "sys.stderr.write(f'heavy={sorted(heavy)}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert "heavy=[]" in done.stderr
    json.loads(done.stdout)


def test_even_descriptors_of_c_libraries_do_not_reach_stdout(data: Path) -> None:
    program = (
        "import os, typer\n"
        "from nika_pipelines.commands.console import document\n"
        "with document(True) as emit:\n"
        "    print('python'); os.write(1, b'library\\n'); os.system('echo child')\n"
        "    emit({'a': 1}); raise typer.Exit(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert json.loads(done.stdout) == {"a": 1}
    for word in ("python", "library", "child"):
        assert word in done.stderr
