"""What lies in one feed's drop folder: candidates and notices, without following any link.

Only looks; whether a candidate is taken is decided by the planner. A folder that cannot be
listed raises, because a failed listing is not an empty one.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from nika_pipelines.intake import names
from nika_pipelines.settings import Settings

LONELY_COMPANION = "COMPANION_ALONE"
"""Code of the notice about a companion beside which its file does not lie."""


@dataclass(frozen=True)
class Entry:
    """A regular file in the inbox. `path` may hold surrogate escapes for bytes outside UTF-8.

    Attributes:
        companions: fingerprints of the files that describe this one, by name.
        changed_ns: when the file or one of its companions last changed, by its change time.
    """

    path: str
    name: str
    tag: str | None
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    companions: tuple[tuple[str, str], ...] = ()
    changed_ns: int = 0

    @property
    def own_fingerprint(self) -> str:
        """Changes whenever anybody writes to, replaces or renames the file."""
        return f"{self.inode}:{self.size_bytes}:{self.mtime_ns}:{self.ctime_ns}"

    @property
    def fingerprint(self) -> str:
        """Changes also when a companion does."""
        return "|".join([self.own_fingerprint, *(mark for _name, mark in self.companions)])


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


def file_fingerprint(status: os.stat_result) -> str:
    """What `Entry.own_fingerprint` is, of a file that is looked at alone."""
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


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
    files = _Files(None, listing, now, settings)
    for found in _scan(os.fspath(folder)):
        is_folder = _is_folder(found, listing)
        if is_folder is False:
            files.add(found)
        elif is_folder and not found.name.startswith("."):
            _look_into(found, listing, now, settings)
    files.close()
    listing.entries.sort(key=lambda entry: entry.path)
    return listing


class _Files:
    """The files of one folder; companions are told from the files they belong to at the end."""

    def __init__(
        self, tag: str | None, listing: Listing, now: datetime, settings: Settings
    ) -> None:
        self._tag, self._listing = tag, listing
        self._now, self._settings = now, settings
        self._candidates: list[tuple[os.DirEntry[str], os.stat_result]] = []
        self._companions: dict[str, tuple[os.DirEntry[str], os.stat_result]] = {}

    def add(self, found: "os.DirEntry[str]") -> None:
        """Look at one entry that is no folder."""
        try:
            status = found.stat(follow_symlinks=False)
        except FileNotFoundError:
            return  # taken away since the folder was read: nothing is left to say about it
        except OSError as error:
            self._listing.notices.append(_unreadable(found, error))
            return
        if names.is_ignored(found.name):
            if names.is_partial(found.name) and self._is_old(status.st_mtime):
                message = "an unfinished copy that nobody has touched for long; finish or delete it"
                self._notice(found, "STALE_PARTIAL", message)
            return
        reason = _reason_against(found.path, status)
        if reason is not None:
            self._notice(found, *reason)
        if names.is_companion(found.name):
            # Even one that is no file: what belongs to it is refused rather than misread.
            self._companions[found.name] = (found, status)
        elif reason is None:
            self._candidates.append((found, status))

    def close(self) -> None:
        """Make entries of the candidates, and notices of companions that nothing belongs to."""
        entries = []
        for found, status in self._candidates:
            companions = [
                (name, self._companions[name][1])
                for suffix in names.COMPANION_SUFFIXES
                for name in names.companion_names(found.name, suffix)
                if name in self._companions
            ]
            entries.append(_entry(found, self._tag, status, companions))
        self._listing.entries += entries
        wanted = {name for entry in entries for name, _mark in entry.companions}
        for name, (found, status) in self._companions.items():
            if name not in wanted and self._is_old(status.st_ctime):
                message = "it describes no file here; drop its file, or delete it"
                self._notice(found, LONELY_COMPANION, message)

    def _notice(self, found: "os.DirEntry[str]", code: str, message: str) -> None:
        self._listing.notices.append(Notice(found.path, code, message))

    def _is_old(self, changed: float) -> bool:
        age = self._now - datetime.fromtimestamp(changed, tz=self._now.tzinfo)
        return age > timedelta(hours=self._settings.stale_partial_hours)


def _entry(
    found: "os.DirEntry[str]",
    tag: str | None,
    status: os.stat_result,
    companions: Sequence[tuple[str, os.stat_result]],
) -> Entry:
    return Entry(
        path=found.path,
        name=found.name,
        tag=tag,
        inode=status.st_ino,
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        companions=tuple((name, file_fingerprint(one)) for name, one in companions),
        changed_ns=max(status.st_ctime_ns, *(one.st_ctime_ns for _name, one in companions), 0),
    )


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
    files = _Files(tag, listing, now, settings)
    for child in children:
        is_folder = _is_folder(child, listing)
        if is_folder:
            message = "folders below a tag folder are not read; move the files one level up"
            listing.notices.append(Notice(child.path, "TOO_DEEP", message))
        elif is_folder is False:
            files.add(child)
    files.close()


def _is_folder(found: "os.DirEntry[str]", listing: Listing) -> bool | None:
    """Whether an entry is a folder; None, with a notice, when the system does not tell."""
    try:
        return found.is_dir(follow_symlinks=False)
    except OSError as error:
        listing.notices.append(_unreadable(found, error))
        return None


def _unreadable(found: "os.DirEntry[str]", error: OSError) -> Notice:
    return Notice(found.path, "NOT_READABLE", f"cannot be looked at: {error.strerror}")


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


def _scan(folder: str) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return iter(sorted(entries, key=lambda entry: entry.name))
