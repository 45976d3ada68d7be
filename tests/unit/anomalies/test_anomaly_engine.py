"""Findings in a table: what is found, what is kept quiet, and what a person is told."""

import json
import math
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from nika_pipelines.anomalies import columns as column_views
from nika_pipelines.anomalies.engine import detect_anomalies, finding_score
from nika_pipelines.anomalies.records import Anomaly, AnomalyReport, severity_of
from nika_pipelines.anomalies.wording import number_text
from nika_pipelines.intake.records import Column
from nika_pipelines.settings import Settings
from nika_pipelines.tables.statistics import profile_table

TYPES = {"BIGINT": "integer", "DOUBLE": "float", "VARCHAR": "text", "TIMESTAMP": "timestamp"}
SETTINGS = Settings()


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def detect(
    con: duckdb.DuckDBPyConnection, path: Path, settings: Settings = SETTINGS, **semantic: str
) -> AnomalyReport:
    described = con.execute(f"DESCRIBE FROM '{path}'").fetchall()
    columns = [
        Column(row[0], TYPES[row[1]], semantic.get(row[0], "measure"))  # type: ignore[arg-type]
        for row in described
    ]
    profile = profile_table(con, path, columns, settings)
    return detect_anomalies(con, path, columns, profile, settings)


def store(con: duckdb.DuckDBPyConnection, folder: Path, **values: Any) -> Path:
    path = folder / "table.parquet"
    con.register("given", {name: np.asarray(column) for name, column in values.items()})
    con.execute(f"COPY (FROM given) TO '{path}'")
    con.unregister("given")
    return path


def normal(n: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(20, 3, n)


def stamps(n: int) -> Any:
    return np.datetime64("2024-01-01T00:00:00") + np.arange(n) * np.timedelta64(600, "s")


def test_a_gross_outlier_is_found_with_row_time_range_and_words(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    values = normal(1_000)
    values[[410, 411]] = 90.0, 95.5
    report = detect(con, store(con, tmp_path, moment=stamps(1_000), heat=values))
    (found,) = report.findings
    assert (found.row_start, found.row_end, found.value) == (411, 412, 95.5)
    assert (found.time_start, found.time_end) == ("2024-01-03T20:20:00Z", "2024-01-03T20:30:00Z")
    assert (found.kind, found.severity, found.column) == ("statistical_outlier", "critical", "heat")
    assert found.confidence == pytest.approx(1 / (1 + 10**-found.score), abs=1e-4)
    low, high = found.expected_range
    assert low is not None
    assert high is not None
    assert 0 <= low < 15
    assert 25 < high < 90
    assert found.effect == pytest.approx(25, rel=0.1)
    assert found.explanation.startswith(
        "column heat: 2 values in rows 411 to 412 (2024-01-03 20:20 to 2024-01-03 20:30) lie far above"
    )
    assert "95.5" in found.explanation


def test_values_far_below_are_found_too_and_apart(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    values = normal(2_000)
    values[100], values[101] = -80.0, 120.0
    found = detect(con, store(con, tmp_path, x=values)).findings
    assert sorted((one.row_start, one.row_end) for one in found) == [(101, 101), (102, 102)]
    assert sorted(math.copysign(1, one.effect or 0) for one in found) == [-1, 1]


@pytest.mark.parametrize("family", ["normal", "uniform", "exponential", "poisson", "t3"])
def test_clean_columns_do_not_flood(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, family: str
) -> None:
    rng = np.random.default_rng(4)
    draw = {
        "normal": lambda: rng.normal(size=1_000),
        "uniform": lambda: rng.random(1_000),
        "exponential": lambda: rng.exponential(size=1_000),
        "poisson": lambda: rng.poisson(3, 1_000),
        "t3": lambda: rng.standard_t(3, 1_000),
    }[family]
    report = detect(con, store(con, tmp_path, **{f"c{place}": draw() for place in range(40)}))
    assert len(report.findings) <= 1
    if family == "exponential":
        assert report.suppressed_count > 1_000


def test_columns_that_are_no_measurements_are_left_alone(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    codes = np.full(200, 5)
    codes[3] = 10_000
    path = store(
        con, tmp_path, row=np.arange(200), customer=codes, flat=np.ones(200), few=normal(200)
    )
    report = detect(con, path, customer="id", few="category")
    assert report.records == []
    assert any("counts the rows" in note and "row" in note for note in report.notes)
    assert [(one.column, one.by_nature) for one in report.not_judged] == [
        ("row", True), ("customer", True), ("flat", False), ("few", True),
    ]  # fmt: skip
    assert any("only one value" in note and "flat" in note for note in report.notes)
    assert any("names or categories" in note and "customer, few" in note for note in report.notes)


def test_short_and_half_empty_columns_are_refused_with_a_reason(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    con.execute(
        f"COPY (SELECT CASE WHEN i < 20 THEN i * 1.5::DOUBLE END AS few, "
        f"CASE WHEN i % 5 < 2 THEN i * 1.5::DOUBLE END AS gappy FROM range(300) t(i)) TO '{path}'"
    )
    report = detect(con, path)
    notes = " ".join(report.notes)
    assert "fewer than 30 values" in notes
    assert "more than half empty" in notes
    assert [(one.column, one.reason) for one in report.not_judged] == [
        ("few", "20 values, 30 needed"), ("gappy", "more than half empty"),
    ]  # fmt: skip
    assert AnomalyReport.from_json(report.to_json()) == report


def test_rare_values_of_a_nearly_constant_column_are_named_and_not_judged(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    values = np.zeros(500)
    values[40] = 3.0
    report = detect(con, store(con, tmp_path, x=values))
    assert report.findings == []
    assert "nearly all values are the same" in report.notes[0]
    (one,) = report.not_judged
    assert (one.column, one.partly) == ("x", True)


def test_a_report_stored_before_unjudged_columns_were_listed_is_still_read() -> None:
    document = AnomalyReport([], 2, ["A note."]).to_json()
    del document["not_judged"]
    assert AnomalyReport.from_json(document) == AnomalyReport([], 2, ["A note."])


def test_a_run_of_missing_values_is_found_and_scattered_ones_are_not(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    scattered = "hash(i) % 10 = 0"
    con.execute(
        f"COPY (SELECT CASE WHEN NOT {scattered} THEN 'v' || i END AS clean, "
        f"CASE WHEN i NOT BETWEEN 499 AND 539 AND (NOT {scattered} OR i IN (497, 498, 540, 541)) THEN 'v' || i END AS holed, "
        f"CASE WHEN i NOT BETWEEN 499 AND 539 AND (NOT {scattered} OR i IN (497, 498, 540, 541)) THEN i END AS n "
        f"FROM range(2000) t(i) ORDER BY i) TO '{path}'"
    )
    (found,) = detect(con, path, n="id").findings
    assert (found.kind, found.method) == ("missing_data_pattern", "missing_run")
    assert (found.column, found.row_start, found.row_end) == ("holed,n", 500, 540)
    assert (found.value, found.effect, found.severity) == (41.0, None, "critical")
    assert "41 values in a row are missing" in found.explanation


def test_the_budget_suppresses_the_weaker_findings_and_counts_them(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    values = normal(1_000)
    values[::100] = 200.0 + np.arange(10)
    report = detect(con, store(con, tmp_path, x=values))
    assert [one.value for one in report.findings] == [209.0, 208.0, 207.0]
    assert report.suppressed_count >= 7
    assert sum(one.suppressed and one.value > 100 for one in report.records if one.value) == 7


def test_findings_come_by_severity_and_score_and_number_in_that_order(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    a, b = normal(3_000, 1), normal(3_000, 2)
    a[5], b[7], b[900] = 48.0, 400.0, 46.0
    report = detect(con, store(con, tmp_path, a=a, b=b))
    ranks = [("critical", "high", "medium", "low").index(one.severity) for one in report.findings]
    assert ranks == sorted(ranks)
    assert (report.findings[0].column, report.findings[0].row_start) == ("b", 8)
    assert [one.id for one in report.records] == [
        f"a{place}" for place in range(1, len(report.records) + 1)
    ]
    assert [one.suppressed for one in report.records] == sorted(
        one.suppressed for one in report.records
    )


def test_a_stricter_limit_on_false_flags_asks_for_a_higher_score() -> None:
    strict = SETTINGS.model_copy(update={"expected_false_flags": 0.001})
    loose = SETTINGS.model_copy(update={"expected_false_flags": 5.0})
    assert finding_score(strict) > finding_score(SETTINGS) > 0.5
    assert finding_score(loose) == 0.5


def test_sampled_columns_give_the_same_findings(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = normal(20_000)
    values[[7, 15_000]] = 200.0, -150.0
    path = store(con, tmp_path, x=values)
    whole = detect(con, path)
    monkeypatch.setattr(column_views, "MOST_VALUES_IN_MEMORY", 5_000)
    sampled = detect(con, path)
    rows = [[one.row_start for one in report.findings] for report in (whole, sampled)]
    assert [sorted(found) for found in rows] == [[8, 15_001]] * 2
    # The floors are the same; only the sampled median absolute deviation moves one of them.
    assert sampled.suppressed_count == pytest.approx(whole.suppressed_count, rel=0.1)


def test_a_report_survives_json_and_holds_no_nan(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    values = normal(500)
    values[:3] = math.inf, 1e308, -1e308
    report = detect(con, store(con, tmp_path, x=values))
    assert {one.row_start for one in report.findings} == {2, 3}
    text = json.dumps(report.to_json(), allow_nan=False)
    assert AnomalyReport.from_json(json.loads(text)) == report


def test_a_thousand_rows_are_judged_in_a_moment(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = store(con, tmp_path, **{f"c{place}": normal(1_000, place) for place in range(8)})
    detect(con, path)
    started = time.process_time()
    detect(con, path)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    "score, severity",
    [
        (0.5, "low"),
        (0.99, "low"),
        (1.0, "medium"),
        (1.5, "high"),
        (2.0, "critical"),
        (9, "critical"),
    ],
)
def test_severity_follows_the_score(score: float, severity: str) -> None:
    assert severity_of(score) == severity


@pytest.mark.parametrize(
    "number, text",
    [(0.0, "0"), (450.7, "450.7"), (1234567.0, "1,234,567"), (-0.00123456, "-0.00123456"),
     (1e20, "1e+20"), (1200.0, "1,200")],
)  # fmt: skip
def test_numbers_are_written_for_people(number: float, text: str) -> None:
    assert number_text(number) == text


def test_records_hold_exactly_the_published_keys() -> None:
    assert list(Anomaly.__dataclass_fields__) == [
        "id", "type", "kind", "method", "severity", "score", "confidence", "column", "row_start",
        "row_end", "time_start", "time_end", "value", "expected_range", "effect", "location",
        "explanation", "suppressed",
    ]  # fmt: skip
