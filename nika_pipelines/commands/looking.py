"""Commands that look at uploads: list, show."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nika_pipelines.commands.console import document, output, plain, settings_in_force
from nika_pipelines.commands.feeds import known_feed
from nika_pipelines.commands.ledgers import listed_uploads, opened_ledger
from nika_pipelines.commands.lookup import find_upload, shortened
from nika_pipelines.commands.outcomes import (
    Outcome,
    advice_of,
    number,
    outcome_of,
    read_document,
    styled_state,
)
from nika_pipelines.intake.states import Upload, UploadState

if TYPE_CHECKING:
    from rich.console import Console

    from nika_pipelines.settings import Settings

_TOP_FINDINGS = 5
_TOP_REJECTS = 5
_RAW_SHOWN = 100
_LISTED = (
    "upload_id", "feed", "original_name", "dataset", "tag", "version", "state", "error_code",
    "message", "duplicate_of", "received_at", "updated_at", "finished_at", "size_bytes", "sha256",
    "attempt", "run_id", "summary",
)  # fmt: skip

_WIDE, _WIDEST, _ROOMY = 120, 150, 180
"""From these widths terminals also show what was wrong, where uploads come from, whole headings."""
_BESIDE_THE_ID = 36
_DATASET_WIDTH = 20

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def list_uploads(
    feed: Annotated[
        str | None,
        typer.Option(help="Only this feed.", callback=lambda feed: feed and known_feed(feed)),
    ] = None,
    state: Annotated[UploadState | None, typer.Option(help="Only this state.")] = None,
    as_json: Json = False,
) -> None:
    """List the uploads, newest last."""
    settings = settings_in_force()
    with document(as_json) as emit:
        uploads = listed_uploads(settings, feed, state)
        emit([_record(upload) for upload in uploads])
        if not as_json:
            _print_list(uploads, output())


def show(
    upload_id: Annotated[str, typer.Argument(help="The upload, as `nika list` shows it.")],
    as_json: Json = False,
) -> None:
    """Show everything about one upload."""
    settings = settings_in_force()
    with document(as_json) as emit:
        upload = find_upload(upload_id, settings)
        outcome = outcome_of(upload, settings.data)
        with opened_ledger(settings) as ledger:
            history = ledger.transitions(upload.upload_id)
            repeats = ledger.repeats_of(upload.upload_id)
        emit(_full_record(outcome, history) | _repeats_record(upload, repeats))
        if not as_json:
            _print_upload(outcome, history, settings, output())
            _print_repeats(upload, repeats, output())


def _record(upload: Upload) -> dict[str, Any]:
    return {name: getattr(upload, name) for name in _LISTED} | {"state": upload.state.value}


def _full_record(outcome: Outcome, history: list[tuple[UploadState, str]]) -> dict[str, Any]:
    result = read_document(outcome.result)
    reason = read_document(outcome.reason)
    return (
        _record(outcome.upload)
        | {key: value for key, value in outcome.to_json().items() if key != "path"}
        | {
            "history": [{"state": state.value, "at": at} for state, at in history],
            "verdict": result.get("verdict"),
            "metrics": result.get("metrics"),
            "findings": _top_findings(result),
            "warnings": result.get("warnings"),
            "advice": advice_of(outcome) or None,
            "details": reason.get("details"),
        }
    )


def _repeats_record(upload: Upload, repeats: list[Upload]) -> dict[str, Any]:
    records = [
        {
            "upload_id": one.upload_id,
            "original_name": one.original_name,
            "tag": one.tag,
            "received_at": one.received_at,
        }
        for one in repeats
    ]
    are_aliases = [_is_alias(one, upload) for one in repeats]
    return {
        "aliases": [one for one, is_alias in zip(records, are_aliases, strict=True) if is_alias],
        "duplicates": [
            one for one, is_alias in zip(records, are_aliases, strict=True) if not is_alias
        ],
    }


def _is_alias(upload: Upload, original: Upload) -> bool:
    return (upload.original_name, upload.tag) != (original.original_name, original.tag)


def _top_findings(result: dict[str, Any]) -> list[dict[str, Any]]:
    anomalies: list[dict[str, Any]] = result.get("anomalies") or []
    return [one for one in anomalies if not one.get("suppressed")][:_TOP_FINDINGS]


def _print_list(uploads: list[Upload], console: "Console") -> None:
    from rich import box
    from rich.table import Table

    if not uploads:
        console.print("No uploads. `nika run FILE` processes one; `nika demo` shows samples.")
        return
    is_wide, is_widest = console.width >= _WIDE, console.width >= _WIDEST
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1 if is_wide else 0, 0, 1))
    # The id is what the other commands ask for: of a long one, the middle of the name is left out.
    room = console.width // 3 if is_wide else console.width - _BESIDE_THE_ID
    table.add_column("Upload", no_wrap=True)
    for heading in ("Dataset", "Received (UTC)")[0 if is_widest else 1 :] if is_wide else ():
        table.add_column(heading, no_wrap=True)
    table.add_column("State", no_wrap=True, min_width=max(map(len, map(_state_text, uploads))))
    for heading in ("Rows", "Anomalies", "Quality"):
        table.add_column(
            heading if console.width >= _ROOMY else heading[:4], justify="right", no_wrap=True
        )
    if is_wide:
        table.add_column("Remark", overflow="fold", min_width=_DATASET_WIDTH)
    for upload in uploads:
        summary = upload.summary or {}
        dataset = shortened(f"{upload.feed}: {upload.dataset}", _DATASET_WIDTH)
        origin = (plain(dataset), _clock(upload.received_at))[0 if is_widest else 1 :]
        table.add_row(
            plain(shortened(upload.upload_id, room)),
            *(origin if is_wide else ()),
            styled_state(upload.state),
            number(summary.get("rows"), "{:,}"),
            number(summary.get("anomalies"), "{:,}"),
            number(summary.get("quality_score"), "{:.0f}"),
            *((plain(_remark(upload)),) if is_wide else ()),
        )
    console.print(table)
    if any(len(upload.upload_id) > room for upload in uploads):
        console.print("The other commands take a shortened id as it stands here.", soft_wrap=True)


def _state_text(upload: Upload) -> str:
    return upload.state.value


def _remark(upload: Upload) -> str:
    """Why it was refused, what it repeats, or what there is to know about an accepted file."""
    if upload.error_code:
        return upload.error_code
    if upload.duplicate_of:
        return f"as {shortened(upload.duplicate_of, 2 * _DATASET_WIDTH)}"
    return ", ".join((upload.summary or {}).get("warnings") or [])


def _print_upload(
    outcome: Outcome,
    history: list[tuple[UploadState, str]],
    settings: "Settings",
    console: "Console",
) -> None:
    result = read_document(outcome.result)
    console.print(_facts(outcome, result))
    verdict = (result.get("verdict") or {}).get("text")
    if verdict:
        console.print(f"\n[bold]Verdict[/]  {plain(verdict)}", soft_wrap=True)
    _print_findings(result, console)
    _print_rejects(result, settings, console)
    _print_warnings(result, console)
    _print_error(outcome, console)
    console.print("\n[bold]History[/]")
    before = None
    for state, at in history:
        if state != before:  # a stage that begins in the same state says nothing new
            console.print(f"  {_clock(at)}  {styled_state(state)}")
        before = state


def _print_repeats(upload: Upload, repeats: list[Upload], console: "Console") -> None:
    if not repeats:
        return
    console.print("\n[bold]The same content came again[/]")
    for one in repeats:
        folder = f"{one.tag}/" if one.tag else ""
        told = f"alias {folder}{one.original_name}" if _is_alias(one, upload) else "same name"
        console.print(f"  {plain(one.upload_id)}  {plain(told)}", soft_wrap=True)


def _remark_in_full(outcome: Outcome) -> str | None:
    """The ledger's message, unless it refers to a result that was deleted since."""
    upload = outcome.upload
    if upload.error_code is not None:
        return None
    if upload.state != UploadState.DUPLICATE or outcome.result is not None:
        return upload.message
    same = (upload.message or "the same content").removesuffix("; its result is there")
    return f"{same}; its result is no longer there: `nika retry {upload.upload_id}` makes one"


def _facts(outcome: Outcome, result: dict[str, Any]) -> Any:
    from rich.table import Table

    upload, metrics = outcome.upload, result.get("metrics") or {}
    facts = {
        "Upload": upload.upload_id,
        "File": upload.original_name,
        "Feed": upload.feed,
        "Dataset": upload.dataset + (f", version {upload.version}" if upload.version else ""),
        "Size": None if upload.size_bytes is None else f"{upload.size_bytes:,} bytes",
        "SHA-256": upload.sha256,
        "Duplicate of": upload.duplicate_of,
        "Remark": _remark_in_full(outcome),
        "Rows": number(metrics.get("accepted_records"), "{:,}", missing=""),
        "Rejected rows": number(metrics.get("rejected_records"), "{:,}", missing=""),
        "Anomalies": number(metrics.get("anomalies_detected"), "{:,}", missing=""),
        "Quality": number(metrics.get("quality_score"), "{:.0f} of 100", missing=""),
        "Run": upload.run_id,
        "Result": outcome.result,
        "Report": "\n".join(map(str, outcome.reports)) or None,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("State", styled_state(upload.state))
    for name, value in facts.items():
        if value:
            lines = str(value).split("\n") if name == "Report" else [str(value)]
            table.add_row(name, "\n".join(map(plain, lines)))
    return table


def _print_findings(result: dict[str, Any], console: "Console") -> None:
    findings = _top_findings(result)
    if not findings:
        return
    total = (result.get("metrics") or {}).get("anomalies_detected", len(findings))
    console.print(f"\n[bold]Findings[/] ({len(findings)} of {total})")
    for finding in findings:
        text = f"{finding.get('type')}: {finding.get('explanation')}"
        console.print(f"  {plain(finding.get('severity')):8}  {plain(text)}", soft_wrap=True)


def _print_rejects(result: dict[str, Any], settings: "Settings", console: "Console") -> None:
    """The first rejected rows with line, column and reason; their text masked as in the report."""
    rejected = (result.get("metrics") or {}).get("rejected_records")
    if not rejected:
        return
    from nika_pipelines.tables.report_rejects import first_rejects

    found, _ = first_rejects(result, settings.data, settings)
    file = settings.data / str((result.get("data_files") or {}).get("rejects") or "")
    console.print(f"\n[bold]Rejected rows[/] ({min(_TOP_REJECTS, len(found))} of {rejected:,})")
    for one in found[:_TOP_REJECTS]:
        where = f"line {one.line:,}" + (f", column {one.column}" if one.column else "")
        text = f"{where}: {one.reason}; {(one.raw or '')[:_RAW_SHOWN]!r}"
        console.print(f"  {plain(one.code)}  {plain(text)}", soft_wrap=True)
    console.print(f"  All of them: {plain(file)}", soft_wrap=True)


def _print_warnings(result: dict[str, Any], console: "Console") -> None:
    from nika_pipelines.intake.codes import WARNING_ADVICE

    warnings = result.get("warnings") or []
    if not warnings:
        return
    advice = {code.value: step for code, step in WARNING_ADVICE.items()}
    console.print("\n[bold]Warnings[/]")
    for warning in warnings:
        code = warning.get("code")
        console.print(
            f"  [yellow]{plain(code)}[/]  {plain(warning.get('message'))}", soft_wrap=True
        )
    for code in dict.fromkeys(warning.get("code") for warning in warnings):
        if code in advice:
            console.print(
                f"  What to do about {plain(code)}: {plain(advice[code])}", soft_wrap=True
            )


def _print_error(outcome: Outcome, console: "Console") -> None:
    upload = outcome.upload
    if upload.error_code is None:
        return
    title = "Failed " if upload.state == UploadState.FAILED else "Refused"
    console.print(
        f"\n[bold]{title}[/]  {plain(upload.error_code)}: {plain(upload.message)}", soft_wrap=True
    )
    advice = advice_of(outcome)
    if advice:
        console.print(f"[bold]Advice[/]   {plain(advice)}", soft_wrap=True)
    if outcome.reason is not None:
        console.print(f"[bold]Kept in[/]  {plain(outcome.reason.parent)}", soft_wrap=True)


def _clock(time: str) -> str:
    return time[:19].replace("T", " ")
