"""The command that deletes an upload."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nika_pipelines.commands.console import (
    ExitCode,
    document,
    messages,
    output,
    plain,
    settings_in_force,
)
from nika_pipelines.commands.lookup import find_upload

if TYPE_CHECKING:
    from rich.console import Console

    from nika_pipelines.deletion import Deletion

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def delete(
    upload_id: Annotated[str, typer.Argument(help="The upload, as `nika list` shows it.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Really delete; without it nothing is changed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete everything that is kept of an upload; the ledger keeps one line."""
    from nika_pipelines.deletion import delete_upload, planned_deletion
    from nika_pipelines.processing import UploadBusyError

    settings = settings_in_force()
    with document(as_json) as emit:
        found = find_upload(upload_id, settings).upload_id
        try:
            act = delete_upload if yes else planned_deletion
            deletion = act(found, settings)
        except UploadBusyError as error:
            messages().print(f"[red]{plain(error)}[/]")
            raise typer.Exit(ExitCode.FAILED) from None
        except Exception as error:  # of the disk or any database: what is done stays done
            told = f"Not everything was deleted: {error}. The same command goes on with it."
            messages().print(f"[red]{plain(told)}[/]", soft_wrap=True)
            raise typer.Exit(ExitCode.FAILED) from None
        emit(_record(deletion, deleted=yes))
        if not as_json:
            _print_deletion(deletion, output(), deleted=yes)
        if not yes:
            messages().print("Nothing was deleted. Add --yes to delete it for good.")
            raise typer.Exit(ExitCode.USAGE)


def _record(deletion: "Deletion", *, deleted: bool) -> dict[str, Any]:
    return {
        "upload_id": deletion.upload.upload_id,
        "state": deletion.upload.state.value,
        "deleted": deleted,
        "paths": [str(path) for path in deletion.paths],
        "archive_kept_for": list(deletion.shared_with),
        "repeats": list(deletion.repeats),
    }


def _print_deletion(deletion: "Deletion", console: "Console", *, deleted: bool) -> None:
    verb = "Deleted" if deleted else "Would delete"
    console.print(f"{verb} [bold]{plain(deletion.upload.upload_id)}[/]:", soft_wrap=True)
    for path in deletion.paths:
        console.print(f"  {plain(path)}", soft_wrap=True)
    console.print("  its rows in the warehouse, and its events, logs and partition in the web UI")
    if deletion.shared_with:
        names = ", ".join(deletion.shared_with)
        hold = "holds" if len(deletion.shared_with) == 1 else "hold"
        console.print(
            f"[yellow]The archived file stays: {plain(names)} {hold} the same content.[/]",
            soft_wrap=True,
        )
    if deletion.repeats:
        names = ", ".join(deletion.repeats)
        console.print(
            f"[yellow]Its result was also that of {plain(names)}; `nika retry` makes a new one.[/]",
            soft_wrap=True,
        )
