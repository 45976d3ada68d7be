"""Companions, aliases and waiting retries, as the commands show them."""

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from nika_pipelines import processing
from nika_pipelines.cli import app
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.intake.take_in import INSPECT_DRAFT
from nika_pipelines.settings import load_settings
from resources.ledger import open_ledger

NOW = "2026-01-02T10:00:00.000000Z"


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


def upload(upload_id: str, name: str, state: UploadState, **more: str) -> Upload:
    record = Upload(upload_id, "tables", name, "x.csv", "sales", state, NOW, NOW)
    return dataclasses.replace(record, **more)  # type: ignore[arg-type]


def register(data: Path, *uploads: Upload) -> None:
    with open_ledger(data / "ledger.sqlite") as ledger:
        for one in uploads:
            ledger.register(one)


def test_show_lists_aliases_and_duplicates_of_the_first(data: Path) -> None:
    register(
        data,
        upload("a-1", "a.csv", UploadState.REPORT_READY),
        upload("a-2", "a.csv", UploadState.DUPLICATE, duplicate_of="a-1"),
        upload("b-1", "b\x1b[1m.csv", UploadState.DUPLICATE, duplicate_of="a-1", tag="north"),
    )
    record = json.loads(nika("show", "a-1", "--json").stdout)
    assert [(one["upload_id"], one["tag"]) for one in record["aliases"]] == [("b-1", "north")]
    assert [one["upload_id"] for one in record["duplicates"]] == ["a-2"]
    text = nika("show", "a-1").stdout
    assert "alias north/b\N{REPLACEMENT CHARACTER}[1m.csv" in text
    assert "same name" in text
    assert json.loads(nika("show", "b-1", "--json").stdout)["aliases"] == []


def test_show_says_what_a_repetition_repeats(data: Path) -> None:
    message = "alias: the content of a-1 under another name (a.csv); its result is there"
    register(
        data,
        upload("a-1", "a.csv", UploadState.REPORT_READY),
        upload("b-1", "b.csv", UploadState.DUPLICATE, duplicate_of="a-1", message=message),
    )
    result = data / "results/tables/a-1/result.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    assert message in nika("show", "b-1").stdout
    result.unlink()
    gone = nika("show", "b-1").stdout
    assert "its result is there" not in gone
    assert "its result is no longer there: `nika retry b-1` makes one" in gone


def hand_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nika_pipelines.operations.service.is_up", lambda _settings: True)
    back = upload("a-1", "a.csv", UploadState.RECEIVED)
    monkeypatch.setattr(processing, "requeue", lambda upload_id, settings: back)


@pytest.mark.parametrize(
    "state, code", [(UploadState.REPORT_READY, 0), (UploadState.QUARANTINED, 3)]
)
def test_a_retry_that_waits_ends_as_the_upload_does(
    data: Path, monkeypatch: pytest.MonkeyPatch, state: UploadState, code: int
) -> None:
    register(data, upload("a-1", "a.csv", UploadState.RECEIVED))
    hand_over(monkeypatch)

    def daemon(_seconds: float) -> None:
        with open_ledger(data / "ledger.sqlite") as ledger:
            ledger.advance("a-1", state)

    monkeypatch.setattr("nika_pipelines.commands.running.time.sleep", daemon)
    result = nika("retry", "a-1", "--wait", "20", "--json")
    assert (result.exit_code, json.loads(result.stdout)["state"]) == (code, state.value)


def test_a_retry_that_waited_in_vain_ends_with_4(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(data, upload("a-1", "a.csv", UploadState.RECEIVED))
    hand_over(monkeypatch)
    assert nika("retry", "a-1", "--wait", "0.3").exit_code == 4
    assert nika("retry", "a-1").exit_code == 0


def test_inspect_reads_the_sidecar_beside_the_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("day;amount\n2026-01-01;1\n2026-01-02;2\n")
    sidecar = tmp_path / "sales.nika.yaml"
    sidecar.write_text('delimiter: "|"\n')
    out = tmp_path / "out"
    found = json.loads(nika("inspect", tmp_path / "sales.csv", "--out", out, "--json").stdout)
    assert (found["delimiter"], found["n_columns"]) == ("|", 1)
    sidecar.write_text("delimiter: 7\n")
    result = nika("inspect", tmp_path / "sales.csv", "--out", out, "--json")
    refused = json.loads(result.stdout)
    assert (result.exit_code, refused["error_code"]) == (3, "CONTRACT_BROKEN")
    assert "sales.nika.yaml" in refused["message"]
    assert [path.name for path in out.iterdir()] == ["intake.json"]


def test_inspect_removes_only_its_own_old_leftovers(data: Path, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("day;amount\n2026-01-01;1\n2026-01-02;2\n")
    out = tmp_path / "out"
    old, new = f"{INSPECT_DRAFT}abcd_123", f"{INSPECT_DRAFT}abcd_124"
    theirs = ("theirs", ".inspect-notes", f"{INSPECT_DRAFT}notes")
    for name in (old, new, *theirs):
        (out / name).mkdir(parents=True)
    for name in (old, *theirs):
        os.utime(out / name, (0, 0))
    assert nika("inspect", tmp_path / "sales.csv", "--out", out).exit_code == 0
    assert not (out / old).exists()
    assert (out / new).exists()
    assert all((out / name).exists() for name in theirs)


def test_drop_takes_companions_along(data: Path, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("a,b\n1,2\n")
    (tmp_path / "sales.nika.yaml").write_text("header_rows: 1\n")
    assert nika("drop", tmp_path / "sales.csv").exit_code == 0
    folder = data / "inbox" / "tables"
    assert (folder / "sales.nika.yaml").read_text() == "header_rows: 1\n"
    (tmp_path / "sales.nika.yaml").unlink()
    (tmp_path / "sales.nika.yaml").mkdir()
    refused = nika("drop", tmp_path / "sales.csv")
    assert refused.exit_code == 1
    assert "companion" in refused.stderr


def test_companions_that_a_shell_lists_beside_their_files_are_no_uploads(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "sales.csv").write_text("a,b\n1,2\n")
    (tmp_path / "sales.nika.yaml").write_text("header_rows: 1\n")
    result = nika("drop", *sorted(tmp_path.glob("sales.*")), "--json")
    assert [Path(one["path"]).name for one in json.loads(result.stdout)] == ["sales.csv"]
    assert "companion" in result.stderr
