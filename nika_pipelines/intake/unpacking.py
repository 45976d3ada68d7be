"""Packed files: gzip and zstd streams are written out under limits before anything reads them.

Belongs here: the bounds of unpacking and what damage means. Does not belong here: which packed
files are taken (gate), or archives of several files, which are not.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.deadline import allow_more_time, check_time
from nika_pipelines.intake.gate import SUPPORTED
from nika_pipelines.intake.remedies import COPY_AGAIN
from nika_pipelines.settings import Settings

_CHUNK_BYTES = 1_048_576
_HARMLESS_BYTES = 10_000_000
"""Less than this is no bomb, however small it was packed."""


def unpack(source: Path, target: Path, settings: Settings) -> None:
    """Write out the content of a ``.gz`` or ``.zst`` file; several members follow each other.

    The time limit of the file in work grows with what was unpacked.

    Raises:
        UploadRejected: ZIP_BOMB, TOO_LARGE, or UNSUPPORTED_FORMAT for a damaged stream.
    """
    packed = source.stat().st_size
    most = settings.packed_max_ratio * packed
    written = 0
    with target.open("wb") as out:
        for chunk in _chunks(source):
            check_time()
            written += len(chunk)
            if written > max(most, _HARMLESS_BYTES):
                raise UploadRejected(
                    "ZIP_BOMB",
                    f"The file unpacks to more than {settings.packed_max_ratio:g} times its "
                    f"{packed:,} bytes.",
                    {"detected": round(written / packed, 1), "limit": settings.packed_max_ratio},
                )
            if written > settings.max_file_bytes:
                raise UploadRejected(
                    "TOO_LARGE",
                    f"The file unpacks to more than {settings.max_file_bytes:,} bytes.",
                    {"limit": settings.max_file_bytes, "size_bytes": packed},
                )
            out.write(chunk)
    allow_more_time(written - packed)


def _chunks(source: Path) -> Iterator[bytes]:
    """The unpacked content, piece by piece."""
    with source.open("rb") as stream:
        head = stream.read(2)
    kind = "gzip" if head == b"\x1f\x8b" else "zstd"
    with closing(_opened(source, kind)) as stream:
        while True:
            try:
                chunk = stream.read(_CHUNK_BYTES)
            except (EOFError, OSError, zlib.error) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # The disk is at fault, not the stream.
                raise _damaged(kind, error) from error
            if not chunk:
                return
            yield chunk


class _Stream(Protocol):
    """What both libraries open."""

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


def _opened(source: Path, kind: str) -> _Stream:
    if kind == "gzip":
        return gzip.open(source)
    import pyarrow as pa

    stream: _Stream = pa.CompressedInputStream(pa.OSFile(str(source)), "zstd")
    return stream


def _damaged(kind: str, error: Exception) -> UploadRejected:
    cut = isinstance(error, EOFError) or "runcated" in str(error)
    state = "cut off" if cut else "damaged, or something else follows it"
    return UploadRejected(
        "UNSUPPORTED_FORMAT",
        f"The {kind} stream is {state}: {str(error)[:200]}",
        {"detected": f"{'truncated' if cut else 'damaged'} {kind}", "supported_formats": SUPPORTED},
        COPY_AGAIN,
    )
