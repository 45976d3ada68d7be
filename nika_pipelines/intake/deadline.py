"""How long one file may keep a worker busy.

Belongs here: the time limit of the file in work, and stopping DuckDB when it is over. Loops over
the pieces of a file call `check_time`; queries run inside `interruptible`. Does not belong here:
the limit of the child process that reads workbooks (`spreadsheet`).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.engine import discard
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SECONDS_PER_MB = 1.0
"""Time allowed on top of the setting for every MB of the file."""

_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class _Limit:
    seconds: float
    ends: float

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()


_limit: ContextVar[_Limit | None] = ContextVar("nika_time_limit", default=None)


@contextmanager
def time_limit(source: Path, settings: Settings) -> Iterator[None]:
    """Limit the time of what runs inside, by `settings.file_timeout_seconds` and the file's size.

    Raises:
        UploadRejected: TIMEOUT, from `check_time` or `interruptible`.
    """
    seconds = settings.file_timeout_seconds + SECONDS_PER_MB * source.stat().st_size / 1e6
    token = _limit.set(_Limit(seconds, time.monotonic() + seconds))
    try:
        yield
    finally:
        _limit.reset(token)


def check_time() -> None:
    """Refuse the file in work if its time is over.

    Raises:
        UploadRejected: TIMEOUT.
    """
    limit = _limit.get()
    if limit is not None and limit.left <= 0:
        raise UploadRejected(
            "TIMEOUT",
            f"Reading was not done after the {_seconds(limit.seconds)} seconds that a file of "
            "this size is given.",
            {"limit": round(limit.seconds, 3)},
        )


def _seconds(number: float) -> str:
    return f"{number:,.0f}" if number >= 1 else f"{number:g}"


def allow_more_time(size: int) -> None:
    """Let the file in work take longer, because it turned out to hold ``size`` more bytes."""
    limit = _limit.get()
    if limit is not None and size > 0:
        more = SECONDS_PER_MB * size / 1e6
        # The end of `time_limit` puts back what was before it.
        _limit.set(_Limit(limit.seconds + more, limit.ends + more))


@contextmanager
def interruptible(con: "DuckDBPyConnection") -> Iterator[None]:
    """Interrupt the queries of a connection when the time of the file in work is over.

    Raises:
        UploadRejected: TIMEOUT, in place of whatever the interrupted block raised.
    """
    limit = _limit.get()
    if limit is None:
        yield
        return
    check_time()
    done = threading.Event()
    watch = threading.Thread(target=_interrupt, args=(con, limit, done), daemon=True)
    watch.start()
    try:
        yield
    except Exception as error:
        if limit.left <= 0:
            discard()  # The interrupt may have left a setting of the database changed.
            try:
                check_time()
            except UploadRejected as over:
                raise over from error
        raise
    finally:
        done.set()
        watch.join()


def _interrupt(con: "DuckDBPyConnection", limit: _Limit, done: threading.Event) -> None:
    # Again and again, because an interrupt between two queries is lost.
    if not done.wait(max(0.0, limit.left)):
        con.interrupt()
        while not done.wait(_PAUSE_SECONDS):
            con.interrupt()
