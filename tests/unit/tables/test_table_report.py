"""The table report: what it says, for ordinary, empty, wide and hostile tables."""

import copy
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pypdf import PdfReader

from nika_pipelines.reports.chart_specs import BarChart, Histogram, SeriesChart
from nika_pipelines.reports.pdf import render_pdf
from nika_pipelines.settings import Settings
from nika_pipelines.tables.report import main_chart, table_report
from nika_pipelines.tables.report_charts import STRETCHES

SETTINGS = Settings()

CREATED = datetime(2026, 11, 22, 1, 33, tzinfo=UTC)
UPLOAD = "sensor-20261122T013300Z-1a2b"
HOSTILE = '<b>x</b></para>\u202e&"; DROP TABLE t; --'
SERIES_SQL = """
    SELECT TIMESTAMP '2024-01-01' + to_minutes(5 * i) AS at,
           CASE WHEN i = 4000 THEN 500.0 WHEN i % 97 = 0 THEN NULL ELSE sin(i / 50.0) * 10 END AS heat
    FROM range({rows}) AS r(i)"""


def column(name: str, kind: str, **changes: Any) -> dict[str, Any]:
    keys = ("mean", "std", "min", "q1", "median", "q3", "max", "skewness", "kurtosis", "histogram")
    base = {"name": name, "type": kind, "semantic_type": kind, "count": 100, "nulls": 0}
    return base | {"distinct": 90, "top": []} | dict.fromkeys(keys) | changes


def numeric(name: str) -> dict[str, Any]:
    values = dict(zip(("mean", "std", "min", "q1", "median", "q3", "max"), range(7), strict=True))
    bins = {"edges": [0.0, 1.0, 2.0], "counts": [40, 60]}
    return column(name, "float", histogram=bins, skewness=0.1, kurtosis=-0.2, **values)


def anomaly(number: int, **changes: Any) -> dict[str, Any]:
    severity = "critical" if number < 5 else "low"
    return {
        "id": f"{UPLOAD}/a{number}", "type": "Outlier", "kind": "statistical_outlier",
        "method": "z_score", "severity": severity, "score": 50.0 / number, "confidence": 0.9,
        "column": "heat", "row_start": 4001, "row_end": 4001, "time_start": "2024-01-14T21:20:00Z",
        "time_end": "2024-01-14T21:20:00Z", "value": 500.0, "expected_range": [-21.0, 21.0],
        "effect": 48.0, "location": "row 4001", "suppressed": False,
        "explanation": "heat is 500, fifty times what is usual.",
    } | changes  # fmt: skip


def result(**changes: Any) -> dict[str, Any]:
    """A result of the ordinary kind; ``changes`` replace its keys."""
    anomalies = changes.get("anomalies", [anomaly(n) for n in range(1, 4)])
    base = {
        "schema_version": 1, "upload_id": UPLOAD, "dataset": "sensor", "version": 2,
        "status": "success", "run_id": "7f31b2aa-3c4d", "time_column": "at",
        "file_info": {
            "filename": "sensor.csv", "size_bytes": 123_456, "sha256": "ab" * 32,
            "received_at": "2026-11-22T01:33:00Z", "processed_at": "2026-11-22T01:33:05Z",
            "encoding": "utf_8", "dialect": {"delimiter": ";", "quotechar": '"', "sheet": None},
        },
        "metrics": {
            "total_records": 10_003, "accepted_records": 10_000, "rejected_records": 3,
            "anomalies_detected": len(anomalies), "anomalies_suppressed": 0,
            "quality_score": 91.5, "processing_time": 2.0,
            "quality_parts": {
                "completeness": {"score": 99.0, "weight": 0.5, "explanation": "1 % is empty."},
                "timeliness": {"score": None, "weight": 0.1, "explanation": "Cannot be judged."},
            },
            "stage_times": {"intake": 1.0, "report": 0.5},
        },
        "columns": [
            column("at", "timestamp", min="2024-01-01T00:00:00", max="2024-02-04T17:15:00"),
            numeric("heat") | {"nulls": 104},
        ],
        "correlations": [{"a": "heat", "b": "cold", "pearson": -0.97, "n": 9_000}],
        "other_tables": [], "drift": None, "baseline": None,
        "settings": {"z_score_threshold": 3.0}, "versions": {"nika": "0.1.0"},
        "data_files": {"table": "table.parquet", "anomalies": "results/x/anomalies.parquet"},
        "rejects_by_code": {"SHORT_ROW": 2, "CAST": 1}, "notes": [], "not_judged": [],
        "warnings": [{"code": "FORMULA_LIKE", "message": "2 cells look like formulas."}],
        "reports": [], "recommendations": ["Look at row 4001."],
        "verdict": {"level": "attention", "text": "All but 3 rows are usable. Look at row 4001."},
        "row_balance": {
            "physical_lines": 10_004, "preamble": 0, "header": 1, "blank": 0, "footer": 0,
            "accepted_lines": 10_000, "rejected_lines": 3, "closes": True,
        },
        "charts": [{"column": "heat", "time_column": "at"}],
        "anomalies": anomalies,
    }  # fmt: skip
    return copy.deepcopy(base | changes)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    store(tmp_path, SERIES_SQL.format(rows=10_000))
    return tmp_path


def store(folder: Path, sql: str) -> None:
    duckdb.sql(f"COPY ({sql}) TO '{folder / 'table.parquet'}' (FORMAT parquet)")


def rendered(result: dict[str, Any], data: Path, **settings: Any) -> list[str]:
    document = table_report(result, data, Settings(**settings))
    target = render_pdf(document, data / "out" / "report.pdf", CREATED)
    return [page.extract_text() for page in PdfReader(target).pages]


def test_the_first_page_has_verdict_figures_picture_and_next_step(data: Path) -> None:
    first = rendered(result(), data)[0]
    for expected in (
        "All but 3 rows are usable.", "10,000", "91.5", "Look at row 4001.", "sensor.csv",
        "2024-01-01 00:00 to 2024-02-04 17:15", "heat over at.",
    ):  # fmt: skip
        assert expected in first


def test_every_kind_of_evidence_is_told(data: Path) -> None:
    text = "\n".join(rendered(result(), data))
    for expected in (
        f"{UPLOAD}/a3", "fifty times what is usual", "-21 to 21", "2024-01-14 21:20", "z-score",
        "SHORT_ROW", "fewer cells than the header", "FORMULA_LIKE", "1 % is empty.", "-0.97",
        "no line is lost", "ab" * 32, "7f31b2aa-3c4d", "z_score_threshold 3.0", "1.00 s", "104",
    ):  # fmt: skip
        assert expected in text


def test_every_listed_finding_is_in_the_text_and_the_rest_is_counted(data: Path) -> None:
    anomalies = [anomaly(n, explanation="long " * 60) for n in range(1, 81)]
    pages = rendered(result(anomalies=anomalies), data, max_anomalies_per_report=50)
    text = "\n".join(pages)
    assert all(f"{UPLOAD}/a{n}\n" in text for n in range(1, 51))
    assert f"{UPLOAD}/a51" not in text
    assert "30 more in anomalies.parquet." in text
    assert len(pages) <= 4


def test_suppressed_findings_are_counted_and_not_listed(data: Path) -> None:
    changed = result(anomalies=[anomaly(1), anomaly(2, suppressed=True)])
    changed["metrics"] |= {"anomalies_detected": 1, "anomalies_suppressed": 1}
    text = "\n".join(rendered(changed, data))
    assert f"{UPLOAD}/a2" not in text
    assert "1 weaker one set aside" in text


def test_sixty_columns_are_cut_to_four_pages_with_a_pointer(tmp_path: Path) -> None:
    names = [f"a_rather_long_column_name_{n}" for n in range(60)]
    store(tmp_path, "SELECT " + ", ".join(f'random() AS "{n}"' for n in names) + " FROM range(500)")
    wide = result(
        columns=[numeric(name) | {"nulls": 3} for name in names],
        charts=[{"column": name, "time_column": None} for name in names[:4]],
        anomalies=[anomaly(n, column=names[n % 60]) for n in range(1, 51)],
        time_column=None,
    )
    wide["metrics"]["accepted_records"] = 500
    pages = rendered(wide, tmp_path)
    assert len(pages) <= 4
    assert "more in result.json." in "\n".join(pages)


def test_a_table_of_text_without_findings_gets_a_short_report(tmp_path: Path) -> None:
    store(tmp_path, "SELECT 'Oslo' AS city FROM range(3)")
    top = [{"value": "Oslo", "count": 2}, {"value": HOSTILE, "count": 1}]
    changed = result(
        columns=[column("city", "text", count=3, distinct=2, top=top)],
        charts=[], anomalies=[], correlations=[], rejects_by_code={}, warnings=[],
        recommendations=[], time_column=None,
    )  # fmt: skip
    changed["metrics"]["anomalies_detected"] = 0
    pages = rendered(changed, tmp_path)
    assert len(pages) <= 2
    assert "no numeric column" in "\n".join(pages)
    assert isinstance(main_chart(changed, tmp_path, SETTINGS), BarChart)


def test_a_result_with_hardly_any_content_still_gives_a_report(tmp_path: Path) -> None:
    bare = {"upload_id": UPLOAD, "columns": [], "anomalies": [], "data_files": {}}
    assert len(rendered(bare, tmp_path)) == 1
    assert main_chart(bare, tmp_path, SETTINGS) is None


def test_hostile_names_and_cells_are_shown_as_text(tmp_path: Path) -> None:
    quoted = HOSTILE.replace('"', '""')
    store(tmp_path, f'SELECT i AS "{quoted}" FROM range(2000) AS r(i)')
    changed = result(
        dataset=HOSTILE,
        columns=[numeric(HOSTILE), column(HOSTILE * 9, "text", top=[{"value": HOSTILE, "count": 1}])],
        charts=[{"column": HOSTILE, "time_column": None}],
        anomalies=[anomaly(1, column=HOSTILE, value=HOSTILE * 500, explanation=HOSTILE * 50)],
        warnings=[{"code": HOSTILE, "message": HOSTILE * 100}],
        recommendations=[HOSTILE * 100], verdict={"level": HOSTILE, "text": HOSTILE * 1_000},
        rejects_by_code={HOSTILE: 3}, settings={HOSTILE: HOSTILE}, time_column=HOSTILE,
    )  # fmt: skip
    changed["file_info"]["filename"] = HOSTILE * 20
    pages = rendered(changed, tmp_path)
    assert "<b>x</b></para>\ufffd&" in pages[0]
    assert "\u202e" not in "".join(pages)
    assert len(pages) <= 5


def test_the_same_result_gives_the_same_bytes(data: Path) -> None:
    rendered(result(), data)
    first = (data / "out" / "report.pdf").read_bytes()
    rendered(result(), data)
    assert (data / "out" / "report.pdf").read_bytes() == first


def test_a_series_is_decimated_and_keeps_its_highest_point(data: Path) -> None:
    spec = main_chart(result(), data, SETTINGS)
    assert isinstance(spec, SeriesChart)
    assert spec.x_is_time
    assert len(spec.x) <= 2 * STRETCHES
    assert max(spec.y) == 500.0
    assert list(spec.x) == sorted(spec.x)


def test_a_mark_stands_on_the_row_of_its_finding(data: Path) -> None:
    run = anomaly(2, value=None, row_start=98, row_end=100, method="missing_run")
    spec = main_chart(result(anomalies=[anomaly(1), run]), data, SETTINGS)
    assert isinstance(spec, SeriesChart)
    first, second = spec.marks
    start = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
    assert (first.number, first.x, first.y) == (1, start + 4000 * 300, 500.0)
    assert (second.x, second.x_end) == (start + 97 * 300, start + 99 * 300)
    assert second.y is None


def test_rows_without_a_time_are_dots_by_row_number(tmp_path: Path) -> None:
    store(tmp_path, "SELECT i * 2.0 AS heat FROM range(10) AS r(i)")
    changed = result(charts=[{"column": "heat", "time_column": None}], anomalies=[])
    changed["metrics"]["accepted_records"] = 10
    spec = main_chart(changed, tmp_path, SETTINGS)
    assert isinstance(spec, SeriesChart)
    assert not spec.joined
    assert (spec.x[0], spec.x[-1], spec.y[-1]) == (1.0, 10.0, 18.0)


def test_infinite_values_and_times_are_left_out_of_the_picture(tmp_path: Path) -> None:
    store(
        tmp_path,
        "SELECT * FROM (VALUES (TIMESTAMP '2024-01-01', 1.0), (TIMESTAMP 'infinity', 2.0), "
        "(TIMESTAMP '2024-01-02', 'inf'::DOUBLE), (TIMESTAMP '2024-01-03', 'nan'::DOUBLE), "
        "(NULL, 3.0), (TIMESTAMP '2024-01-04', 4.0)) AS t(\"at\", heat)",
    )
    spec = main_chart(result(anomalies=[]), tmp_path, SETTINGS)
    assert isinstance(spec, SeriesChart)
    assert spec.y == (1.0, 4.0)


def test_a_column_without_any_usable_value_falls_back_to_the_histogram(tmp_path: Path) -> None:
    store(tmp_path, "SELECT TIMESTAMP '2024-01-01' AS at, NULL::DOUBLE AS heat FROM range(5)")
    assert isinstance(main_chart(result(anomalies=[]), tmp_path, SETTINGS), Histogram)


def test_what_was_not_judged_is_listed_and_not_counted_as_clean(data: Path) -> None:
    changed = result(
        anomalies=[],
        columns=[column("at", "timestamp"), numeric("heat"), numeric("cold"), numeric("few")],
        not_judged=[{"column": "few", "reason": "20 values, 30 needed", "by_nature": False}],
        notes=["Column not judged for unusual values (fewer than 30 values): few."],
    )
    text = "\n".join(rendered(changed, data))
    assert "No anomaly was found in 2 numeric columns; 1 other was not judged." in text
    assert "What was not judged" in text
    assert "fewer than 30 values): few." in text


def test_no_green_nought_stands_where_no_column_was_judged(data: Path) -> None:
    missed = [{"column": "heat", "reason": "20 values, 30 needed", "by_nature": False}]
    changed = result(anomalies=[], not_judged=missed)
    text = "\n".join(rendered(changed, data))
    assert "anomalies: not judged" in text
    assert "No numeric column could be judged" in text


def rejects(folder: Path, rows: int, raw: str = "a;b") -> None:
    quoted = raw.replace("'", "''")
    duckdb.sql(
        f"COPY (SELECT 2 + i AS line, CASE WHEN i = 0 THEN 'heat' END AS \"column\", "
        f"'CAST' AS code, 'not a number' AS reason, '{quoted}' || i AS raw "
        f"FROM range({rows}) AS r(i)) TO '{folder / 'rejects.parquet'}' (FORMAT parquet)"
    )


def test_the_first_rejected_rows_are_listed_with_line_reason_and_raw_text(data: Path) -> None:
    rejects(data, 40)
    changed = result()
    changed["data_files"]["rejects"] = "rejects.parquet"
    text = "\n".join(rendered(changed, data))
    assert all(f"a;b{n}\n" in text for n in range(12))
    assert "a;b12" not in text
    assert "not a number" in text
    assert "28 more in rejects.parquet." in text


def test_a_hostile_rejected_row_is_shown_as_text_and_cut(data: Path) -> None:
    rejects(data, 3, HOSTILE + "y" * 5_000)
    changed = result()
    changed["data_files"]["rejects"] = "rejects.parquet"
    text = "".join(rendered(changed, data))
    assert "<b>x</b></para>\ufffd&" in text
    assert "\u202e" not in text
    assert "characters)" in text
    assert "y" * 200 not in text.replace("\n", "")


def test_a_report_without_its_rejects_file_is_still_made(data: Path) -> None:
    changed = result()
    changed["data_files"]["rejects"] = "gone/rejects.parquet"
    assert "SHORT_ROW" in "\n".join(rendered(changed, data))


def test_the_report_says_how_rows_are_counted_and_counts_the_accepted_ones(data: Path) -> None:
    balance = result()["row_balance"] | {
        "accepted_lines": 10_040,
        "accepted": 10_000,
        "rejected": 3,
    }
    text = " ".join("\n".join(rendered(result(row_balance=balance), data)).split())
    assert "10,000 rows, 2 columns" in text
    assert text.count("Row numbers count the accepted data rows in the order of the file") == 1
    assert "10,040 accepted (10,000 rows, as records may span several lines), 3 rejected;" in text
    assert "A robust sigma is" in text


def shared_stamps(folder: Path, days: int, rows_a_day: int) -> dict[str, Any]:
    store(
        folder,
        f"SELECT TIMESTAMP '2024-01-01' + to_days((i // {rows_a_day})::INT) AS at, "
        f"sin(i) AS heat FROM range({days * rows_a_day}) AS r(i)",
    )
    rows = days * rows_a_day
    changed = result(
        columns=[column("at", "timestamp", count=rows, distinct=days), numeric("heat")],
        anomalies=[],
    )
    changed["metrics"]["accepted_records"] = rows
    return changed


def test_many_rows_with_one_time_are_dots_and_no_comb(tmp_path: Path) -> None:
    spec = main_chart(shared_stamps(tmp_path, 30, 10), tmp_path, SETTINGS)
    assert isinstance(spec, SeriesChart)
    assert (spec.joined, spec.x_is_time, len(spec.x)) == (False, True, 300)


def test_very_many_rows_with_one_time_are_drawn_by_row(tmp_path: Path) -> None:
    spec = main_chart(shared_stamps(tmp_path, 30, 100), tmp_path, SETTINGS)
    assert isinstance(spec, SeriesChart)
    assert (spec.joined, spec.x_is_time, spec.x[-1]) == (False, False, 3_000)


def test_few_rows_with_one_time_stay_a_line(tmp_path: Path) -> None:
    spec = main_chart(shared_stamps(tmp_path, 100, 2), tmp_path, SETTINGS)
    assert isinstance(spec, SeriesChart)
    assert spec.joined


@pytest.mark.parametrize("bins", [[1, 1], [50]])
def test_few_values_and_single_bins_get_no_histogram(tmp_path: Path, bins: list[int]) -> None:
    store(tmp_path, "SELECT NULL::DOUBLE AS heat FROM range(2)")
    edges = [float(edge) for edge in range(len(bins) + 1)]
    columns = [numeric("heat") | {"histogram": {"edges": edges, "counts": bins}}]
    changed = result(columns=columns, charts=[], anomalies=[], time_column=None)
    assert main_chart(changed, tmp_path, SETTINGS) is None


def test_a_small_report_is_quick_and_small(data: Path) -> None:
    rendered(result(), data)
    started = time.process_time()
    document = table_report(result(), data, Settings())
    target = render_pdf(document, data / "out" / "again.pdf", CREATED)
    # The bar is 0.25 s on an idle machine; the rest is room for a busy one.
    assert time.process_time() - started < 0.75
    assert target.stat().st_size < 200_000
