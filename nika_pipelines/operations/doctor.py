"""The doctor: is everything in order, and above all, is every file that was ever taken still there?

Each check looks at one thing and says what to do when it is not well. Nothing is repaired, and
the ledger's content is handed in.
"""

import contextlib
import http.client
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from nika_pipelines.intake.names import display_name
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.operations.balance import LedgerReading, misplaced, strangers
from nika_pipelines.operations.service import Service, running_service
from nika_pipelines.operations.supervisor import answers
from nika_pipelines.settings import Settings

Status = Literal["ok", "warn", "fail"]
_RANK: dict[Status, int] = {"ok": 0, "warn": 1, "fail": 2}

_MB = 1_000_000
_LOW_SPACE_BYTES = 2_000 * _MB
_NO_SPACE_BYTES = 200 * _MB
_NAMED = 5
_STALE = timedelta(hours=1)
_DAEMON_QUERY = "{instance{daemonHealth{allDaemonStatuses{daemonType required healthy}}}}"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: how it is, and what to do about it."""

    name: str
    status: Status
    message: str
    advice: str | None = None


def worst(checks: Iterable[Check]) -> Status:
    """The worst status of the checks."""
    return max((check.status for check in checks), key=_RANK.__getitem__, default="ok")


def check_machine(settings: Settings) -> list[Check]:
    """Checks that need no ledger: versions, folders, disk, and the processes of `nika up`."""
    return [
        check_versions(),
        check_writable(settings.data),
        check_space(settings.data),
        check_contracts(settings.data),
        *check_service(settings),
    ]


def check_uploads(settings: Settings, reading: LedgerReading) -> list[Check]:
    """Checks of what the ledger says against what the disk holds."""
    return [
        check_balance(settings.data, reading),
        check_orphans(settings.data, reading),
        check_progress(settings, reading.uploads),
        check_failures(reading.uploads),
        check_notices(reading.notices),
    ]


def check_versions() -> Check:
    """Whether every required package is installed in a version that was tested."""
    from importlib import metadata

    from packaging.requirements import Requirement

    try:
        required = [Requirement(text) for text in metadata.requires("nika-pipelines") or []]
        nika = metadata.version("nika-pipelines")
    except metadata.PackageNotFoundError:
        return Check("versions", "warn", "the project is not installed", "Run `make setup`.")
    wrong = []
    for requirement in required:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found} (needed: {requirement.specifier})")
    if wrong:
        return Check("versions", "fail", "; ".join(wrong), "Run `make setup` again.")
    python = ".".join(map(str, sys.version_info[:3]))
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in ("dagster", "duckdb"))
    return Check("versions", "ok", f"nika-pipelines {nika}, Python {python}, {shown}")


def check_writable(data: Path) -> Check:
    """Whether files can be made in the data folder and the folders directly below it."""
    advice = "Mend the permissions, or choose another folder with NIKA_DATA."
    try:
        data.mkdir(parents=True, exist_ok=True)
        for folder in [data, *sorted(path for path in data.iterdir() if path.is_dir())]:
            if folder.name in {"samples", "inbox"}:
                continue  # part of the checkout, and whatever is dropped into: may be read-only
            with tempfile.TemporaryFile(dir=folder, prefix=".nika-"):
                pass
    except OSError as error:
        where = error.filename or data
        return Check("data folder", "fail", f"{where}: {error.strerror}", advice)
    return Check("data folder", "ok", f"{data} can be written")


def check_space(data: Path) -> Check:
    """How much room is left on the disk of the data folder."""
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    usage = shutil.disk_usage(existing)
    message = f"{usage.free / 1e9:.1f} GB of {usage.total / 1e9:.1f} GB are free"
    advice = "Make room, or move the data folder (NIKA_DATA)."
    if usage.free < _NO_SPACE_BYTES:
        return Check("disk space", "fail", message, advice)
    if usage.free < _LOW_SPACE_BYTES:
        return Check("disk space", "warn", message, advice)
    return Check("disk space", "ok", message)


def check_contracts(data: Path) -> Check:
    """Whether the contracts that people edit can be used; else all files of a dataset are refused."""
    from nika_pipelines.intake.contract_file import ContractError, load_contract

    folder = data / "contracts"
    known = [
        path
        for path in sorted(folder.rglob("*.yaml"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    broken = []
    for path in known:
        try:
            load_contract(path)
        except (ContractError, OSError) as error:
            dataset = path.relative_to(folder).with_suffix("").as_posix()
            broken.append(display_name(f"{dataset}: {error}"))
    if broken:
        advice = "Mend the file, or delete it: the next file of its dataset writes it anew."
        return Check("contracts", "fail", _name_some(broken), advice)
    return Check("contracts", "ok", f"{len(known)} contracts, all usable")


def check_ledger_file(path: Path) -> Check:
    """Whether the ledger's file is a sound database."""
    try:
        uri = f"file:{quote(str(path))}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            uploads = connection.execute("SELECT count(*) FROM uploads").fetchone()[0]
    except sqlite3.Error as error:
        return _broken_ledger(str(error))
    return Check("ledger", "ok", f"{uploads} uploads") if found == "ok" else _broken_ledger(found)


def check_balance(data: Path, reading: LedgerReading) -> Check:
    """Whether the bytes of every upload ever taken are in exactly the place its state says."""
    problems = misplaced(data, reading)
    if problems:
        advice = "Compare with a backup; `nika show ID` says what is known of an upload."
        return Check("balance", "fail", _name_some(problems), advice)
    taken = sum(upload.state != UploadState.WAITING for upload in reading.uploads)
    return Check("balance", "ok", f"{taken} uploads, each in exactly one place")


def check_orphans(data: Path, reading: LedgerReading) -> Check:
    """Whether something is stored that the ledger knows nothing about."""
    found = strangers(data, reading)
    if not found:
        return Check("orphans", "ok", "nothing is stored that the ledger does not know")
    message = _name_some([display_name(str(path.relative_to(data))) for path in found])
    advice = "Drop such a file again if it is wanted, then delete what is left."
    # Bytes that were taken and are in no ledger are lost to the user; results can be made anew.
    lost = any(path.parent.name == "claimed" for path in found)
    return Check("orphans", "fail" if lost else "warn", f"unknown: {message}", advice)


def check_progress(settings: Settings, uploads: Sequence[Upload]) -> Check:
    """Whether uploads that are not finished are being worked on."""
    open_uploads = [upload for upload in uploads if not upload.is_final]
    if not open_uploads:
        return Check("progress", "ok", "no upload is unfinished")
    message = f"{len(open_uploads)} uploads are unfinished"
    if running_service(settings) is None:
        return Check("progress", "warn", message, "Start `nika up`, which takes them on.")
    limit = datetime.now(UTC) - _STALE
    stale = [u for u in open_uploads if datetime.fromisoformat(u.updated_at) < limit]
    if stale:
        names = _name_some([upload.upload_id for upload in stale])
        return Check(
            "progress",
            "warn",
            f"nothing happened for an hour: {names}",
            "Look at the runs in the web UI.",
        )
    return Check("progress", "ok", f"{message} and in work")


def check_failures(uploads: Sequence[Upload]) -> Check:
    """Whether uploads failed through no fault of their file."""
    failed = [upload.upload_id for upload in uploads if upload.state == UploadState.FAILED]
    if failed:
        return Check(
            "failures", "warn", f"failed: {_name_some(failed)}", "`nika retry ID` takes one again."
        )
    return Check("failures", "ok", "no upload failed")


def check_notices(notices: Sequence[tuple[str, str]]) -> Check:
    """Whether things lie in the inbox that cannot be taken."""
    if not notices:
        return Check("notices", "ok", "nothing in the inbox is left lying")
    texts = [f"{display_name(path)}: {message}" for path, message in notices]
    return Check("notices", "warn", _name_some(texts), "Move or mend what is named.")


def check_service(settings: Settings) -> list[Check]:
    """Whether `nika up` runs on this data folder and its servers and daemon are alive."""
    service = running_service(settings)
    if service is None:
        return [Check("service", "ok", "`nika up` is not running on this data folder")]
    return [
        Check("service", "ok", f"`nika up` runs as process {service.pid}"),
        _check_server("web UI", service.web_url, "/server_info"),
        _check_server("report server", service.reports_url, "/healthz"),
        _check_daemon(service),
    ]


def _check_server(name: str, url: str, path: str) -> Check:
    if answers(url + path, seconds=5):
        return Check(name, "ok", f"{url} answers")
    return Check(name, "fail", f"{url} does not answer", "Look into its log in data/logs.")


def _check_daemon(service: Service) -> Check:
    advice = "Look into data/logs/daemon.log; a daemon that just started needs half a minute."
    try:
        statuses = _daemon_statuses(service.web_url)
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return Check("daemon", "warn", "the web UI cannot be asked for its heartbeat", advice)
    silent = [s["daemonType"] for s in statuses if s["required"] and not s["healthy"]]
    if silent:
        return Check("daemon", "warn", f"no heartbeat of {', '.join(sorted(silent))}", advice)
    return Check("daemon", "ok", "its heartbeat is recent")


def _daemon_statuses(url: str) -> list[dict[str, Any]]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        body = json.dumps({"query": _DAEMON_QUERY})
        connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    statuses: list[dict[str, Any]] = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    return statuses


def _name_some(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED
    return "; ".join(texts[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _broken_ledger(message: str) -> Check:
    return Check("ledger", "fail", message, "Stop `nika up` and put back a copy of ledger.sqlite.")
