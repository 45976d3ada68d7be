"""The command that shows what intake makes of a file: inspect."""

import json
from pathlib import Path
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
from nika_pipelines.commands.paths import one_file
from nika_pipelines.intake.masking import error_told

if TYPE_CHECKING:
    from rich.console import Console

    from nika_pipelines.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def inspect_file(
    file: Annotated[Path, typer.Argument(help="The file; it stays as it is.")],
    out: Annotated[Path, typer.Option(help="Folder for table.csv and intake.json.")],
    as_json: Json = False,
) -> None:
    """Read a file and its sidecar as intake would: writes table.csv and intake.json."""
    settings = settings_in_force()
    with document(as_json) as emit:
        source = one_file(file)
        try:
            out.mkdir(parents=True, exist_ok=True)
            _inspect(source, out, settings)
        except OSError as error:
            messages().print(f"[red]{plain(error)}[/]")
            raise typer.Exit(ExitCode.FAILED) from None
        except Exception as error:  # whatever broke, the file is not to blame for it
            told = error_told(error, masked=settings.mask_personal_data)
            told = " ".join(told.split())[:300]
            messages().print(f"[red]INTERNAL: this is our fault: {plain(told)}[/]", soft_wrap=True)
            raise typer.Exit(ExitCode.FAILED) from None
        intake: dict[str, Any] = json.loads((out / "intake.json").read_text())
        emit(intake)
        if not as_json:
            _print_intake(intake, out, output())
        accepted = intake["status"] == "accepted"
        raise typer.Exit(ExitCode.DONE if accepted else ExitCode.QUARANTINED)


def _inspect(source: Path, out: Path, settings: "Settings") -> None:
    from nika_pipelines.intake.codes import UploadRejected
    from nika_pipelines.intake.documents import quarantined_document, write_document
    from nika_pipelines.intake.reading_options import NOTHING_SAID
    from nika_pipelines.intake.take_in import INSPECT_DRAFT, inspect
    from resources.leftovers import remove_leftovers
    from resources.sidecars import beside

    remove_leftovers(out.glob(f"{INSPECT_DRAFT}????????"))
    try:
        sidecar = beside(source)
        options = NOTHING_SAID if sidecar is None else sidecar.options()
    except UploadRejected as error:
        (out / "table.csv").unlink(missing_ok=True)
        write_document(out / "intake.json", quarantined_document(error))
    else:
        inspect(source, source.name, out, settings, options)


def _how_read(intake: dict[str, Any]) -> str:
    """Encoding and delimiter, as far as the format has them: a workbook has neither."""
    said = [
        f"{name} {plain(value if name == 'encoding' else repr(value))}"
        for name in ("sheet", "encoding", "delimiter")
        if (value := intake.get(name)) is not None
    ]
    others = [repr(one["name"]) for one in intake["other_tables"]]
    said += [f"beside the other sheets {plain(', '.join(others))}"] if others else []
    return f"; {', '.join(said)}" if said else ""


def _print_intake(intake: dict[str, Any], out: Path, console: "Console") -> None:
    from nika_pipelines.reports.numerals import plural

    if intake["status"] != "accepted":
        code = intake["error_code"]
        console.print(f"[yellow]{plain(code)}[/]: {plain(intake['message'])}", soft_wrap=True)
        console.print(plain(intake["advice"]), soft_wrap=True)
        return
    footer = f" ({intake['footer_rows']:,} of them footer)" if intake["footer_rows"] else ""
    rows, columns = plural(intake["n_rows"], "row"), plural(intake["n_columns"], "column")
    console.print(f"{rows}{footer}, {columns}{_how_read(intake)}")
    for column in intake["columns"]:
        console.print(
            f"  {plain(column['name'])}: {plain(column['type'])}, {plain(column['semantic_type'])}",
            soft_wrap=True,
        )
    for warning in intake["warnings"]:
        console.print(
            f"[yellow]{plain(warning['code'])}[/]: {plain(warning['message'])}", soft_wrap=True
        )
    if rejects := intake["rejects_total"]:
        verb = "was" if rejects == 1 else "were"
        console.print(f"[yellow]{plural(rejects, 'row')} {verb} rejected.[/]")
    console.print(f"Written to {plain(out)}", soft_wrap=True)
