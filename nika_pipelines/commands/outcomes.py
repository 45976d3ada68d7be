"""What became of uploads: as JSON records, as a table, and as an exit code."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.commands.console import ExitCode, plain
from nika_pipelines.intake.codes import FILE_CODES
from nika_pipelines.intake.states import FINAL_STATES, Upload, UploadState

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STATE_STYLES = {
    UploadState.REPORT_READY: "green",
    UploadState.DUPLICATE: "cyan",
    UploadState.QUARANTINED: "yellow",
    UploadState.FAILED: "red",
    UploadState.DELETED: "dim",
}


@dataclass(frozen=True)
class Outcome:
    """An upload and the files it ended in.

    Attributes:
        path: the file as the user named it.
        upload: its record.
        result: its result document; for a duplicate that of the first.
        reports: its report files; for a duplicate those of the first.
        reason: why it was refused.
    """

    path: str
    upload: Upload
    result: Path | None
    reports: tuple[Path, ...]
    reason: Path | None

    def to_json(self) -> dict[str, Any]:
        """The record that `--json` prints."""
        return {
            "path": self.path,
            "upload_id": self.upload.upload_id,
            "state": self.upload.state.value,
            "error_code": self.upload.error_code,
            "result": None if self.result is None else str(self.result),
            "reports": [str(report) for report in self.reports],
            "duplicate_of": self.upload.duplicate_of,
            "message": self.upload.message,
            "reason": None if self.reason is None else str(self.reason),
        }


def outcome_of(upload: Upload, data: Path, path: str | None = None) -> Outcome:
    """Find the files of an upload."""
    owner = upload.upload_id
    if upload.state == UploadState.DUPLICATE and upload.duplicate_of is not None:
        owner = upload.duplicate_of
    finished = upload.state in {UploadState.REPORT_READY, UploadState.DUPLICATE}
    result = data / "results" / upload.feed / owner / "result.json"
    reports = data / "reports" / upload.feed / owner
    reason = data / "quarantine" / upload.upload_id / "reason.json"
    return Outcome(
        path=path if path is not None else upload.original_name,
        upload=upload,
        result=result if finished and result.is_file() else None,
        reports=tuple(sorted(reports.iterdir())) if finished and reports.is_dir() else (),
        reason=reason if upload.state == UploadState.QUARANTINED and reason.is_file() else None,
    )


def exit_code(uploads: Iterable[Upload]) -> ExitCode:
    """One code for all: failed before still running before quarantined before done."""
    states = {upload.state for upload in uploads}
    if UploadState.FAILED in states:
        return ExitCode.FAILED
    if not states <= FINAL_STATES:
        return ExitCode.RUNNING
    return ExitCode.QUARANTINED if UploadState.QUARANTINED in states else ExitCode.DONE


def read_document(path: Path | None) -> dict[str, Any]:
    """A result or reason document; empty when there is none."""
    if path is None:
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}  # deleted since it was found
    return content


def print_outcomes(outcomes: Sequence[Outcome], console: "Console") -> None:
    """A table of what became of files, then the reports, then what is wrong with the others."""
    if not outcomes:
        return
    console.print(_table(outcomes))
    for outcome in outcomes:
        name = plain(outcome.upload.original_name)
        for report in outcome.reports:
            console.print(f"[bold]{name}[/] -> {plain(report)}", soft_wrap=True)
    for outcome in outcomes:
        if outcome.upload.error_code is not None:
            _print_reason(outcome, console)


def _table(outcomes: Sequence[Outcome]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("File", overflow="fold")
    table.add_column("State", no_wrap=True)
    for heading in ("Rows", "Anomalies", "Quality"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Verdict", overflow="fold")
    for outcome in outcomes:
        table.add_row(plain(outcome.upload.original_name), *_figures(outcome))
    return table


def _figures(outcome: Outcome) -> tuple[str, str, str, str, str]:
    upload = outcome.upload
    result = read_document(outcome.result)
    metrics = result.get("metrics") or {}
    verdict = (result.get("verdict") or {}).get("text") or upload.message or ""
    return (
        styled_state(upload.state),
        number(metrics.get("accepted_records"), "{:,}"),
        number(metrics.get("anomalies_detected"), "{:,}"),
        number(metrics.get("quality_score"), "{:.0f}"),
        plain(verdict),
    )


def styled_state(state: UploadState) -> str:
    """A state for the console, in its colour."""
    text = state.value.replace("_", " ")
    style = STATE_STYLES.get(state)
    return f"[{style}]{text}[/]" if style else text


def number(value: object, form: str, missing: str = "-") -> str:
    """A figure for the console, or what stands for one that is not known."""
    return form.format(value) if isinstance(value, int | float) else missing


def advice_of(outcome: Outcome) -> str:
    """What the user can do about a refusal or a failure; empty if there was none."""
    told = read_document(outcome.reason).get("advice")
    code = outcome.upload.error_code
    return str(told) if told else FILE_CODES[code].advice if code in FILE_CODES else ""


def _print_reason(outcome: Outcome, console: "Console") -> None:
    upload = outcome.upload
    parts = [f"[bold]{plain(upload.original_name)}[/]: {plain(upload.error_code)}"]
    if upload.message:
        parts.append(plain(upload.message))
    parts.append(plain(advice_of(outcome)))
    if outcome.reason is not None:
        parts.append(f"Kept in {plain(outcome.reason.parent)}")
    console.print("\n  ".join(part for part in parts if part), soft_wrap=True)
