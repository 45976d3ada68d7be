"""Readers of text tables, each in a child process of its own that a deadline ends.

Every reader turns a file into cells as text. A reader that hangs or dies costs its one file.
"""

import csv
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PATIENCE_S = 30
_FIELD_LIMIT = 131_072


@dataclass(frozen=True)
class Read:
    """What a reader made of a file; `refused` holds its code or error when it took nothing."""

    header: list[str] = field(default_factory=list)
    records: list[list[str]] = field(default_factory=list)
    refused: str | None = None
    header_rows: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


def read_nika(path: Path) -> Read:
    """What `nika inspect` writes."""
    import json

    from nika_pipelines.intake.take_in import inspect
    from nika_pipelines.settings import Settings

    with tempfile.TemporaryDirectory(prefix="nika-bench-") as name:
        accepted = inspect(path, path.name, Path(name), Settings())
        details = json.loads((Path(name) / "intake.json").read_text("utf-8"))
        if not accepted:
            return Read(refused=details["error_code"], details=details)
        with (Path(name) / "table.csv").open(encoding="utf-8", newline="") as stream:
            csv.field_size_limit(1 << 30)
            rows = list(csv.reader(stream))
    return Read(rows[0], rows[1:], header_rows=details["header_rows"], details=details)


def read_duckdb(path: Path) -> Read:
    """DuckDB's sniffer, all columns as text."""
    import duckdb

    with duckdb.connect() as connection:
        relation = connection.execute(
            "SELECT * FROM read_csv(?, all_varchar = true)", [str(path.absolute())]
        )
        names = [column[0] for column in relation.description or []]
        return Read(names, [[cell or "" for cell in row] for row in relation.fetchall()])


def read_pandas(path: Path) -> Read:
    """`pandas.read_csv`, all columns as text."""
    import pandas as pd

    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    return Read([str(name) for name in frame.columns], frame.fillna("").to_numpy().tolist())


def read_clevercsv(path: Path) -> Read:
    """Clevercsv's detected dialect; the first record is the header."""
    import clevercsv

    clevercsv.field_size_limit(_FIELD_LIMIT)  # it stays at what its last failure left
    rows = clevercsv.read_table(str(path))
    return Read(rows[0], rows[1:]) if rows else Read(refused="no rows")


class BoundedReader:
    """One reader in a child process; the child is replaced when it hangs or dies."""

    def __init__(self, name: str, read: Callable[[Path], Read]) -> None:
        """Name it; the child starts with the first file."""
        self.name, self._read = name, read
        self._child: Any = None
        self._pipe: Connection | None = None

    def __call__(self, path: Path) -> Read:
        """Read one file; a hang or a crash counts as refused."""
        if self._pipe is None:
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send(path)
            if self._pipe.poll(PATIENCE_S):
                found: Read = self._pipe.recv()
                return found
            problem = f"no answer in {PATIENCE_S} s"
        except (EOFError, OSError) as error:
            problem = f"died: {error!r}"
        self.close()
        return Read(refused=problem)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.join()
        self._child = self._pipe = None

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._child = context.Process(target=_serve, args=(theirs, self._read), daemon=True)
        self._child.start()
        theirs.close()


def _serve(pipe: Connection, read: Callable[[Path], Read]) -> None:
    """Answer each path with what became of it, until the other end closes."""
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        try:
            answer = read(path)
        except Exception as error:
            answer = Read(refused=f"{type(error).__name__}: {error}"[:200])
        pipe.send(answer)


READERS = {
    "nika": read_nika,
    "duckdb": read_duckdb,
    "pandas": read_pandas,
    "clevercsv": read_clevercsv,
}
