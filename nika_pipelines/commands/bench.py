"""The command that measures: bench. Each benchmark is a program of the project's `benchmarks`."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from nika_pipelines.commands.console import ExitCode, messages, output, plain

ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""Options belong to the benchmark, ``--help`` as well."""


def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The benchmark; `list` names them all.")] = "list",
) -> None:
    """Run a benchmark of the project: JSON on stdout, progress on stderr; 1 when a bar is missed.

    What follows the name goes to the benchmark; `nika bench NAME --help` tells what it takes.
    """
    programs = _programs()
    if not programs:
        messages().print(
            f"[red]There are no benchmarks in {plain(_folder())}: they are in the project's "
            "checkout, not in what pip installs.[/] Run `nika bench` from a checkout."
        )
        raise typer.Exit(ExitCode.USAGE)
    if name in ("list", "--help", "-h"):
        for program, purpose in programs.items():
            output().print(f"{program:<22} {plain(purpose)}", soft_wrap=True)
        return
    if name not in programs:
        messages().print(
            f"[red]There is no benchmark {plain(name)}.[/] There are {', '.join(programs)}."
        )
        raise typer.Exit(ExitCode.USAGE)
    # A process of its own: what is measured starts with nothing imported.
    done = subprocess.run(
        [sys.executable, str(_folder() / f"{name}.py"), *context.args], check=False
    )
    raise typer.Exit(done.returncode)


def _folder() -> Path:
    from nika_pipelines.settings import PROJECT_ROOT

    return PROJECT_ROOT / "benchmarks"


def _programs() -> dict[str, str]:
    """Name and purpose of every file that is a program; the others are parts of them."""
    found = {}
    for path in sorted(_folder().glob("*.py")):
        text = path.read_text("utf-8")
        if 'if __name__ == "__main__":' in text:
            found[path.stem] = text.split('"""')[1].split("\n\n")[0].replace("\n", " ").strip()
    return found
