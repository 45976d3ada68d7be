"""Markdown for the web UI shows hostile cells as text."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.previews import markdown_preview, markdown_text, verdict_markdown
from nika_pipelines.settings import Settings

HOSTILE = ["<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "a|b\nc", "`x`", "\x1b[31m"]


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_is_shown_literally(text: str) -> None:
    shown = markdown_text(text)
    for character in "<>[]()|`":
        assert shown.count(character) == shown.count(f"\\{character}")
    assert shown.isprintable()


def test_a_preview_keeps_one_line_per_row(tmp_path: Path) -> None:
    parquet = tmp_path / "t.parquet"
    pq.write_table(pa.table({"na|me": HOSTILE, "n": [1, 2, 3, 4, None]}), parquet)
    lines = markdown_preview(parquet, [], Settings(data=tmp_path)).splitlines()
    assert len(lines) == 2 + len(HOSTILE)
    assert all(line.replace("\\|", "").count("|") == 3 for line in lines)


def test_a_verdict_stays_short_enough_to_be_shown_inline() -> None:
    result = {
        "verdict": {"text": "word " * 400},
        "metrics": {
            "accepted_records": 1,
            "rejected_records": 0,
            "anomalies_detected": 0,
            "quality_score": 99.0,
        },
    }
    shown = verdict_markdown(result, "http://127.0.0.1:3001/charts/x.svg")
    assert len(shown) < 1_000
    assert "![chart](" in shown
