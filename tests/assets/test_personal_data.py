"""Planted personal values appear nowhere but in the data itself: every stored byte is searched."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from projects import Project

from assets.operations import render_digest
from nika_pipelines.definitions import build_defs
from nika_pipelines.intake.states import UploadState
from nika_pipelines.settings import PROJECT_ROOT, Settings
from resources.workspace import open_workspace

FIRST = ("Anneliese", "Bartholomew", "Clementine", "Dietlinde", "Ekaterina")
LAST = ("Zwingenberger", "Yellowstone", "Xanthopoulos", "Wasserfall")
HEADER = "nr,customer_name,email,phone,iban,day,amount,remark\n"
DATA_FOLDERS = ("archive", "claimed", "inbox", "contracts")
"""Beside the tables of the lake and the originals in quarantine: what holds values on purpose."""


def _row(n: int, amount: object = 0.0, email: str = "", remark: str = "fine") -> str:
    first, last = FIRST[n % 5], LAST[n % 4]
    # Half of the customers write from one address, so it is by far the most frequent value.
    address = email or ("leader@planted-top.example" if n % 2 else f"{first}{n}@planted.example")
    phone, iban = f"+49 170 {5550000 + 37 * n}", f"DE{10 + n % 80}37040044053201{n:04d}"
    day = f"2026-01-{1 + n % 28:02d}"
    return f"{n},{first} {last},{address},{phone},{iban},{day},{amount or 20 + n % 9},{remark}\n"


PEOPLE = (
    HEADER
    + "".join(
        _row(n, 99_999 if n == 40 else 0, remark=f"ask m{n}@planted-remark.example or call")
        if n % 20 == 0
        else _row(n)
        for n in range(1, 61)
    )
    + "61,Leopoldine Unterberger\n"
    + "62,Unterberger, Leopoldine,leo@planted-long.example,+49 170 7777777,,2026-01-09,22,ok\n"
    + "63,Leopoldine,leo@planted.example,+49 170 7777778,,Unterberger,leo@planted.example,ok\n"
)
NEWER = HEADER + "".join(_row(n, 500) for n in range(100, 160)) + _row(101, 20)
BROKEN = HEADER + "".join(_row(n, f"{FIRST[n % 5]}@planted-cast.example") for n in range(60))
PLANTED = [
    *(name.lower() for name in (*FIRST, *LAST, "Leopoldine", "Unterberger", "Quarantina")),
    *("planted", "170 555", "1705550", "170 777", "1707777", "3704004405"),
]


def _written(data: Path) -> Iterator[tuple[str, str]]:
    """The content of every file that is not data, PDFs also as the text that people read."""
    from pypdf import PdfReader

    for path in sorted(data.rglob("*")):
        where = path.relative_to(data)
        is_table = where.parts[0] == "lake" and path.suffix == ".parquet"
        is_original = where.parts[0] == "quarantine" and path.name != "reason.json"
        if not path.is_file() or where.parts[0] in DATA_FOLDERS or is_table or is_original:
            continue
        yield str(where), path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".pdf":
            yield (
                f"{where}, as text",
                "\n".join(page.extract_text() for page in PdfReader(path).pages),
            )


def _leaks(texts: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    found = {where: [p for p in PLANTED if p in text.lower()] for where, text in texts}
    return {where: terms for where, terms in found.items() if terms}


def _nika(data: Path, *arguments: str) -> str:
    environment = os.environ | {"NIKA_DATA": str(data), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "nika_pipelines.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        env=environment,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Files of people that went through, brought new values, were refused and failed."""
    folder = tmp_path_factory.mktemp("people")
    settings = Settings(data=folder / "data", settle_seconds=0)
    with (
        dg.instance_for_test(temp_dir=str(folder)) as instance,
        open_workspace(settings) as workspace,
    ):
        project = Project(settings, instance, workspace, build_defs(settings))
        _process_people(project)
        yield project


def _process_people(project: Project) -> None:
    data = project.settings.data
    for text in (PEOPLE, NEWER):
        (upload,) = project.arrive(people_csv=text)
        project.run([upload])
        assert project.now(upload).state == UploadState.REPORT_READY
    _nika(data, "contract", "accept", "people")
    (held,) = project.arrive(people_csv=NEWER + _row(101, 21))
    project.run([held])
    assert project.now(held).state == UploadState.REPORT_READY
    (refused,) = project.arrive(people_csv=BROKEN)
    project.run([refused])
    assert project.now(refused).error_code == "CONTRACT_BROKEN"

    (headless,) = project.arrive(people_csv=NEWER.removeprefix(HEADER))
    project.run([headless])
    assert project.now(headless).error_code == "CONTRACT_BROKEN"
    # Nothing but text, so that only what an address looks like tells that there is no header.
    (all_text,) = project.arrive(friends_csv="Kyiv,a@planted-friend.example,fine\n" * 3)
    project.run([all_text])
    assert project.now(all_text).state == UploadState.REPORT_READY

    def stumble(*_: object, **__: object) -> None:
        duckdb.execute("SELECT CAST(? AS INTEGER)", [f"{FIRST[0]} {LAST[0]}"]).fetchall()

    (failing,) = project.arrive(failing_csv=PEOPLE + _row(64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nika_pipelines.tables.statistics.profile_table", stumble)
        project.run([failing])
    assert project.now(failing).state == UploadState.FAILED
    render_digest(project.workspace, datetime.now(UTC).date())


def test_personal_values_are_nowhere_but_in_the_data(processed: Project) -> None:
    data = processed.settings.data
    folders = {where.split("/")[0] for where, _ in _written(data)}
    assert {"lake", "results", "reports", "charts", "quarantine", "warehouse"} <= folders
    assert _leaks(_written(data)) == {}

    # Dagster's runs and events, and the logs of its workers.
    outside = [(w, t) for w, t in _written(data.parent) if not w.startswith("data/")]
    assert any(where.endswith("index.db") for where, _ in outside)
    assert _leaks(iter(outside)) == {}


def test_the_command_line_shows_masks(processed: Project, tmp_path: Path) -> None:
    data = processed.settings.data
    source = tmp_path / "people.csv"
    source.write_text(PEOPLE)
    shown = {"list": _nika(data, "list", "--json"), "list as text": _nika(data, "list")}
    inspected = str(tmp_path / "inspected")
    shown["inspect"] = _nika(data, "inspect", str(source), "--out", inspected, "--json")
    shown["intake.json"] = (tmp_path / "inspected" / "intake.json").read_text()
    uploads = processed.workspace.ledger.uploads()
    for upload in (uploads[0], *uploads[-2:]):
        shown[upload.upload_id] = _nika(data, "show", upload.upload_id, "--json")
    shown["refused, as text"] = _nika(data, "show", uploads[-2].upload_id)
    assert _leaks(iter(shown.items())) == {}
    # The data that was asked for is not masked.
    assert "Zwingenberger" in (tmp_path / "inspected" / "table.csv").read_text()


def test_masks_still_tell_what_is_in_a_column(processed: Project) -> None:
    upload = processed.workspace.ledger.uploads()[0]
    folder = processed.settings.data / "results" / "tables" / upload.upload_id
    columns = {
        one["name"]: one for one in json.loads((folder / "result.json").read_text())["columns"]
    }
    assert columns["email"]["top"][0] == {"value": "l***@p***", "count": 30}
    assert columns["customer_name"]["personal"]
    assert columns["customer_name"]["distinct"] == 20
    assert columns["amount"]["max"] == 99_999
    assert not columns["amount"]["personal"]


def test_the_stored_table_is_not_masked(processed: Project) -> None:
    upload = processed.workspace.ledger.uploads()[0]
    table = processed.workspace.lake.folder("tables", upload.upload_id) / "table.parquet"
    names = duckdb.execute("SELECT customer_name FROM read_parquet(?)", [str(table)]).fetchall()
    assert ("Bartholomew Yellowstone",) in names
