"""The daily digest: one page, whatever the day was like."""

from datetime import UTC, date, datetime
from pathlib import Path

from pypdf import PdfReader

from nika_pipelines.operations.digest import DigestEntry, digest_document
from nika_pipelines.reports.pdf import render_pdf

DAY = date(2026, 11, 21)
MADE = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


def entry(number: int, state: str = "report_ready", **changes: object) -> DigestEntry:
    values: dict[str, object] = {
        "upload_id": f"orders_{number}-20261121T101233Z-ab{number:02x}",
        "filename": f"orders_{number}.csv",
        "feed": "tables",
        "state": state,
        "received_at": "2026-11-21T10:12:33Z",
    }
    return DigestEntry(**(values | changes))  # type: ignore[arg-type]


def pages(
    tmp_path: Path, uploads: list[DigestEntry], errors: list[dict[str, object]] | None = None
) -> list[str]:
    document = digest_document(DAY, uploads, errors or [], made_at=MADE)
    target = render_pdf(document, tmp_path / "digest.pdf", MADE)
    return [page.extract_text() for page in PdfReader(target).pages]


def test_a_quiet_day_says_so(tmp_path: Path) -> None:
    (page,) = pages(tmp_path, [])
    assert "No file arrived on this day." in page


def test_states_rows_and_mean_time_are_added_up(tmp_path: Path) -> None:
    uploads = [
        entry(1, rows=1_000, rejected=10, processing_seconds=1.0, quality_score=90.0),
        entry(2, rows=500, processing_seconds=2.0, quality_score=80.0),
        entry(3, "duplicate"),
        entry(4, "validating"),
    ]
    (page,) = pages(tmp_path, uploads)
    assert "4 files arrived; 2 ready, 1 in work, 1 duplicate." in page
    assert "1,500" in page
    assert "1.50 s" in page
    assert "10 (0.7 %)" in page


def test_what_failed_is_told_with_code_and_message(tmp_path: Path) -> None:
    uploads = [entry(7, "quarantined", error_code="RAGGED", message="31 of 120 rows <b>differ</b>")]
    (page,) = pages(tmp_path, uploads)
    assert "RAGGED" in page
    assert "31 of 120 rows <b>differ</b>" in page
    assert "orders_7-20261121T101233Z-ab07" in page


def test_the_worst_file_comes_first(tmp_path: Path) -> None:
    uploads = [
        entry(1, anomalies={"low": 90}, worst_severity="low", worst_finding="a little odd"),
        entry(2, anomalies={"critical": 1}, worst_severity="critical", worst_finding="very odd"),
    ]
    (page,) = pages(tmp_path, uploads)
    assert page.index("very odd") < page.index("a little odd")
    assert "1 critical finding should be looked at first." in page


def test_the_worst_day_still_fits_one_page(tmp_path: Path) -> None:
    uploads = [
        entry(
            number % 100,
            ("report_ready", "quarantined", "failed")[number % 3],
            feed=f"feed {number % 20} " + "w" * 200,
            filename="\u202e<b>" + "n" * 300,
            error_code="MULTIPLE_TABLES",
            message="m " * 3_000,
            rows=10**9,
            rejected=10**8,
            anomalies={"critical": 1_000, "high": 5},
            worst_severity="critical",
            worst_finding="f" * 5_000,
            processing_seconds=3.0,
        )
        for number in range(300)
    ]
    errors = [{"at": "2026-11-21T03:14:00Z", "where": "s" * 500, "message": "e " * 900}] * 50
    assert len(pages(tmp_path, uploads, errors)) == 1  # type: ignore[arg-type]
