"""Where the bytes of uploads are kept: claimed, archived under their SHA-256, or quarantined.

The bytes of one upload are in exactly one of these places at any moment, because they move by
rename; `Archive.locate` finds them after any crash.
"""

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from nika_pipelines.intake.listing import file_fingerprint
from nika_pipelines.intake.states import Upload
from resources.files import write_json

_CHUNK = 1 << 20


class StillBeingWrittenError(RuntimeError):
    """Somebody wrote to the file while it was read; try again when it is quiet."""


class BytesMissingError(RuntimeError):
    """The bytes of an upload are in none of the places where they may be."""


@dataclass(frozen=True)
class Fingerprint:
    """What is known of bytes once they were read: their SHA-256 and how many they are."""

    sha256: str
    size_bytes: int


class Archive:
    """The folders ``claimed``, ``archive`` and ``quarantine`` below the data folder."""

    def __init__(self, data: Path) -> None:
        """Use this data folder."""
        self._data = data

    def claimed_path(self, upload: Upload) -> Path:
        """Where the bytes are between the claim and the archive."""
        return self._data / "claimed" / upload.upload_id / upload.stored_name

    def archived_path(self, sha256: str) -> Path:
        """Where bytes of this hash are kept."""
        return self._data / "archive" / sha256[:2] / sha256

    def quarantined_path(self, upload: Upload) -> Path:
        """Where the bytes of a refused upload are kept, beside ``reason.json``."""
        return self._data / "quarantine" / upload.upload_id / upload.stored_name

    def reason_path(self, upload: Upload) -> Path:
        """The file that says why an upload was refused."""
        return self._data / "quarantine" / upload.upload_id / "reason.json"

    def locate(self, upload: Upload) -> Path:
        """Find the bytes of an upload.

        Raises:
            BytesMissingError: they are in none of the three places.
        """
        places = [self.claimed_path(upload), self.quarantined_path(upload)]
        if upload.sha256 is not None:
            places.insert(1, self.archived_path(upload.sha256))
        for place in places:
            if place.exists():
                return place
        raise BytesMissingError(f"the bytes of {upload.upload_id} are gone from {self._data}")

    def holds(self, upload: Upload) -> bool:
        """Whether the bytes of an upload are in one of the three places."""
        try:
            self.locate(upload)
        except BytesMissingError:
            return False
        return True

    def fetch(
        self, upload: Upload, source: Path, *, even_if_torn: bool = False
    ) -> tuple[Fingerprint, str]:
        """Copy the bytes from a file that cannot be moved to where claimed ones are; hash them.

        Args:
            upload: whose bytes they are.
            source: the file; links are not followed.
            even_if_torn: whether a copy that changed while it was made is kept all the same.

        Returns:
            What was copied, and the fingerprint of the file that it was copied from.

        Raises:
            StillBeingWrittenError: the file changed while it was read; nothing is kept.
            OSError: the file cannot be read, or there is no room for it; nothing is kept.
        """
        target = self.claimed_path(upload)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.parent / ".copy.part"
        try:
            with draft.open("wb") as sink:
                read, status = read_once(source, sink, even_if_torn=even_if_torn)
                sink.flush()
                os.fsync(sink.fileno())
            draft.replace(target)
            _sync_folder(target.parent)
        finally:
            draft.unlink(missing_ok=True)
            _remove_empty(target.parent)
        return read, file_fingerprint(status)

    def fingerprint(self, upload: Upload) -> Fingerprint:
        """Hash the bytes of an upload in one pass.

        Archived bytes that somebody went on writing to get their new name beside the old one, so
        that they are found whether or not the ledger has learnt the new hash.

        Raises:
            StillBeingWrittenError: the file changed while it was read.
            BytesMissingError: there are no bytes.
        """
        source = self.locate(upload)
        read, _status = read_once(source)
        if upload.sha256 not in (None, read.sha256) and source == self.archived_path(upload.sha256):
            target = self.archived_path(read.sha256)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = target.with_name(f".{target.name}.part")
            shutil.copyfile(source, copy)
            copy.replace(target)
        return read

    def admit(self, upload: Upload) -> Path:
        """Move the bytes into the archive, under the hash that the ledger has; safe to repeat.

        The ledger has to know the hash first, or a crash after the move would lose sight of them.

        Raises:
            ValueError: the upload has no hash yet.
            BytesMissingError: there are no bytes.
        """
        if upload.sha256 is None:
            raise ValueError(f"{upload.upload_id} has no SHA-256 yet")
        target = self.archived_path(upload.sha256)
        with self._exclusive():
            source = self.locate(upload)
            if source != target:
                target.parent.mkdir(parents=True, exist_ok=True)
                source.replace(target)
                shutil.rmtree(source.parent)
        return target

    def quarantine(
        self, upload: Upload, reason: dict[str, Any], is_shared: Callable[[], bool]
    ) -> Path:
        """Put the bytes and the reason into quarantine; safe to repeat.

        Args:
            upload: the refused upload.
            reason: content of ``reason.json``.
            is_shared: tells whether other uploads rely on the same archived bytes, which are then
                copied; asked while nobody else can admit or quarantine.

        Returns:
            The folder in quarantine.
        """
        target = self.quarantined_path(upload)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._exclusive():
            source = self.locate(upload)
            if source != target:
                if is_shared():
                    copy = target.with_name(f".{target.name[:100]}.part")
                    shutil.copyfile(source, copy)
                    copy.replace(target)
                else:
                    source.replace(target)
                _remove_empty(self.claimed_path(upload).parent)
        write_json(self.reason_path(upload), reason)
        return target.parent

    def reclaim(self, upload: Upload) -> Path:
        """Take an upload out of quarantine for another try.

        Archived bytes stay where they are: the first stage finds them there.
        """
        with self._exclusive():
            source = self.locate(upload)
            if source == self.quarantined_path(upload):
                target = self.claimed_path(upload)
                target.parent.mkdir(parents=True, exist_ok=True)
                source = source.replace(target)
            shutil.rmtree(self.quarantined_path(upload).parent, ignore_errors=True)
        return source

    def erase(self, upload: Upload, is_shared: Callable[[], bool]) -> bool:
        """Delete the bytes of an upload wherever they are; safe to repeat.

        Args:
            upload: the upload.
            is_shared: tells whether other uploads rely on the same archived bytes, which then stay;
                asked while nobody else can admit or quarantine.

        Returns:
            Whether archived bytes stay for others.
        """
        with self._exclusive():
            for path in (self.claimed_path(upload), self.quarantined_path(upload)):
                if path.parent.exists():
                    shutil.rmtree(path.parent)
            if upload.sha256 is None:
                return False
            shared = is_shared()
            if not shared:
                self.archived_path(upload.sha256).unlink(missing_ok=True)
                _remove_empty(self.archived_path(upload.sha256).parent)
            return shared

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Let one process at a time move bytes, because uploads may share them."""
        path = self._data / "locks" / "archive.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def read_once(
    path: Path, sink: BinaryIO | None = None, *, even_if_torn: bool = False
) -> tuple[Fingerprint, os.stat_result]:
    """Read a file from beginning to end, hash it and copy it, refusing links.

    Args:
        path: the file.
        sink: where to write what was read.
        even_if_torn: whether it may change meanwhile.

    Returns:
        What was read, and what the system said of the file at the end.

    Raises:
        StillBeingWrittenError: the file changed while it was read.
        BytesMissingError: it is no regular file.
        OSError: it cannot be read, or the sink cannot be written.
    """
    # Not blocking: a pipe in place of the file must not stop the worker.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise BytesMissingError(f"{path.name} is not a regular file")
        digest, size = hashlib.sha256(), 0
        # Not further than it went when it was opened: it may grow as fast as it is read.
        while size <= before.st_size and (chunk := file.read(_CHUNK)):
            digest.update(chunk)
            size += len(chunk)
            if sink is not None:
                sink.write(chunk)
        after = os.fstat(descriptor)
    is_whole = (before.st_size, before.st_mtime_ns, size) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_size,
    )
    if not is_whole and not even_if_torn:
        raise StillBeingWrittenError(path.name)
    return Fingerprint(digest.hexdigest(), size), after


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
