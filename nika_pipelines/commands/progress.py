"""Progress on stderr: a bar when somebody watches, one line per finished file otherwise."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from nika_pipelines.commands.console import messages, plain
from nika_pipelines.intake.states import FINAL_STATES

if TYPE_CHECKING:
    from rich.console import Console

    from nika_pipelines.processing import ProcessingEvent

_Report = Callable[["ProcessingEvent"], None]


@contextlib.contextmanager
def shown_progress(total: int) -> Iterator[_Report]:
    """Give the block a function that shows what happens to uploads."""
    console = messages()
    if not console.is_terminal:
        yield _lines(console)
        return
    with _bar(console, total) as report:
        yield report


def _lines(console: "Console") -> _Report:
    def report(event: "ProcessingEvent") -> None:
        if event.state in FINAL_STATES:
            state = event.state.value.replace("_", " ")
            console.print(f"{event.done}/{event.total} {plain(event.name)}: {state}")

    return report


@contextlib.contextmanager
def _bar(console: "Console", total: int) -> Iterator[_Report]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=total)

        def report(event: "ProcessingEvent") -> None:
            state = event.state.value.replace("_", " ")
            text = f"{plain(event.name)}: {state}"
            progress.update(task, completed=event.done, total=event.total, description=text)

        yield report
