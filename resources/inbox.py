"""The drop folder: looking at it, taking files from it, and putting files into it.

A file is taken in three steps that survive a crash between any two: the intent is written to the
ledger (state ``waiting``), the file is renamed into ``claimed/<upload_id>/``, the state becomes
``received``. `Inbox.finish_claims` completes whatever was begun.

A file that cannot be renamed, because the folder is read-only or on another file system, is taken
where it lies: the ledger remembers what it looked like, and the run copies it (`originals`).
"""

import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nika_pipelines.intake import names
from nika_pipelines.intake.listing import (
    LONELY_COMPANION,
    Entry,
    Listing,
    Notice,
    file_fingerprint,
    list_feed,
)
from nika_pipelines.intake.planner import plan_claims
from nika_pipelines.intake.states import FINAL_STATES, Upload, UploadState
from nika_pipelines.settings import Settings
from resources.archive import Archive, BytesMissingError, StillBeingWrittenError, read_once
from resources.clock import later, utc_now
from resources.companions import companions_beside, place, placements
from resources.files import rename_new
from resources.ledger import Ledger, UploadIdTakenError
from resources.originals import source_of

_ARRIVAL_SECONDS = 60.0
_COPY_TRIES = 1_000
_MOST_PER_LOOK = 1_000
_ID_TRIES = 20
_COMPANION_ENDING = re.compile(
    f"(?:{'|'.join(map(re.escape, names.COMPANION_SUFFIXES))})$", re.IGNORECASE
)
_CANNOT_MOVE = frozenset({errno.EXDEV, errno.EROFS, errno.EACCES, errno.EPERM})


@dataclass
class Look:
    """What one look at a feed did: uploads taken, files still settling, and new notices."""

    taken: list[Upload] = field(default_factory=list)
    settling: int = 0
    notices: list[Notice] = field(default_factory=list)


class Inbox:
    """The folders ``inbox/<feed>`` below the data folder."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        """Work on this data folder with this ledger."""
        self._settings = settings
        self._ledger = ledger
        self._archive = Archive(settings.data)

    def folder(self, feed: str) -> Path:
        """The drop folder of a feed, made when it is not there."""
        folder = self._settings.data / "inbox" / feed
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def look(self, feed: str) -> Look:
        """Take every stable file; one that cannot be taken becomes a notice and is tried again.

        Raises:
            OSError: the folder itself cannot be listed.
        """
        now = datetime.now(UTC)
        cannot_move: list[Notice] = []
        look = Look(taken=self.finish_claims(feed, cannot_move))
        listing = list_feed(self.folder(feed), now, self._settings)
        listing.notices = [*self._worth_telling(listing.notices), *cannot_move]
        self._take_stable(feed, listing, look, now)
        look.notices = self._ledger.inbox.replace_notices(feed, listing.notices)
        return look

    def finish_claims(self, feed: str, notices: list[Notice]) -> list[Upload]:
        """Complete claims that were begun: files put in by `drop`, and those cut off by a crash.

        Files that cannot be moved are added to ``notices`` and stay for the next look.
        """
        taken = []
        for upload in self._ledger.uploads(feed=feed, states=[UploadState.WAITING]):
            try:
                claimed = self._finish_claim(upload)
            except OSError as error:
                notices.append(_refusal(upload.source_path or upload.original_name, error))
                continue
            if claimed is not None:
                taken.append(claimed)
            elif _age_seconds(upload) > _ARRIVAL_SECONDS:
                # Not at once: whoever drops a file registers it just before it appears.
                self._ledger.forget(upload.upload_id)
        return taken

    def drop(self, path: Path, feed: str, tag: str | None = None) -> Upload:
        """Copy a file and its companions into the inbox; it is taken at the next look.

        It gets another name than its own when something of that name lies there already.

        Raises:
            OSError: the file cannot be read, somebody is writing to it, or the inbox cannot be
                written.
        """
        folder = self.folder(feed)
        draft = folder / f".nika-drop-{os.getpid()}-{names.safe_stem(path.name)}.part"
        try:
            _copy_whole(path, draft)
            status = draft.stat()
            companions = companions_beside(path)
            with self._exclusive():
                others = self._names_in_use(folder, feed) if companions else []
                for target in _free_names(folder, path.name):
                    contents = placements(companions, target, others)
                    if contents is None:
                        continue
                    place(contents)
                    upload = _new_upload(path.name, feed, tag)
                    source = names.path_to_text(str(target))
                    upload = _with_source(upload, source, status.st_ino, status.st_size)
                    upload = self._register(upload)
                    try:
                        rename_new(draft, target)
                    except FileExistsError:
                        self._ledger.forget(upload.upload_id)
                    except OSError:
                        self._ledger.forget(upload.upload_id)
                        raise
                    else:
                        return upload
        finally:
            draft.unlink(missing_ok=True)
        raise FileExistsError(
            errno.EEXIST, "too many files of this name wait in the inbox", str(path)
        )

    def take_copy(self, path: Path, feed: str, run_id: str, tag: str | None = None) -> Upload:
        """Claim a copy of a file for a run that starts at once; the file stays as it is.

        Raises:
            OSError: the file cannot be read, or somebody is writing to it.
        """
        source = names.path_to_text(str(path.absolute()))
        upload = _with_source(_new_upload(path.name, feed, tag), source, None, path.stat().st_size)
        offered = {
            "run_id": run_id,
            "batch_id": run_id,
            "attempt": 1,
            # Until its run exists, the sensor must not offer it to another one.
            "not_before": later(_ARRIVAL_SECONDS),
        }
        upload = Upload(**vars(upload) | offered)
        draft = self._settings.data / "tmp" / f"{upload.upload_id}.part"
        draft.parent.mkdir(parents=True, exist_ok=True)
        try:
            _copy_whole(path, draft)
            upload = self._register(upload)
            target = self._archive.claimed_path(upload)
            try:
                target.parent.mkdir(parents=True)
                draft.rename(target)
            except OSError:
                self._ledger.forget(upload.upload_id)
                raise
            # Not before: cut off in between, it is nowhere, and forgotten at the next look.
            return self._ledger.advance(upload.upload_id, UploadState.RECEIVED)
        finally:
            draft.unlink(missing_ok=True)

    def give_back(self, upload: Upload) -> None:
        """Undo `take_copy`: nothing was lost, the file is still where it was."""
        shutil.rmtree(self._archive.claimed_path(upload).parent, ignore_errors=True)
        self._ledger.forget(upload.upload_id)

    def _register(self, upload: Upload) -> Upload:
        """Write down the intent; two files of one name in one second may draw the same id."""
        for _try in range(_ID_TRIES):
            try:
                self._ledger.register(upload)
            except UploadIdTakenError:
                fresh = names.new_upload_id(upload.original_name, datetime.now(UTC))
                upload = Upload(**vars(upload) | {"upload_id": fresh})
            else:
                return upload
        raise UploadIdTakenError(upload.upload_id)

    def _take_stable(self, feed: str, listing: Listing, look: Look, now: datetime) -> None:
        registered = {
            upload.source_path
            for upload in self._ledger.uploads(feed=feed, states=[UploadState.WAITING])
        }
        in_place = self._ledger.taken_in_place(feed)
        # Whatever it looks like now, an unfinished upload copies the file that lies there.
        registered |= {path for path, _mark, is_finished in in_place if not is_finished}
        known = {(path, mark) for path, mark, _is_finished in in_place}
        free = [
            entry
            for entry in listing.entries
            if (path := names.path_to_text(entry.path)) not in registered
            and (path, entry.own_fingerprint) not in known
        ]
        plan = plan_claims(free, self._ledger.inbox.settling(feed), now, self._settings)
        # The rest is taken at the next looks: a look that takes too long is cut off by Dagster.
        for entry in plan.take[:_MOST_PER_LOOK]:
            try:
                upload = self._claim(entry, feed)
            except OSError as error:
                listing.notices.append(_refusal(entry.path, error))
                continue
            if upload is not None:
                look.taken.append(upload)
        self._ledger.inbox.replace_settling(feed, plan.settling)
        look.settling = len(plan.settling)
        listing.notices.extend(_unstable(plan.settling_longer_than(self._settings, now)))

    def _claim(self, entry: Entry, feed: str) -> Upload | None:
        upload = _with_source(
            _new_upload(entry.name, feed, entry.tag),
            names.path_to_text(entry.path),
            entry.inode,
            entry.size_bytes,
        )
        upload = self._register(upload)
        claimed: Upload | None = None
        try:
            claimed = self._finish_claim(upload)
        finally:
            if claimed is None and not self._archive.claimed_path(upload).exists():
                self._ledger.forget(upload.upload_id)
        return claimed

    def _finish_claim(self, upload: Upload) -> Upload | None:
        """Move the file of a waiting upload; None when it is not there (any more).

        Raises:
            OSError: it is there and cannot be moved.
        """
        target = self._archive.claimed_path(upload)
        if not target.exists():
            source = source_of(upload)
            if not _is_same_file(source, upload.source_inode):
                return None
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                source.rename(target)
            except OSError as error:
                target.parent.rmdir()
                if error.errno == errno.ENOENT:
                    return None
                if error.errno in _CANNOT_MOVE:
                    return self._take_in_place(upload, source)
                raise
        return self._ledger.advance(upload.upload_id, UploadState.RECEIVED)

    def _take_in_place(self, upload: Upload, source: Path) -> Upload | None:
        """Take a file that cannot be moved: remember it, and leave copying it to the run."""
        status = source.lstat()
        if not stat.S_ISREG(status.st_mode):
            return None
        return self._ledger.advance(
            upload.upload_id,
            UploadState.RECEIVED,
            source_fingerprint=file_fingerprint(status),
            size_bytes=status.st_size,
        )

    def _names_in_use(self, folder: Path, feed: str) -> list[str]:
        """Names of files that lie in a folder, or came from it and were not read yet."""
        unread = self._ledger.uploads(feed=feed, states=frozenset(UploadState) - FINAL_STATES)
        sources = [source_of(upload) for upload in unread if upload.source_path is not None]
        lying = [one.name for one in folder.iterdir()]
        return lying + [one.name for one in sources if one.parent == folder]

    def _worth_telling(self, notices: Sequence[Notice]) -> list[Notice]:
        """The notices but those about companions whose file was taken: they wait for the next."""
        described = {
            one: names.path_to_text(_COMPANION_ENDING.sub("", one.path))
            for one in notices
            if one.code == LONELY_COMPANION
        }
        standing = self._ledger.came_from(described.values()) if described else set()
        return [one for one in notices if described.get(one) not in standing]

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep two drops of the same name from writing over each other."""
        path = self._settings.data / "locks" / "inbox.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _new_upload(name: str, feed: str, tag: str | None) -> Upload:
    now = utc_now()
    return Upload(
        upload_id=names.new_upload_id(name, datetime.now(UTC)),
        feed=feed,
        original_name=names.readable_name(name),
        stored_name=names.safe_name(name),
        dataset=names.dataset_name(name, tag),
        tag=tag,
        state=UploadState.WAITING,
        received_at=now,
        updated_at=now,
    )


def _with_source(upload: Upload, path: str, inode: int | None, size_bytes: int) -> Upload:
    source = {"source_path": path, "source_inode": inode, "size_bytes": size_bytes}
    return Upload(**vars(upload) | source)


def _free_names(folder: Path, name: str) -> Iterator[Path]:
    """Paths for this name where nothing lies yet; from the second on with a copy number."""
    safe = Path(names.safe_name(name))
    numbered = (f"{safe.stem} ({number}){safe.suffix}" for number in range(2, _COPY_TRIES))
    for one in (name, *numbered):
        if not os.path.lexists(folder / one):
            yield folder / one


def _copy_whole(path: Path, target: Path) -> None:
    """Copy a file that nobody writes to meanwhile; here links are followed: the user named it."""
    try:
        with target.open("wb") as sink:
            read_once(path.resolve(), sink)
    except StillBeingWrittenError:
        raise OSError(errno.EBUSY, "somebody is writing to it", str(path)) from None
    except BytesMissingError:
        raise OSError(errno.EINVAL, "it is no regular file", str(path)) from None


def _age_seconds(upload: Upload) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(upload.received_at)).total_seconds()


def _is_same_file(path: Path, inode: int | None) -> bool:
    try:
        return path.lstat().st_ino == inode
    except OSError:
        return False


def _refusal(path: str, error: OSError) -> Notice:
    message = f"cannot be taken, will be tried again: {error.strerror}"
    return Notice(path, "NOT_MOVABLE", message)


def _unstable(paths: Iterable[str]) -> list[Notice]:
    message = "somebody has kept writing to this file for long; it is taken when it is quiet"
    return [Notice(path, "UNSTABLE", message) for path in paths]
