"""A new version of a dataset is compared with those before it, without their tables."""

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
from projects import CLEAN, Project

from nika_pipelines.intake.contract_history import kept_versions
from nika_pipelines.intake.states import UploadState

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "result.schema.json"
LATER = CLEAN.replace("Kyiv", "Odesa").replace(".5,", ".5e1,")


def result_of(project: Project, upload_id: str) -> dict[str, Any]:
    path = project.settings.data / "results" / "tables" / upload_id / "result.json"
    document: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    return document


def test_a_later_version_is_compared_with_the_sketch_of_the_first(project: Project) -> None:
    (first,) = project.arrive(sales_csv=CLEAN)
    assert project.run([first]).success
    shutil.rmtree(project.settings.data / "lake/tables" / first.upload_id)
    (second,) = project.arrive(sales_csv=LATER)
    assert project.run([second]).success

    assert result_of(project, first.upload_id)["drift"] == []
    (drift,) = result_of(project, second.upload_id)["drift"]
    assert drift["baseline"]["upload_id"] == first.upload_id
    assert (drift["rows_then"], drift["rows_now"], drift["compared"]) == (60, 60, 3)
    changed = {column["name"]: column for column in drift["columns"]}
    assert changed.keys() == {"amount", "city"}
    assert changed["amount"]["median_now"] > changed["amount"]["median_then"]
    assert changed["city"]["new_categories"] == ["Odesa"]
    assert changed["city"]["vanished_categories"] == ["Kyiv"]


def test_an_edited_contract_is_a_version_and_the_same_file_is_judged_anew(
    project: Project,
) -> None:
    (first,) = project.arrive(sales_csv=CLEAN)
    assert project.run([first]).success
    (again,) = project.arrive(sales_csv=CLEAN)
    assert project.run([again]).success
    path = project.settings.data / "contracts" / "sales.yaml"
    text = path.read_text()
    path.write_text(text.replace("status: inferred", "status: accepted").replace("- Lviv\n", ""))
    (judged,) = project.arrive(sales_csv=CLEAN)
    assert project.run([judged]).success

    assert project.now(again).state == UploadState.DUPLICATE
    assert kept_versions(path) == [1, 2]
    refused = project.now(judged)
    assert (refused.state, refused.error_code) == (UploadState.QUARANTINED, "CONTRACT_BROKEN")
    folder = project.settings.data / "quarantine" / judged.upload_id
    details = json.loads((folder / "reason.json").read_text())["details"]
    assert details["contract_version"] == 2
    assert details["violations"][0]["rule"].startswith("city: isin Kyiv")
    assert details["violations"][0] == {
        "row": 1,
        "line": 2,
        "column": "city",
        "rule": details["violations"][0]["rule"],
        "value": "Lviv",
    }
