"""One lock file per run, held by its worker: the kernel frees it however the worker dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RunLocks:
    """Locks ``data/locks/<run_id>.lock``."""

    def __init__(self, folder: Path) -> None:
        """Use this folder, making it when it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    @contextmanager
    def hold(self, run_id: str) -> Iterator[None]:
        """Hold the run's lock for the length of a block.

        Raises:
            BlockingIOError: another process holds it.
        """
        path = self._path(run_id)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def is_held(self, run_id: str) -> bool:
        """Whether a living process holds the run's lock."""
        try:
            file = self._path(run_id).open()
        except FileNotFoundError:
            return False
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def was_taken(self, run_id: str) -> bool:
        """Whether a worker ever took the lock and has not given it back in order."""
        return self._path(run_id).exists()

    def clear(self, run_id: str) -> None:
        """Remove what a dead worker left."""
        self._path(run_id).unlink(missing_ok=True)

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.lock"
