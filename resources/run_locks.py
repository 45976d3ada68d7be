"""One lock file per run, held by its worker: the kernel frees it however the worker dies.

The file outlives the lock, so that a dead worker can be told from one that has not begun. Whoever
sees that the run has ended clears it.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".run"
_RELEASED = "released"
_HELD = "........"


class RunLocks:
    """Locks ``data/locks/<run_id>.run``."""

    def __init__(self, folder: Path) -> None:
        """Use this folder, making it when it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    @contextmanager
    def hold(self, run_id: str) -> Iterator[None]:
        """Hold the run's lock for the length of a block."""
        path = self._path(run_id)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with draft.open("w") as file:
            # Locked under another name first: nobody may ever see the file there and free.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(_HELD)
            file.flush()
            draft.replace(path)
            try:
                yield
            finally:
                # In the place of the other word: that works on a full disk, too.
                file.seek(0)
                file.write(_RELEASED)
                file.flush()

    def is_held(self, run_id: str) -> bool:
        """Whether a living process holds the run's lock."""
        try:
            file = self._path(run_id).open()
        except FileNotFoundError:
            return False
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def held(self) -> frozenset[str]:
        """The runs whose worker lives."""
        return frozenset(run_id for run_id in self.taken() if self.is_held(run_id))

    def taken(self) -> list[str]:
        """The runs whose lock file is there, held or not."""
        return [path.stem for path in self._folder.glob(f"*{_SUFFIX}")]

    def died(self, run_id: str) -> bool:
        """Whether the worker of a run was killed: the lock is free, and nobody released it."""
        if self.is_held(run_id):
            return False
        try:
            return self._path(run_id).read_text() != _RELEASED
        except FileNotFoundError:
            return False

    def released_for(self, run_id: str) -> float:
        """Seconds since the lock was released in order."""
        try:
            return time.time() - self._path(run_id).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def clear(self, run_id: str) -> None:
        """Remove the file of a run that has ended."""
        self._path(run_id).unlink(missing_ok=True)

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}{_SUFFIX}"
