"""What lies in one feed's drop folder: candidates and notices, without following any link.

Only looks; whether a candidate is taken is decided by the planner. A folder that cannot be
listed raises, because a failed listing is not an empty one.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from nika_pipelines.intake import names
from nika_pipelines.settings import Settings


@dataclass(frozen=True)
class Entry:
    """A regular file in the inbox. `path` may hold surrogate escapes for bytes outside UTF-8."""

    path: str
    name: str
    tag: str | None
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    @property
    def fingerprint(self) -> str:
        """Changes whenever anybody writes to, replaces or renames the file."""
        return f"{self.inode}:{self.size_bytes}:{self.mtime_ns}:{self.ctime_ns}"


@dataclass(frozen=True)
class Notice:
    """Something in the inbox that is not taken and that somebody should know about."""

    path: str
    code: str
    message: str


@dataclass
class Listing:
    """Candidates in order of name, and what else was found."""

    entries: list[Entry] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def list_feed(folder: Path, now: datetime, settings: Settings) -> Listing:
    """List one feed's folder and its tag folders, one level deep.

    Args:
        folder: ``inbox/<feed>``.
        now: present time with a zone, to judge how old unfinished copies are.
        settings: thresholds.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    listing = Listing()
    for found in _scan(os.fspath(folder)):
        is_folder = _is_folder(found, listing)
        if is_folder is False:
            _look_at(found, None, listing, now, settings)
        elif is_folder and not found.name.startswith("."):
            _look_into(found, listing, now, settings)
    listing.entries.sort(key=lambda entry: entry.path)
    return listing


def _look_into(
    folder: "os.DirEntry[str]", listing: Listing, now: datetime, settings: Settings
) -> None:
    tag = names.display_name(folder.name)
    try:
        children = _scan(folder.path)
    except OSError as error:
        listing.notices.append(
            Notice(folder.path, "FOLDER_UNREADABLE", f"cannot be listed: {error.strerror}")
        )
        return
    for child in children:
        is_folder = _is_folder(child, listing)
        if is_folder:
            message = "folders below a tag folder are not read; move the files one level up"
            listing.notices.append(Notice(child.path, "TOO_DEEP", message))
        elif is_folder is False:
            _look_at(child, tag, listing, now, settings)


def _is_folder(found: "os.DirEntry[str]", listing: Listing) -> bool | None:
    """Whether an entry is a folder; None, with a notice, when the system does not tell."""
    try:
        return found.is_dir(follow_symlinks=False)
    except OSError as error:
        listing.notices.append(_unreadable(found, error))
        return None


def _unreadable(found: "os.DirEntry[str]", error: OSError) -> Notice:
    return Notice(found.path, "NOT_READABLE", f"cannot be looked at: {error.strerror}")


def _look_at(
    found: "os.DirEntry[str]",
    tag: str | None,
    listing: Listing,
    now: datetime,
    settings: Settings,
) -> None:
    try:
        status = found.stat(follow_symlinks=False)
    except FileNotFoundError:
        return  # taken away since the folder was read: nothing is left to say about it
    except OSError as error:
        listing.notices.append(_unreadable(found, error))
        return
    if names.is_ignored(found.name):
        if names.is_partial(found.name) and _age(status, now) > timedelta(
            hours=settings.stale_partial_hours
        ):
            message = "an unfinished copy that nobody has touched for long; finish or delete it"
            listing.notices.append(Notice(found.path, "STALE_PARTIAL", message))
        return
    if names.is_companion(found.name):
        return
    reason = _reason_against(found.path, status)
    if reason is not None:
        listing.notices.append(Notice(found.path, *reason))
        return
    listing.entries.append(
        Entry(
            path=found.path,
            name=found.name,
            tag=tag,
            inode=status.st_ino,
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
        )
    )


def _reason_against(path: str, status: os.stat_result) -> tuple[str, str] | None:
    """Why a file is not taken, as (code, message); None for a candidate."""
    if stat.S_ISLNK(status.st_mode):
        return "LINK", "symbolic links are never followed; drop the file itself"
    if not stat.S_ISREG(status.st_mode):
        return "NOT_A_FILE", "only regular files are taken, this is a pipe, socket or device"
    if status.st_nlink > 1:
        return "HARD_LINK", "the file has several names (hard links); drop a copy of it"
    if not os.access(path, os.R_OK):
        return "NOT_READABLE", "no permission to read the file"
    return None


def _age(status: os.stat_result, now: datetime) -> timedelta:
    return now - datetime.fromtimestamp(status.st_mtime, tz=now.tzinfo)


def _scan(folder: str) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return iter(sorted(entries, key=lambda entry: entry.name))
