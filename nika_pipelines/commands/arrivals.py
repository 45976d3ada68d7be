"""What `nika up` tells on the terminal about files: one line for each that reaches a final state."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nika_pipelines.commands.console import messages, plain
from nika_pipelines.commands.ledgers import ledger_path
from nika_pipelines.commands.outcomes import number, styled_state
from nika_pipelines.intake.states import FINAL_STATES, Upload, UploadState

if TYPE_CHECKING:
    from nika_pipelines.settings import Settings
    from resources.ledger import Ledger

_POLL_SECONDS = 1.0
_OVERLAP = timedelta(seconds=30)
"""Workers may write to the ledger in another order than the times that they write."""
_TOLD = FINAL_STATES - {UploadState.DELETED}
_NAME_SHOWN = 80


@contextlib.contextmanager
def told_arrivals(settings: "Settings") -> Iterator[None]:
    """While the block runs, print a line on stderr for every upload that becomes final."""
    stopped = threading.Event()
    teller = threading.Thread(target=_tell, args=(settings, stopped), daemon=True)
    teller.start()
    try:
        yield
    finally:
        stopped.set()
        teller.join(timeout=2 * _POLL_SECONDS)


def arrival_line(upload: Upload) -> str:
    """What became of a file, in one line of console markup."""
    from nika_pipelines.commands.lookup import shortened

    name = plain(shortened(upload.original_name, _NAME_SHOWN))
    line = f"{name}: {styled_state(upload.state)}"
    summary = upload.summary or {}
    if upload.error_code:
        return f"{line}, {plain(upload.error_code)}; `nika show {plain(upload.upload_id)}`"
    if upload.duplicate_of:
        return f"{line} of {plain(upload.duplicate_of)}"
    told = [
        f"{number(summary[key], '{:,}')} {one if summary[key] == 1 else key}"
        for key, one in (("rows", "row"), ("anomalies", "anomaly"))
        if summary.get(key) is not None
    ]
    return ", ".join([line, *told])


def newly_final(ledger: "Ledger", since: str, told: set[tuple[str, str]]) -> Iterator[Upload]:
    """The uploads that became final since a time and were not told of; they are, from then on."""
    start = datetime.fromisoformat(since) - _OVERLAP
    asked = start.isoformat(timespec="microseconds").replace("+00:00", "Z")
    for upload in ledger.uploads(states=_TOLD, finished_since=asked):
        key = (upload.upload_id, upload.finished_at or "")
        if key not in told:
            told.add(key)
            yield upload


def _tell(settings: "Settings", stopped: threading.Event) -> None:
    """Look into the ledger every second; whatever goes wrong costs lines, never the service."""
    import sqlalchemy

    from resources.clock import utc_now
    from resources.ledger import open_ledger

    started = utc_now()
    told: set[tuple[str, str]] = set()
    console = messages()
    while not stopped.wait(_POLL_SECONDS) and not ledger_path(settings).exists():
        pass
    if stopped.is_set():
        return
    with open_ledger(ledger_path(settings)) as ledger:
        told.update((one.upload_id, one.finished_at or "") for one in _before(ledger, started))
        since = started
        while not stopped.is_set():
            with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
                for upload in newly_final(ledger, since, told):
                    console.print(arrival_line(upload))
                    since = max(since, upload.finished_at or since)
            stopped.wait(_POLL_SECONDS)


def _before(ledger: "Ledger", started: str) -> list[Upload]:
    """What was final already when the service started."""
    final = ledger.uploads(states=_TOLD)
    return [upload for upload in final if (upload.finished_at or "") < started]
