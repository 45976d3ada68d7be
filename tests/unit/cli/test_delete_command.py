"""`nika delete`: nothing without --yes, nothing while a file is in work, one document with --json."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from nika_pipelines.cli import app
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.processing import requeue
from nika_pipelines.settings import PROJECT_ROOT, load_settings
from resources.archive import BytesMissingError
from resources.ledger import open_ledger

NOW = "2026-01-02T10:00:00.000000Z"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NIKA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    load_settings.cache_clear()
    yield tmp_path / "data"
    load_settings.cache_clear()


def _register(data: Path, state: UploadState) -> Path:
    """An upload in this state, whose bytes lie in quarantine."""
    upload = Upload("a-1", "tables", "a.csv", "a.csv", "a", state, NOW, NOW, message="'x' is odd")
    with open_ledger(data / "ledger.sqlite") as ledger:
        ledger.register(upload)
    original = data / "quarantine" / "a-1" / "a.csv"
    original.parent.mkdir(parents=True)
    original.write_text("x\n")
    return original


def _nika(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_without_yes_it_says_what_would_be_deleted_and_deletes_nothing(data: Path) -> None:
    original = _register(data, UploadState.QUARANTINED)
    shown = _nika("delete", "a-1")
    assert shown.exit_code == 2
    assert str(original.parent) in shown.stdout
    assert "--yes" in shown.stderr
    assert original.exists()
    document = json.loads(_nika("delete", "a-1", "--json").stdout)
    assert (document["deleted"], document["state"]) == (False, "quarantined")
    assert document["paths"] == [str(original.parent)]


@pytest.mark.parametrize(
    "state", [UploadState.WAITING, UploadState.RECEIVED, UploadState.ANALYSING]
)
def test_an_upload_in_work_is_refused(data: Path, state: UploadState) -> None:
    original = _register(data, state)
    assert _nika("delete", "a-1").exit_code == 1
    assert _nika("delete", "a-1", "--yes").exit_code == 1
    assert original.exists()


def test_an_unknown_upload_is_wrong_usage(data: Path) -> None:
    _register(data, UploadState.QUARANTINED)
    shown = _nika("delete", "a-2", "--yes")
    assert shown.exit_code == 2
    assert "a-1" in shown.stderr


def test_with_yes_the_upload_is_gone_and_cannot_be_tried_again(data: Path) -> None:
    original = _register(data, UploadState.QUARANTINED)
    for _again in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "nika_pipelines.cli", "delete", "a-1", "--yes", "--json"],
            capture_output=True,
            text=True,
            cwd=PROJECT_ROOT,
            env=os.environ | {"NIKA_DATA": str(data)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert (document["deleted"], document["state"]) == (True, "deleted")
        assert not original.parent.exists()
    shown = json.loads(_nika("show", "a-1", "--json").stdout)
    assert (shown["state"], shown["message"]) == ("deleted", None)
    retried = _nika("retry", "a-1")
    assert retried.exit_code == 2
    assert "was deleted" in retried.stderr


def test_an_upload_that_is_deleted_meanwhile_is_not_put_back(data: Path) -> None:
    _register(data, UploadState.DELETED)
    with pytest.raises(BytesMissingError, match="was deleted"):
        requeue("a-1", load_settings())
