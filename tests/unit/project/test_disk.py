"""A full disk is recognised however it is told, and there is room to write it down."""

import errno
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from nika_pipelines import disk
from nika_pipelines.disk import (
    NoRoomError,
    full_disk_told,
    is_out_of_room,
    keep_reserve,
    no_room_message,
    require_room,
    use_reserve,
)


def chained() -> Exception:
    error = RuntimeError("the table cannot be written")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How much is free on every disk."""
    room = {"bytes": 100_000_000}
    monkeypatch.setattr(disk, "_free_bytes", lambda _data: room["bytes"])
    return room


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        sqlite3.OperationalError("database or disk is full"),
        sa.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")),
        RuntimeError('IO Error: Could not write file "x": No space left on device'),
        chained(),
        NoRoomError("no space left"),
    ],
)
def test_every_library_s_word_for_a_full_disk_is_understood(
    error: Exception, tmp_path: Path
) -> None:
    assert is_out_of_room(error, tmp_path)


@pytest.mark.parametrize(
    "error",
    [PermissionError(errno.EACCES, "Permission denied"), ValueError("full"), KeyError("space")],
)
def test_other_errors_are_no_full_disk(error: Exception, tmp_path: Path) -> None:
    assert not is_out_of_room(error, tmp_path)


def test_an_error_that_may_mean_more_is_judged_by_the_room_there_is(
    free: dict[str, int], tmp_path: Path
) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    assert not is_out_of_room(error, tmp_path)
    free["bytes"] = 4_096
    assert is_out_of_room(error, tmp_path)


def test_the_message_says_how_much_to_free_and_what_to_do_then(
    free: dict[str, int], tmp_path: Path
) -> None:
    free["bytes"] = 1_000_000
    told = no_room_message(tmp_path, 10_000_000, "`nika retry x`")
    assert told == f"no space left on the disk of {tmp_path}: free 35 MB, then `nika retry x`"


def test_what_does_not_fit_is_not_begun(free: dict[str, int], tmp_path: Path) -> None:
    require_room(tmp_path, 90_000_000, "run it again")
    with pytest.raises(NoRoomError, match="free 206 MB, then run it again"):
        require_room(tmp_path, 100_000_000, "run it again")


def test_whatever_a_full_disk_raises_becomes_one_error(tmp_path: Path) -> None:
    with pytest.raises(NoRoomError, match="no space left"), full_disk_told(tmp_path, "try again"):
        raise sqlite3.OperationalError("database or disk is full")
    with pytest.raises(ValueError, match="other"), full_disk_told(tmp_path, "try again"):
        raise ValueError("other")


def test_the_reserve_is_set_aside_with_room_and_used_up_without(
    free: dict[str, int], tmp_path: Path
) -> None:
    reserve = tmp_path / "locks" / "reserve"
    free["bytes"] = 10_000_000
    keep_reserve(tmp_path)
    assert not reserve.exists()
    free["bytes"] = 100_000_000
    keep_reserve(tmp_path)
    assert reserve.stat().st_size == disk.RESERVE_BYTES
    free["bytes"] = 1_000_000
    keep_reserve(tmp_path)
    assert not reserve.exists()
    use_reserve(tmp_path)
