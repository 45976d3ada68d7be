"""Files that are taken where they lie, because the inbox cannot be changed or is elsewhere.

The ledger remembers what such a file looked like, the run copies it (`Originals.read_in`), and
once the archive holds the bytes the original goes, where it can (`Originals.release`). Where it
cannot, it is not taken again until it changes.
"""

import errno
import os
import stat
from pathlib import Path

from nika_pipelines.intake import names
from nika_pipelines.intake.listing import file_fingerprint
from nika_pipelines.intake.states import Upload
from resources.archive import Archive, BytesMissingError, Fingerprint
from resources.files import rename_new
from resources.ledger import Ledger

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class SourceGoneError(RuntimeError):
    """A file that was taken where it lies went away before it was copied."""


class Originals:
    """The files of uploads that were not moved into our folders."""

    def __init__(self, archive: Archive, ledger: Ledger) -> None:
        """Copy into this archive's folders, and note it in this ledger."""
        self._archive = archive
        self._ledger = ledger

    def read_in(self, upload: Upload) -> Fingerprint:
        """Hash the bytes of an upload; those of a file that lies elsewhere are copied meanwhile.

        Raises:
            StillBeingWrittenError: the file changed while it was read.
            SourceGoneError: the file was taken away before it was copied.
            BytesMissingError: there are no bytes.
            OSError: the file cannot be read, or there is no room for it.
        """
        if upload.source_fingerprint is None or self._archive.holds(upload):
            return self._archive.fingerprint(upload)
        return self._fetch(upload, even_if_torn=False)

    def keep_bytes(self, upload: Upload) -> None:
        """Make sure that our folders hold the bytes of an upload, be it a torn copy of a file.

        Raises:
            SourceGoneError: the file was taken away.
            OSError: the file cannot be read, or there is no room for it.
        """
        if upload.source_fingerprint is not None and not self._archive.holds(upload):
            self._fetch(upload, even_if_torn=True)

    def still_lies(self, upload: Upload) -> bool:
        """Whether the bytes of an upload are still to be copied from where its file lies."""
        if upload.source_fingerprint is None:
            return False
        try:
            return stat.S_ISREG(source_of(upload).lstat().st_mode)
        except OSError:
            return False

    def release(self, upload: Upload) -> None:
        """Remove the original of an upload whose copy is archived, if it can be removed.

        It is moved aside before it is compared, so that a file that takes its place just then is
        not removed in its stead. Safe to repeat.
        """
        if upload.source_fingerprint is None:
            return
        source = source_of(upload)
        aside = source.with_name(f".nika-{upload.upload_id}.part")
        try:
            if not os.path.lexists(aside):
                if file_fingerprint(source.lstat()) != upload.source_fingerprint:
                    return  # another content lies there now: the next look takes it
                rename_new(source, aside)
            # Renaming changed the change time and nothing else.
            if _without_ctime(file_fingerprint(aside.lstat())) == _without_ctime(
                upload.source_fingerprint
            ):
                aside.unlink()
            else:
                rename_new(aside, source)
                return
        except OSError as error:
            if error.errno not in _GONE:
                return  # it stays where it is, and is known
        self._ledger.advance(upload.upload_id, upload.state, source_fingerprint=None)

    def _fetch(self, upload: Upload, *, even_if_torn: bool) -> Fingerprint:
        source = source_of(upload)
        gone = SourceGoneError(f"{source.name} was taken away before it was copied")
        try:
            read, mark = self._archive.fetch(upload, source, even_if_torn=even_if_torn)
        except BytesMissingError:
            raise gone from None
        except OSError as error:
            if error.errno in _GONE:
                raise gone from error
            raise
        self._ledger.advance(upload.upload_id, upload.state, source_fingerprint=mark)
        return read


def source_of(upload: Upload) -> Path:
    """Where the file of an upload was found."""
    return Path(names.path_from_text(upload.source_path or ""))


def _without_ctime(fingerprint: str) -> str:
    return fingerprint.rpartition(":")[0]
