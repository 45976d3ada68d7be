"""Names that are made to hurt, from the inbox to the final state, and as they are shown."""

import json
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from projects import CLEAN, Project
from pypdf import PdfReader
from typer.testing import CliRunner

from nika_pipelines.cli import app
from nika_pipelines.intake.names import display_name, path_from_text
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.settings import load_settings

NAMES = [
    "line\nbreak\r.csv",
    "\u202egnp.csv",
    "x" * 251 + ".csv",
    "\N{CHART WITH UPWARDS TREND}" * 62 + ".csv",
    os.fsdecode(b"\xff\xfe\x9b31m.csv"),
    "\x1b[31mred\x1b]0;title\x07.csv",
    "-rf --help.csv",
    "up.. ..and..out.csv",
    "Sales.csv",
    "sales.csv",
    "caf\u00e9.csv",
    "cafe\u0301.csv",
    "CON.csv",
    "<b>[bold]&lt;.csv",
    "=cmd|' !A1.csv",
    '"quoted",comma.csv',
    "%2e%2e%2f{x}$(id)`id`.csv",
    " \u00a0.csv",
]
DANGEROUS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def is_harmless(text: str) -> bool:
    return not any(unicodedata.category(one) in DANGEROUS for one in text if one != "\n")


@pytest.fixture
def commands(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    monkeypatch.setenv("NIKA_DATA", str(project.settings.data))
    load_settings.cache_clear()
    yield CliRunner()
    load_settings.cache_clear()


def arrive(project: Project) -> list[Upload]:
    folder = project.workspace.inbox.folder("tables")
    for number, name in enumerate(NAMES):
        (folder / name).write_text(CLEAN + f"2026-02-01,{number}.25,Odesa\n")
    if len(list(folder.iterdir())) < len(NAMES):
        pytest.skip("this file system takes some of the names for the same")
    return project.workspace.inbox.look("tables").taken


def test_every_name_reaches_its_report_and_none_is_shown_raw(
    project: Project, commands: CliRunner
) -> None:
    uploads = arrive(project)
    assert len(uploads) == len(NAMES)
    assert project.run(uploads).success
    done = [project.now(one) for one in uploads]
    assert {one.original_name: (one.state, one.error_code) for one in done} == {
        one.original_name: (UploadState.REPORT_READY, None) for one in done
    }
    _are_stored_within_the_data_folder(project, done)
    _are_shown_harmlessly(project, done)
    _are_listed_harmlessly(commands, done)
    # Names that differ in case or composition only are versions of one dataset.
    versions = sorted((one.dataset, one.version) for one in done)
    assert versions.count(("sales", 1)) == versions.count(("sales", 2)) == 1
    assert versions.count(("caf\u00e9", 1)) == versions.count(("caf\u00e9", 2)) == 1
    assert len({one.upload_id.casefold() for one in done}) == len(NAMES)


def _are_stored_within_the_data_folder(project: Project, uploads: list[Upload]) -> None:
    data = project.settings.data
    for one in uploads:
        assert path_from_text(one.source_path or "").endswith(tuple(NAMES))
        assert one.stored_name.isprintable()
        assert not set(one.upload_id) & set('/\\\n"<>|')
        assert (data / "results" / "tables" / one.upload_id / "result.json").is_file()
        assert (data / "contracts" / f"{one.dataset}.yaml").is_file()
    assert {path.parent for path in (data / "contracts").glob("*.yaml")} == {data / "contracts"}
    assert list((data / "inbox" / "tables").iterdir()) == []


def _are_shown_harmlessly(project: Project, uploads: list[Upload]) -> None:
    for one in uploads:
        record = project.instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey("raw_upload"), asset_partitions=[one.upload_id]), 1
        ).records[0]
        assert record.asset_materialization is not None
        shown = str(record.asset_materialization.metadata["nika/filename"].value)
        assert shown == display_name(shown)
        report = project.settings.data / "reports" / "tables" / one.upload_id / "report.pdf"
        assert is_harmless(PdfReader(report).pages[0].extract_text())
        result = project.settings.data / "results" / "tables" / one.upload_id / "result.json"
        json.loads(result.read_text(encoding="utf-8"))["file_info"]["filename"].encode()


def _are_listed_harmlessly(commands: CliRunner, uploads: list[Upload]) -> None:
    listed = commands.invoke(app, ["list"])
    shown = [commands.invoke(app, ["show", one.upload_id]) for one in uploads]
    for answer in (listed, *shown):
        assert answer.exit_code == 0
        assert is_harmless(answer.stdout)
    assert any("[bold]" in answer.stdout for answer in shown)


@pytest.mark.parametrize("name", ["reason.json", "Reason.JSON"])
def test_a_refused_file_never_takes_the_place_of_its_reason(
    light_project: Project, name: str
) -> None:
    (light_project.workspace.inbox.folder("tables") / name).write_text("\x00\x01\x02" * 40)
    (upload,) = light_project.workspace.inbox.look("tables").taken
    light_project.run([upload])
    done = light_project.now(upload)
    assert done.state == UploadState.QUARANTINED
    folder = light_project.settings.data / "quarantine" / upload.upload_id
    assert len(list(folder.iterdir())) == 2
    assert json.loads((folder / "reason.json").read_text())["error_code"] == done.error_code
    assert (folder / done.stored_name).read_text() == "\x00\x01\x02" * 40


def test_a_name_that_is_all_extension_is_no_candidate_and_can_be_given(
    light_project: Project, tmp_path: Path
) -> None:
    (light_project.workspace.inbox.folder("tables") / ".csv").write_text(CLEAN)
    assert light_project.workspace.inbox.look("tables").taken == []
    given = tmp_path / ".csv"
    given.write_text(CLEAN)
    upload = light_project.workspace.inbox.take_copy(given, "tables", run_id="r")
    light_project.run([upload])
    assert light_project.now(upload).state == UploadState.REPORT_READY
    assert light_project.now(upload).dataset == "file"
