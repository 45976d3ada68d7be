"""The ledger for commands: opened with readable errors, and a quick way to list it.

`listed_uploads` reads the file with Python's own SQLite module, because importing SQLAlchemy is
half of what `nika list` would cost. Everything else goes through `resources.ledger`.
"""

import contextlib
import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import typer

from nika_pipelines.commands.console import ExitCode, messages, plain
from nika_pipelines.intake.states import Upload, UploadState

if TYPE_CHECKING:
    from pathlib import Path

    from nika_pipelines.settings import Settings
    from resources.ledger import Ledger

_COLUMNS = tuple(field.name for field in dataclasses.fields(Upload))


def ledger_path(settings: "Settings") -> "Path":
    """Where the ledger of the data folder is."""
    return settings.data / "ledger.sqlite"


@contextlib.contextmanager
def opened_ledger(settings: "Settings") -> Iterator["Ledger"]:
    """Open the ledger for the length of a block; one that cannot be opened ends the command."""
    from sqlalchemy.exc import DatabaseError

    from resources.ledger import LedgerVersionError, open_ledger

    try:
        ledger_path(settings).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        messages().print(f"[red]The data folder: {plain(error)}.[/]")
        raise typer.Exit(ExitCode.FAILED) from None
    try:
        with open_ledger(ledger_path(settings)) as ledger:
            yield ledger
    except (LedgerVersionError, DatabaseError, sqlite3.Error) as error:
        text = getattr(error, "orig", None) or error
        messages().print(f"[red]The ledger: {plain(text)}.[/] `nika doctor` looks closer.")
        raise typer.Exit(ExitCode.FAILED) from None


def listed_uploads(
    settings: "Settings", feed: str | None, state: UploadState | None
) -> list[Upload]:
    """Uploads in order of arrival, newest last; empty when there is no ledger yet."""
    path = ledger_path(settings)
    if not path.exists():
        return []
    query = (
        f"SELECT {', '.join(_COLUMNS)} FROM uploads"
        " WHERE feed = coalesce(?, feed) AND state = coalesce(?, state)"
        " ORDER BY received_at, upload_id"
    )
    try:
        ledger = f"file:{quote(str(path))}?mode=ro"
        with contextlib.closing(sqlite3.connect(ledger, uri=True, timeout=30)) as connection:
            rows = connection.execute(query, (feed, state)).fetchall()
    except sqlite3.Error:
        # Another schema, or damage: the ledger itself knows how to say so.
        with opened_ledger(settings) as ledger_itself:
            return ledger_itself.uploads(feed=feed, states=None if state is None else [state])
    return [_upload(row) for row in rows]


def _upload(row: tuple[object, ...]) -> Upload:
    values = dict(zip(_COLUMNS, row, strict=True))
    summary = values["summary"]
    values["summary"] = json.loads(summary) if isinstance(summary, str) else None
    values["state"] = UploadState(str(values["state"]))
    return Upload(**values)  # type: ignore[arg-type]  # the columns are the fields
