"""What every command shares: where text goes, the one JSON document, exit codes, settings.

Results go to stdout; progress, messages and logs go to stderr.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import typer

from nika_pipelines.intake.names import display_name

if TYPE_CHECKING:
    from rich.console import Console

    from nika_pipelines.settings import Settings

_PIPE_WIDTH = 160


class ExitCode(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    QUARANTINED = 3
    RUNNING = 4


def output() -> "Console":
    """The console for results."""
    from rich.console import Console

    # A pipe has no width: wide enough that a line of a table is a line.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(width=width, highlight=False)


def messages() -> "Console":
    """The console for progress and messages."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: object) -> str:
    """Text from outside for a console: nothing invisible, and no markup."""
    from rich.markup import escape

    return escape(display_name(str(text)))


def settings_in_force() -> "Settings":
    """The settings; a value outside its limits ends the command as wrong usage."""
    from nika_pipelines.settings import load_settings

    try:
        return load_settings()
    except ValueError as error:
        sys.stderr.write("".join(f"{line}\n" for line in settings_problems(error)))
        raise typer.Exit(ExitCode.USAGE) from None


def settings_problems(error: ValueError) -> list[str]:
    """One line for each setting that cannot be used."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return [f"The settings cannot be read: {error}"]
    return [
        f"NIKA_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
        f" (given: {display_name(str(problem['input']))})"
        for problem in error.errors()
    ]


@contextlib.contextmanager
def document(wanted: bool) -> Iterator[Callable[[Any], None]]:
    """Give the block a function that takes the command's JSON document.

    While the block runs, whatever writes to stdout, be it Python, a library in C or a child
    process, writes to stderr instead; the document is printed at the end, also when the block
    raises `typer.Exit`. When no document is wanted, the function does nothing.
    """
    if not wanted:
        yield lambda _document: None
        return
    found: list[Any] = []
    leaving: typer.Exit | None = None
    with _stdout_to_stderr():
        try:
            yield found.append
        except typer.Exit as exit_request:
            leaving = exit_request
    if found:
        sys.stdout.write(json.dumps(found[-1], indent=2, allow_nan=False) + "\n")
        sys.stdout.flush()
    if leaving is not None:
        raise leaving


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        # A test that captures output in memory has no descriptors to move.
        with contextlib.suppress(io.UnsupportedOperation):
            out, err = sys.stdout.fileno(), sys.stderr.fileno()
            sys.stdout.flush()
            kept = os.dup(out)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, out)
            os.dup2(err, out)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield
