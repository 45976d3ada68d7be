"""Quality score, verdict and result document; every document is checked against the schema."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nika_pipelines.anomalies.records import Anomaly, AnomalyReport, Unjudged
from nika_pipelines.intake.records import Dialect, IntakeReport, IntakeWarning, RowBalance
from nika_pipelines.tables import quality
from nika_pipelines.tables.records import (
    ColumnProfile,
    Correlation,
    Histogram,
    QualityScore,
    TableProfile,
    TimeAxis,
    TopValue,
    UploadFacts,
)
from nika_pipelines.tables.result import RunFacts, build_result, utc_text

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "docs" / "schemas" / "result.schema.json").read_text()
)
UPLOAD = UploadFacts(
    upload_id="sensor-20260102T030405Z-1a2b",
    dataset="sensor",
    version=2,
    filename="sensor.csv",
    size_bytes=1_234,
    sha256="ab" * 32,
    received_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    processed_at=datetime(2026, 1, 2, 5, 4, 7, 250_000, tzinfo=timezone(timedelta(hours=2))),
    run_id="7f31b2aa",
)
RUN = RunFacts(
    stage_times={"intake": 0.25, "statistics": 0.5},
    settings={"z_score_threshold": 3.0},
    versions={"nika-pipelines": "0.1.0"},
    data_files={"table": "lake/t.parquet", "rejects": None, "anomalies": "results/a.parquet"},
    reports=["reports/tables/x/report.pdf"],
)


def intake(rejected: int = 0, *warnings: str) -> IntakeReport:
    balance = RowBalance(101 + rejected, 0, 1, 0, 0, 100, rejected, 100 + rejected, 100, rejected)
    return IntakeReport(
        table_parquet=Path("table.parquet"),
        rejects_parquet=Path("rejects.parquet"),
        encoding="utf_8",
        dialect=Dialect(","),
        header_rows=1,
        preamble_rows=0,
        footer_rows=0,
        n_rows=100,
        columns=[],
        balance=balance,
        rejects_by_code={"CAST": rejected} if rejected else {},
        warnings=[IntakeWarning(code, f"About {code}.") for code in warnings],
        contract_version=1,
        contract_status="inferred",
    )


def heat(**changes: Any) -> ColumnProfile:
    column = ColumnProfile(
        "heat", "float", "measure", 100, 0, 90, mean=1.0, std=0.5, min=0.0, q1=0.5, median=1.0,
        q3=1.5, max=2.0, skewness=0.0, kurtosis=-1.0, top=[TopValue(1.0, 3)],
        histogram=Histogram([0.0, 1.0, 2.0], [40, 60]),
    )  # fmt: skip
    return replace(column, **changes)


def profile(*columns: ColumnProfile, **changes: Any) -> TableProfile:
    table = TableProfile(100, list(columns) or [heat()], [], duplicate_rows=0)
    return replace(table, **changes)


def anomaly(number: int = 1, **changes: Any) -> Anomaly:
    record = Anomaly(
        id=f"a{number}", type="Statistical outlier", kind="statistical_outlier", method="mad",
        severity="high", score=1.7, confidence=0.98, column="heat", row_start=4, row_end=4,
        time_start="2024-01-01T00:00:00Z", time_end="2024-01-01T00:00:00Z", value=9.0,
        expected_range=[0.0, 3.0], effect=12.0, location="column heat, row 4",
        explanation="column heat: value 9 in row 4 is far out.", suppressed=False,
    )  # fmt: skip
    return replace(record, **changes)


def result(
    given: IntakeReport | None = None,
    table: TableProfile | None = None,
    found: AnomalyReport | None = None,
) -> dict[str, Any]:
    given, table = given or intake(), table or profile()
    document = build_result(
        upload=UPLOAD,
        intake=given,
        profile=table,
        quality=quality.score(table, given),
        anomalies=found or AnomalyReport([], 0),
        run=RUN,
    )
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    json.dumps(document, allow_nan=False)
    return document


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_clean_table_is_good_and_needs_nothing() -> None:
    document = result()
    assert document["verdict"] == {
        "level": "good",
        "text": "All 100 rows are usable; the quality score is 100 of 100. "
        "Nothing unusual was found.",
    }
    assert document["recommendations"] == []
    assert document["metrics"]["processing_time"] == 0.75
    assert document["file_info"]["processed_at"] == "2026-01-02T03:04:07.250000Z"
    assert document["charts"] == [{"column": "heat", "time_column": None}]


def test_a_finding_asks_for_attention_and_leads_the_next_steps() -> None:
    found = AnomalyReport([anomaly(1), anomaly(2, suppressed=True)], 8, ["Column not judged."])
    document = result(found=found)
    assert document["verdict"]["level"] == "attention"
    assert "One finding to look at, in column heat: value 9" in document["verdict"]["text"]
    assert document["recommendations"] == ["Check column heat, row 4."]
    metrics = document["metrics"]
    assert (metrics["anomalies_detected"], metrics["anomalies_suppressed"]) == (1, 8)
    assert [one["id"] for one in document["anomalies"]] == [
        "sensor-20260102T030405Z-1a2b/a1",
        "sensor-20260102T030405Z-1a2b/a2",
    ]
    assert document["notes"] == ["Column not judged."]


def test_several_findings_are_counted_and_the_worst_is_told() -> None:
    text = result(found=AnomalyReport([anomaly(1), anomaly(2)], 0))["verdict"]["text"]
    assert "2 findings to look at, the worst in column heat: value 9" in text


def unjudged(column: str = "heat", **changes: Any) -> Unjudged:
    return Unjudged(column, "20 values, 30 needed", **changes)


def test_a_table_of_which_nothing_was_judged_is_not_called_good() -> None:
    document = result(found=AnomalyReport([], 0, ["A note."], [unjudged()]))
    assert document["verdict"]["level"] == "attention"
    assert document["verdict"]["text"].endswith(
        "Not judged for anomalies: heat (20 values, 30 needed)."
    )
    assert "Nothing unusual" not in document["verdict"]["text"]
    assert document["not_judged"] == [
        {"column": "heat", "reason": "20 values, 30 needed", "by_nature": False, "partly": False}
    ]


def test_a_column_that_was_not_judged_is_named_beside_others_that_were() -> None:
    table = profile(heat(), *(heat(name=f"c{place}") for place in range(5)), heat(name="key"))
    missed = [unjudged("key", by_nature=True), *(unjudged(f"c{place}") for place in range(5))]
    verdict = result(table=table, found=AnomalyReport([], 0, [], missed))["verdict"]
    assert verdict["level"] == "good"
    assert "Nothing unusual was found. Not judged for anomalies: c0 (20 values" in verdict["text"]
    assert verdict["text"].endswith("c2 (20 values, 30 needed) and 2 more.")
    assert "key" not in verdict["text"]


def test_a_column_judged_in_part_counts_as_judged_and_is_named() -> None:
    found = AnomalyReport([], 0, [], [unjudged(partly=True)])
    verdict = result(found=found)["verdict"]
    assert verdict["level"] == "good"
    assert "Not judged for anomalies: heat" in verdict["text"]


def test_a_missing_run_does_not_hide_that_no_values_were_judged() -> None:
    found = AnomalyReport([anomaly(kind="missing_data_pattern")], 0, [], [unjudged()])
    text = result(found=found)["verdict"]["text"]
    assert "One finding" in text
    assert text.endswith("Not judged for anomalies: heat (20 values, 30 needed).")


def test_a_table_without_numbers_says_that_there_was_nothing_to_judge() -> None:
    verdict = result(table=profile(heat(type="text", histogram=None)))["verdict"]
    assert verdict["level"] == "good"
    assert "No numeric column is there to judge" in verdict["text"]


@pytest.mark.parametrize("rejected", [2, 30])
def test_the_step_for_rejected_rows_says_where_their_list_is(rejected: int) -> None:
    (step,) = result(intake(rejected))["recommendations"]
    assert '"Rejected rows" in the report' in step
    assert "rejects.parquet" in step
    assert ("(the first 12)" in step) == (rejected > 12)


@pytest.mark.parametrize("rejected, level", [(0, "good"), (2, "attention"), (30, "bad")])
def test_rejected_rows_set_the_level(rejected: int, level: str) -> None:
    document = result(intake(rejected))
    assert document["verdict"]["level"] == level
    assert any("rejected row" in step for step in document["recommendations"]) == bool(rejected)


def test_a_balance_that_does_not_close_is_bad_whatever_else_is_fine() -> None:
    given = intake()
    broken = replace(given, balance=replace(given.balance, physical_lines=999))
    verdict = result(broken)["verdict"]
    assert verdict["level"] == "bad"
    assert "do not add up" in verdict["text"]


def test_columns_warnings_duplicates_and_pairs_lead_to_steps() -> None:
    table = profile(
        heat(count=60, nulls=40),
        heat(name="flat", distinct=1),
        heat(name="void", count=0, nulls=100, distinct=0, histogram=None),
        correlations=[Correlation("heat", "cold", -0.999, 60)],
        duplicate_rows=5,
    )
    steps = " ".join(
        result(intake(0, "FORMULA_LIKE", "FORMULA_LIKE", "OTHER"), table)["recommendations"]
    )
    for expected in (
        "missing in heat (40%)", "right for flat", "empty throughout: void", "heat and cold",
        "5 of 100 rows repeat", "begin like formulas", "About OTHER.",
    ):  # fmt: skip
        assert expected in steps
    assert steps.count("begin like formulas") == 1


def test_columns_with_findings_are_drawn_first_and_at_most_four() -> None:
    columns = [heat(name=f"c{place}") for place in range(6)]
    table = profile(*columns, heat(name="key", semantic_type="id"))
    found = AnomalyReport([anomaly(1, column="c5"), anomaly(2, column="c4", score=5.0)], 0)
    drawn = [chart["column"] for chart in result(table=table, found=found)["charts"]]
    assert drawn == ["c4", "c5", "c0", "c1"]


def test_numbers_that_json_cannot_hold_become_null() -> None:
    document = result(table=profile(heat(std=math.inf, skewness=math.nan)))
    assert (document["columns"][0]["std"], document["columns"][0]["skewness"]) == (None, None)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        utc_text(datetime(2026, 1, 1))


def test_quality_is_the_weighted_mean_of_what_can_be_judged() -> None:
    table = profile(
        heat(count=80, nulls=20),
        duplicate_rows=10,
        time_axis=TimeAxis("at", ordered_share=0.9, median_step_s=60.0, long_gaps=5, steps=100),
    )
    score = quality.score(table, intake(25, "AMBIGUOUS_DATE"))
    points = {name: part.score for name, part in score.parts.items()}
    assert points == {
        "completeness": 80.0,
        "validity": 80.0,
        "uniqueness": 90.0,
        "consistency": 90.0,
        "timeliness": 85.0,
    }
    assert score.total == pytest.approx(0.6 * 80 + 0.3 * 90 + 0.1 * 85)
    assert sum(part.weight for part in score.parts.values()) == pytest.approx(1)
    assert QualityScore.from_json(json.loads(json.dumps(score.to_json()))) == score


def test_doubtful_values_count_as_invalid_and_stay_inside() -> None:
    given = intake(10)
    given.warnings.append(IntakeWarning("FORMAT_MISMATCH", "Half of it.", 40))
    given.warnings.append(IntakeWarning("FORMAT_MISMATCH", "Some of it.", 5))

    part = quality.score(profile(), given).parts["validity"]

    assert part.score == 54.55  # 60 of 110
    assert "40 values of one column do not read like its others" in part.explanation
    document = result(given)
    assert document["warnings"][0] == {"code": "FORMAT_MISMATCH", "message": "Half of it."}


def test_a_part_that_cannot_be_judged_leaves_its_weight_to_the_others() -> None:
    score = quality.score(profile(duplicate_rows=None), intake(0, "A", "B"))
    assert score.parts["timeliness"].score is None
    assert score.parts["uniqueness"].score is None
    assert score.total == pytest.approx((30 + 30 + 0.15 * 80) / 0.75)


def test_the_other_sheets_of_a_workbook_are_named_with_their_place() -> None:
    sheets: list[dict[str, Any]] = [
        {"name": f"S{n}", "rows": n * 1_000, "columns": 2, "parquet": f"other_tables/{n}.parquet"}
        for n in range(7)
    ]
    sheets[0]["parquet"] = None
    document = result(replace(intake(), other_tables=sheets))

    assert document["other_tables"][0]["parquet"] is None
    assert document["other_tables"][1]["parquet"] == "lake/other_tables/1.parquet"
    (note,) = document["notes"]
    assert note.startswith("The other sheets of the workbook were not judged: 'S0' (0 x 2), 'S1'")
    assert note.endswith("(4,000 x 2) and 2 more. They are kept as text in lake/other_tables.")
