"""What killed processes leave behind: spilled queries, half copies, half tables.

Only drafts are removed, which nobody but their maker ever reads: those of a process of this
machine that is gone, and others that nobody has touched for long.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_STALE_SECONDS = 6 * 3600.0
"""Longer than any file is given to be read or copied."""
_GRACE_SECONDS = 600.0
"""A process of another container looks gone; what it still writes to looks fresh."""
_BETWEEN_SECONDS = 3600.0
_OWNED = re.compile(r"(?:spill-|\.nika-drop-)(\d+)(?:-|$)")


class LeftoverSweep:
    """Sweeps one data folder, at most once an hour in a process that looks at it all the time."""

    def __init__(self, data: Path) -> None:
        """Look after this data folder."""
        self._data = data
        self._due = 0.0

    def run_when_due(self) -> list[Path]:
        """Remove what is left over, if the last sweep was long ago; returns what was removed."""
        if time.monotonic() < self._due:
            return []
        self._due = time.monotonic() + _BETWEEN_SECONDS
        return remove_leftovers(self._drafts())

    def _drafts(self) -> Iterator[Path]:
        yield from _children(self._data / "tmp")
        for feed in _children(self._data / "lake"):
            yield from (one for one in _children(feed) if one.name.startswith("."))
        for feed in _children(self._data / "inbox"):
            yield from (one for one in _children(feed) if _OWNED.match(one.name))


def remove_leftovers(drafts: Iterable[Path]) -> list[Path]:
    """Remove those drafts whose maker is gone; returns them. One that cannot be removed stays."""
    removed = []
    for draft in drafts:
        with contextlib.suppress(OSError):
            if _is_left_over(draft):
                if draft.is_dir() and not draft.is_symlink():
                    shutil.rmtree(draft)
                else:
                    draft.unlink()
                removed.append(draft)
    return removed


def _is_left_over(draft: Path) -> bool:
    quiet = time.time() - _last_change(draft)
    if quiet > _STALE_SECONDS:
        return True
    owner = _OWNED.match(draft.name)
    return owner is not None and quiet > _GRACE_SECONDS and not _is_alive(int(owner[1]))


def _last_change(path: Path) -> float:
    """When a file, or a folder or anything in it, last changed."""
    changed = path.lstat().st_mtime
    if path.is_dir() and not path.is_symlink():
        changed = max([changed, *(_last_change(child) for child in path.iterdir())])
    return changed


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
