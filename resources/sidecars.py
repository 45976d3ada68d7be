"""Sidecars: files that say how the file beside them is to be read, and the copies that are kept.

A sidecar lies beside its file and stays there: it also holds for the next file of that name. The
first stage of an upload reads it and keeps a copy, so that the upload can be processed again when
the sidecar is gone. Companions are other people's files: links are not followed.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from nika_pipelines.intake import names
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.reading_options import (
    MAX_SIDECAR_BYTES,
    NOTHING_SAID,
    ReadingOptions,
    parse_sidecar,
)
from nika_pipelines.intake.states import Upload
from resources.files import write_whole

_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ESTALE}


@dataclass(frozen=True)
class Sidecar:
    """A sidecar as it was found: its name, fit to be shown, and its bytes."""

    name: str
    content: bytes

    def options(self) -> ReadingOptions:
        """What it says.

        Raises:
            UploadRejected: CONTRACT_BROKEN; names the key at fault.
        """
        return parse_sidecar(self.content, self.name)


class Sidecars:
    """The copies ``sidecars/<upload_id>.nika.yaml`` below the data folder."""

    def __init__(self, data: Path) -> None:
        """Use this data folder."""
        self._folder = data / "sidecars"

    def path(self, upload_id: str) -> Path:
        """Where the copy of an upload's sidecar is kept."""
        return self._folder / f"{upload_id}{names.SIDECAR_SUFFIX}"

    def take(self, upload: Upload) -> ReadingOptions:
        """What the sidecar beside an upload's source says, and keep a copy of it.

        Without one beside the source, the copy that was kept before counts.

        Raises:
            UploadRejected: CONTRACT_BROKEN, because it cannot be used; nothing is kept of it.
        """
        source = None if upload.source_path is None else names.path_from_text(upload.source_path)
        found = None if source is None else beside(Path(source))
        if found is None:
            return self.kept(upload.upload_id)
        options = found.options()
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.path(upload.upload_id), found.content)
        return options

    def kept(self, upload_id: str) -> ReadingOptions:
        """What the kept copy says; nothing when none is kept."""
        try:
            content = self.path(upload_id).read_bytes()
        except FileNotFoundError:
            return NOTHING_SAID
        return parse_sidecar(content, self.path(upload_id).name)

    def remove(self, upload_id: str) -> None:
        """Delete the kept copy."""
        self.path(upload_id).unlink(missing_ok=True)


def beside(source: Path) -> Sidecar | None:
    """The sidecar beside a file; None when there is none.

    Raises:
        UploadRejected: CONTRACT_BROKEN, because what lies there is no file or cannot be read.
    """
    for name in names.companion_names(source.name):
        try:
            content = _content(source.with_name(name))
        except OSError as error:
            if error.errno in _NOT_THERE:
                continue
            raise _unusable(name, error.strerror or "cannot be read") from error
        if content is None:
            raise _unusable(name, "it is no regular file; links are not followed")
        return Sidecar(names.display_name(name), content)
    return None


def _content(path: Path) -> bytes | None:
    """The first bytes of a regular file, enough to tell that it is too large; None for others."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return None
    # Not blocking: the file may have been replaced by a pipe since we looked.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return file.read(MAX_SIDECAR_BYTES + 1)


def _unusable(name: str, problem: str) -> UploadRejected:
    shown = names.display_name(name)
    return UploadRejected(
        "CONTRACT_BROKEN", f"The sidecar {shown} cannot be used: {problem}.", {"sidecar": shown}
    )
