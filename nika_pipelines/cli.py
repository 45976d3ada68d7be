"""The `nika` command: where its commands, in `nika_pipelines.commands`, are put together.

Nothing is imported here that a command may not need: start-up is most of what a short one costs.
"""

from typing import Annotated

import typer

from nika_pipelines.commands import bench, contracts, inspection, looking, removal, running, upkeep

app = typer.Typer(
    name="nika",
    help="Drop a file into a folder; get back a validated table, its statistics and a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"nika {version('nika-pipelines')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    del version


app.command("up")(upkeep.up)
app.command("run")(running.run)
app.command("drop")(running.drop)
app.command("list")(looking.list_uploads)
app.command("show")(looking.show)
app.command("inspect")(inspection.inspect_file)
app.command("retry")(running.retry)
app.command("delete")(removal.delete)
app.command("demo")(running.demo)
app.command("config")(upkeep.config)
app.command("doctor")(upkeep.doctor)
app.command("bench", context_settings=bench.ANY_ARGUMENTS)(bench.bench)
app.add_typer(contracts.app, name="contract")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
