"""The names inside an OLE2 container, the wrapping of .xls files and of encrypted workbooks.

Belongs here: the directory of the container ([MS-CFB] 2.2, 2.3, 2.6). Does not belong here: the
streams themselves, which only calamine reads, in its child process.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENTRY_BYTES = 128
_LAST_REGULAR = 0xFFFFFFF9
_MOST_ENTRIES = 10_000
_HEADER_FAT_SECTORS = 109


def ole_names(path: Path) -> frozenset[str]:
    """The names of all storages and streams; empty when the container is damaged."""
    with path.open("rb") as stream:
        header = stream.read(512)
        if len(header) < 512 or not header.startswith(_SIGNATURE):
            return frozenset()
        shift = int.from_bytes(header[30:32], "little")
        if shift not in (9, 12):
            return frozenset()
        try:
            return frozenset(_names(stream, header, 1 << shift))
        except (struct.error, IndexError):
            return frozenset()


def _names(stream: BinaryIO, header: bytes, size: int) -> Iterator[str]:
    """The names of the directory's entries, sector after sector of its chain."""
    fat_sectors = struct.unpack_from(f"<{_HEADER_FAT_SECTORS}I", header, 76)
    (sector,) = struct.unpack_from("<I", header, 48)
    for _ in range(_MOST_ENTRIES * _ENTRY_BYTES // size):
        if sector > _LAST_REGULAR:
            return
        directory = _sector(stream, sector, size)
        for start in range(0, len(directory) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
            length = int.from_bytes(directory[start + 64 : start + 66], "little")
            if 2 < length <= 64:
                yield directory[start : start + length - 2].decode("utf-16-le", "replace")
        # A directory beyond the part of the FAT that the header lists ends here.
        fat = _sector(stream, fat_sectors[sector * 4 // size], size)
        (sector,) = struct.unpack_from("<I", fat, sector * 4 % size)


def _sector(stream: BinaryIO, number: int, size: int) -> bytes:
    # The header takes the place of sector -1, whatever the size of a sector.
    stream.seek((number + 1) * size)
    return stream.read(size)
