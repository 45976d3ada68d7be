"""Commands that process files: run, drop, retry, demo."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nika_pipelines.commands.console import (
    ExitCode,
    document,
    messages,
    output,
    plain,
    settings_in_force,
)
from nika_pipelines.commands.feeds import processed_feed
from nika_pipelines.commands.ledgers import opened_ledger
from nika_pipelines.commands.lookup import find_upload
from nika_pipelines.commands.outcomes import Outcome, exit_code, outcome_of, print_outcomes
from nika_pipelines.commands.paths import named_files
from nika_pipelines.commands.progress import shown_progress
from nika_pipelines.intake.states import Upload, UploadState

if TYPE_CHECKING:
    from nika_pipelines.processing import SourceFile
    from nika_pipelines.settings import Settings
    from resources.ledger import Ledger

_POLL_SECONDS = 0.25
_NOT_SAMPLES = ("readme", "license", "licence", "copying", "notice")

Paths = Annotated[list[Path], typer.Argument(help="Files, or folders with files.")]
Feed = Annotated[str, typer.Option(help="Which system takes the files.", callback=processed_feed)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def run(paths: Paths, feed: Feed = "tables", as_json: Json = False) -> None:
    """Process files and their sidecars now, without `nika up`. The files stay as they are."""
    settings = settings_in_force()
    with document(as_json) as emit:
        outcomes = _process(named_files(paths), feed, settings)
        emit([outcome.to_json() for outcome in outcomes])
        if not as_json:
            print_outcomes(outcomes, output())
        raise typer.Exit(exit_code(outcome.upload for outcome in outcomes))


def drop(
    paths: Paths,
    feed: Feed = "tables",
    wait: Annotated[
        float | None, typer.Option(min=0, help="Wait up to so many seconds for the reports.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy files and their companions into the inbox, where `nika up` takes them at once."""
    settings = settings_in_force()
    with document(as_json) as emit:
        files = named_files(paths)
        with opened_ledger(settings) as ledger:
            uploads = _drop_all(files, feed, settings, ledger)
            _warn_when_nobody_takes_them(settings)
            if wait is not None:
                uploads = _wait_for(uploads, ledger, wait)
        outcomes = [
            outcome_of(upload, settings.data, str(file.path))
            for file, upload in zip(files, uploads, strict=True)
        ]
        emit([outcome.to_json() for outcome in outcomes])
        if not as_json:
            _print_dropped(outcomes, waited=wait is not None)
        raise typer.Exit(ExitCode.DONE if wait is None else exit_code(uploads))


def retry(
    upload_id: Annotated[str, typer.Argument(help="The upload, as `nika list` shows it.")],
    wait: Annotated[
        float | None,
        typer.Option(min=0, help="Wait up to so many seconds for a running `nika up`."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Process an upload anew, whatever became of it; a running `nika up` takes it on."""
    from nika_pipelines.operations.service import is_up

    settings = settings_in_force()
    with document(as_json) as emit:
        upload = find_upload(upload_id, settings)
        if upload.state == UploadState.DELETED:
            raise typer.BadParameter(f"{upload_id} was deleted; drop its file again")
        handed_over, had_results = is_up(settings), upload.state == UploadState.REPORT_READY
        upload = _process_anew(upload, settings, handed_over)
        if handed_over and wait is not None:
            with opened_ledger(settings) as ledger:
                (upload,) = _wait_for([upload], ledger, wait)
        is_told = not handed_over or wait is not None
        outcome = outcome_of(upload, settings.data)
        emit(outcome.to_json())
        if not is_told:
            messages().print(
                f"The running `nika up` takes it on; `nika show {upload.upload_id}` tells how it fares."
            )
        elif not as_json:
            print_outcomes([outcome], output())
        if had_results:
            _tell_about_earlier_results(upload)
        raise typer.Exit(exit_code([upload]) if is_told else ExitCode.DONE)


def _tell_about_earlier_results(upload: Upload) -> None:
    """Say what became of the table and the report that an upload had before it was retried."""
    if upload.state == UploadState.QUARANTINED:
        messages().print(
            "[yellow]It was good before and is refused now, so its earlier table, results and"
            " report were removed.[/] Mend the contract or the sidecar, then"
            f" `nika retry {plain(upload.upload_id)}` makes them again."
        )
    elif not upload.is_final:
        messages().print(
            "Its earlier table and report stay until the new ones are ready; they go if it is"
            " refused now."
        )


def _process_anew(upload: Upload, settings: "Settings", handed_over: bool) -> Upload:
    """Put an upload back for a running `nika up`, or process it here."""
    from nika_pipelines.processing import requeue, run_again

    try:
        if handed_over:
            return requeue(upload.upload_id, settings)
        with shown_progress(1) as report:
            return run_again([upload.upload_id], settings, report)[0]
    except _cannot_retry() as error:
        messages().print(f"[red]{plain(error)}[/]")
        raise typer.Exit(ExitCode.FAILED) from None


def demo(as_json: Json = False) -> None:
    """Process the sample files and say what was found."""
    settings = settings_in_force()
    with document(as_json) as emit:
        if not settings.samples.is_dir():
            raise typer.BadParameter(f"there is no folder {settings.samples} (NIKA_SAMPLES)")
        files = [file for file in named_files([settings.samples]) if _is_sample(file.path)]
        messages().print(f"Processing {len(files)} samples from {plain(settings.samples)}")
        outcomes = _process(files, "tables", settings)
        emit([outcome.to_json() for outcome in outcomes])
        if not as_json:
            _print_demo(outcomes, settings)
        code = exit_code(outcome.upload for outcome in outcomes)
        # A refused sample shows what happens to a bad file: that is a success of the demo.
        raise typer.Exit(ExitCode.DONE if code == ExitCode.QUARANTINED else code)


def _process(files: list["SourceFile"], feed: str, settings: "Settings") -> list[Outcome]:
    if not files:
        messages().print("There is no file to process here.")
        return []
    from nika_pipelines.processing import run_now

    with shown_progress(len(files)) as report:
        try:
            uploads = run_now(files, feed, settings, report)
        except OSError as error:
            messages().print(f"[red]{plain(error)}[/]")
            raise typer.Exit(ExitCode.FAILED) from None
    return [
        outcome_of(upload, settings.data, str(file.path))
        for file, upload in zip(files, uploads, strict=True)
    ]


def _drop_all(
    files: list["SourceFile"], feed: str, settings: "Settings", ledger: "Ledger"
) -> list[Upload]:
    from resources.inbox import Inbox

    inbox = Inbox(settings, ledger)
    uploads = []
    for file in files:
        try:
            uploads.append(inbox.drop(file.path, feed, file.tag))
        except OSError as error:
            told = f"{plain(file.path)} was not dropped: {plain(error.strerror or error)}"
            messages().print(f"[red]{told}[/]")
            raise typer.Exit(ExitCode.FAILED) from None
    return uploads


def _warn_when_nobody_takes_them(settings: "Settings") -> None:
    from nika_pipelines.operations.service import is_up

    if not is_up(settings):
        messages().print(
            f"[yellow]`nika up` is not running on {plain(settings.data)}:"
            " the files wait in the inbox until it is.[/]"
        )


def _wait_for(uploads: list[Upload], ledger: "Ledger", seconds: float) -> list[Upload]:
    """Wait until all are final or the time is over; return them as they are then."""
    from nika_pipelines.processing import ProcessingEvent

    deadline = time.monotonic() + seconds
    with shown_progress(len(uploads)) as report:
        while True:
            before = uploads
            # One that vanished from the inbox is forgotten by the ledger: its last record stays.
            uploads = [u if u.is_final else ledger.get(u.upload_id) or u for u in before]
            done = sum(upload.is_final for upload in before)
            for old, new in zip(before, uploads, strict=True):
                if old.state != new.state:
                    done += new.is_final
                    event = (new.upload_id, new.original_name, new.state, done, len(uploads))
                    report(ProcessingEvent(*event))
            if done == len(uploads) or time.monotonic() >= deadline:
                return uploads
            time.sleep(_POLL_SECONDS)


def _print_dropped(outcomes: list[Outcome], *, waited: bool) -> None:
    if waited:
        print_outcomes(outcomes, output())
        return
    for outcome in outcomes:
        output().print(
            f"{plain(outcome.path)} -> [bold]{plain(outcome.upload.upload_id)}[/]", soft_wrap=True
        )


def _print_demo(outcomes: list[Outcome], settings: "Settings") -> None:
    console = output()
    print_outcomes(outcomes, console)
    refused = [o.upload for o in outcomes if o.upload.state == UploadState.QUARANTINED]
    if refused:
        names = ", ".join(plain(upload.original_name) for upload in refused)
        console.print(
            f"\n{names} is meant to be refused: a bad file goes to quarantine with its reason,"
            " and the others are not held up.",
            soft_wrap=True,
        )
    inbox = settings.data / "inbox" / "tables"
    console.print(
        "\nNow your own files: `nika run FILE`, or start `nika up` and copy files into"
        f" {plain(inbox)}",
        soft_wrap=True,
    )


def _is_sample(path: Path) -> bool:
    name = path.name.lower()
    return not name.startswith(_NOT_SAMPLES) and not name.endswith((".license", ".licence", ".md"))


def _cannot_retry() -> tuple[type[Exception], ...]:
    from nika_pipelines.processing import UploadBusyError
    from resources.archive import BytesMissingError

    return BytesMissingError, UploadBusyError
