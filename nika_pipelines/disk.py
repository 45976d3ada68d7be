"""Room on the disk of the data folder: telling that it has run out, and a reserve for saying so.

When a disk is full, the ledger and Dagster cannot write down that it is. So a small file is kept
that stands for the room which that takes; it goes when the room is needed and comes back later.
"""

import errno
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESERVE_BYTES = 4_000_000
"""A failed upload takes some tens of kilobytes in ledger and event log; a batch has some tens."""
WORKING_BYTES = 2_000_000
"""With less room than this no upload is begun."""
_RESERVES_THAT_FIT = 4
_SHARE_OF_FILE = 3
_FULL = {errno.ENOSPC, errno.EDQUOT}
_SIGNS = (
    os.strerror(errno.ENOSPC),
    os.strerror(errno.EDQUOT),
    "database or disk is full",
    "Could not write all bytes",
    "Out of space",
)
_SIGN_ON_A_FULL_DISK = "disk I/O error"


class NoRoomError(OSError):
    """The disk has no room for what is to be done; nothing was changed."""

    def __init__(self, message: str) -> None:
        """Say how much has to be freed, and what to do then."""
        super().__init__(errno.ENOSPC, message)

    def __str__(self) -> str:
        return str(self.strerror)


def is_out_of_room(error: BaseException, data: Path) -> bool:
    """Whether an error, or one that it followed from, says that the data folder's disk is full."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if _says_full(one, data):
            return True
        one = one.__cause__ or one.__context__
    return False


def no_room_message(data: Path, file_bytes: int, then: str) -> str:
    """What to do about a full disk, in words.

    Args:
        data: the data folder.
        file_bytes: size of the file that found no room.
        then: what to do after making room.
    """
    wanted = _SHARE_OF_FILE * file_bytes + RESERVE_BYTES + WORKING_BYTES
    megabytes = max(1, math.ceil((wanted - _free_bytes(data)) / 1e6))
    return f"no space left on the disk of {data}: free {megabytes:,} MB, then {then}"


def require_room(data: Path, file_bytes: int, then: str) -> None:
    """Refuse to begin what cannot be finished.

    Raises:
        NoRoomError: there is no room for the file and for working on it.
    """
    if _free_bytes(data) < file_bytes + WORKING_BYTES:
        raise NoRoomError(no_room_message(data, file_bytes, then))


@contextmanager
def full_disk_told(data: Path, then: str) -> Iterator[None]:
    """Turn whatever a full disk makes the block raise into one clear error.

    Raises:
        NoRoomError: the block failed because the disk is full.
    """
    try:
        yield
    except NoRoomError:
        raise
    except Exception as error:
        if is_out_of_room(error, data):
            raise NoRoomError(no_room_message(data, 0, then)) from error
        raise


def keep_reserve(data: Path) -> None:
    """Set the reserve aside while there is plenty of room; use it up when there is hardly any."""
    free = _free_bytes(data)
    if free < WORKING_BYTES:
        use_reserve(data)
    elif free > _RESERVES_THAT_FIT * RESERVE_BYTES:
        _set_aside(_reserve(data))


def use_reserve(data: Path) -> None:
    """Make the room of the reserve free, so that the failure can be written down."""
    _reserve(data).unlink(missing_ok=True)


def _reserve(data: Path) -> Path:
    return data / "locks" / "reserve"


def _set_aside(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_bytes(bytes(RESERVE_BYTES))
    except OSError:  # Somebody else was quicker with the room: then there is no reserve.
        path.unlink(missing_ok=True)


def _free_bytes(data: Path) -> int:
    """What is free where the data folder is, or will be."""
    there = next(path for path in (data, *data.parents) if path.exists())
    return shutil.disk_usage(there).free


def _says_full(error: BaseException, data: Path) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    text = str(error)
    # SQLite says only this when its shared memory file cannot grow.
    doubtful = _SIGN_ON_A_FULL_DISK in text and _free_bytes(data) < WORKING_BYTES
    return doubtful or any(sign in text for sign in _SIGNS)
