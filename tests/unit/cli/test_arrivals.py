"""What `nika up` tells of files: one line for each that becomes final, and only once."""

import dataclasses
from pathlib import Path
from typing import Any

from nika_pipelines.commands.arrivals import arrival_line, newly_final
from nika_pipelines.intake.states import Upload, UploadState
from resources.clock import utc_now
from resources.ledger import open_ledger

NOW = "2026-01-02T10:00:00.000000Z"


def upload(upload_id: str, state: UploadState, **more: Any) -> Upload:
    record = Upload(upload_id, "tables", f"{upload_id}.csv", "x.csv", "sales", state, NOW, NOW)
    return dataclasses.replace(record, **more)


def test_a_line_says_state_and_figures_or_the_reason() -> None:
    ready = upload("a", UploadState.REPORT_READY, summary={"rows": 1, "anomalies": 2})
    refused = upload("b\x1b[1m", UploadState.QUARANTINED, error_code="EMPTY_FILE")
    repeated = upload("c", UploadState.DUPLICATE, duplicate_of="a")

    assert arrival_line(ready) == "a.csv: [green]report ready[/], 1 row, 2 anomalies"
    assert "[yellow]quarantined[/], EMPTY_FILE; `nika show b" in arrival_line(refused)
    assert "\x1b" not in arrival_line(refused)
    assert arrival_line(repeated) == "c.csv: [cyan]duplicate[/] of a"


def test_each_upload_is_told_once_when_it_becomes_final(tmp_path: Path) -> None:
    told: set[tuple[str, str]] = set()
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.register(upload("a", UploadState.RECEIVED))
        started = utc_now()
        before = list(newly_final(ledger, started, told))
        ledger.advance("a", UploadState.FAILED, error_code="INTERNAL", message="no")
        first = [one.upload_id for one in newly_final(ledger, started, told)]
        again = list(newly_final(ledger, started, told))

    assert (before, first, again) == ([], ["a"], [])
