"""Files that are written whole, and names that are never taken from another file."""

import ctypes
import errno
from pathlib import Path

import pytest

from resources import files
from resources.files import rename_new, write_whole


def without_renameat2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_renameat2", lambda: None)


def refused_renameat2(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> int:
        ctypes.set_errno(errno.EINVAL)  # what file systems without the flag answer
        return -1

    monkeypatch.setattr(files, "_renameat2", lambda: refuse)


def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    without_renameat2(monkeypatch)
    monkeypatch.setattr(files.os, "link", refuse)


def as_it_is(_monkeypatch: pytest.MonkeyPatch) -> None:
    pass


@pytest.mark.parametrize("system", [as_it_is, without_renameat2, refused_renameat2, without_links])
def test_a_name_that_is_taken_stays_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: object
) -> None:
    system(monkeypatch)  # type: ignore[operator]
    draft, theirs, free = tmp_path / "draft", tmp_path / "theirs", tmp_path / "line\nbreak"
    draft.write_text("ours")
    theirs.write_text("theirs")
    with pytest.raises(FileExistsError):
        rename_new(draft, theirs)
    assert (draft.read_text(), theirs.read_text()) == ("ours", "theirs")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        rename_new(draft, tmp_path / "dangling")
    rename_new(draft, free)
    assert (draft.exists(), free.read_text(), free.stat().st_nlink) == (False, "ours", 1)
    with pytest.raises(FileNotFoundError):
        rename_new(draft, tmp_path / "other")


def test_a_file_that_cannot_be_written_whole_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.yaml"
    write_whole(target, b"old")

    def half(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="space"):
        write_whole(target, b"new")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a.yaml", b"old")]
