"""Bringing a ledger of an older version up to date, after a copy of it was made.

Each step takes the schema from one version to the next. A ledger of a newer version is refused:
what this code does not know, it would lose.
"""

import contextlib
import fcntl
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from resources.ledger_tables import SCHEMA_VERSION

MIGRATIONS: Mapping[int, Sequence[str]] = {
    1: (
        "ALTER TABLE uploads ADD COLUMN source_fingerprint TEXT",
        "ALTER TABLE uploads ADD COLUMN unstable_since TEXT",
        "CREATE INDEX IF NOT EXISTS ix_uploads_source_path ON uploads (source_path)",
        "CREATE INDEX IF NOT EXISTS ix_uploads_source_fingerprint ON uploads (source_fingerprint)",
        "CREATE INDEX IF NOT EXISTS ix_uploads_duplicate_of ON uploads (duplicate_of)",
    ),
}
"""SQL that takes the schema from the version of the key to the next one."""

_FORGET = (
    "UPDATE uploads SET summary = NULL, message = NULL, identity = NULL WHERE upload_id = ?",
    "UPDATE uploads SET state = 'deleted', error_code = NULL WHERE upload_id = ?",
    "UPDATE errors SET message = '(deleted)' WHERE upload_id = ?",
)
"""Every version has these columns."""

_VERSION = "SELECT value FROM meta WHERE key = 'schema_version'"


class LedgerVersionError(RuntimeError):
    """The ledger was written by a version of Nika Pipelines that this one does not know."""


def migrate(path: Path) -> None:
    """Bring the ledger at this path to the schema of this code; a new file is left alone.

    A copy of the old one is kept as ``ledger.v<version>.bak.sqlite``. Either all steps are done
    or none is.

    Raises:
        LedgerVersionError: the ledger is newer than this code, or older than any step.
        sqlite3.Error: the file is no sound database, or cannot be written.
    """
    if not path.exists() or _version(path) in (None, SCHEMA_VERSION):
        return
    with _exclusive(path), contextlib.closing(_connect(path)) as connection:
        found = _version(path)
        if found is None or found == SCHEMA_VERSION:
            return  # another process was quicker
        steps = _steps(path, found)
        _back_up(connection, path.with_name(f"{path.stem}.v{found}.bak{path.suffix}"))
        connection.execute("BEGIN IMMEDIATE")
        for statement in steps:
            connection.execute(statement)
        connection.execute(
            "UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(SCHEMA_VERSION)]
        )
        connection.execute("COMMIT")


def erase_from_backups(path: Path, upload_id: str) -> None:
    """Take out of the copies of a ledger what the ledger itself forgets of a deleted upload.

    Raises:
        sqlite3.Error: a copy cannot be changed.
    """
    for backup in sorted(path.parent.glob(f"{path.stem}.v*.bak{path.suffix}")):
        with contextlib.closing(_connect(backup)) as connection:
            # What is overwritten would stay readable in free pages of the file.
            connection.execute("PRAGMA secure_delete = ON")
            for statement in _FORGET:
                connection.execute(statement, [upload_id])
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _version(path: Path) -> int | None:
    """The schema version of a ledger; None when no ledger was made in the file yet."""
    with contextlib.closing(_connect(path)) as connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        row = connection.execute(_VERSION).fetchone() if known else None
    return None if row is None else int(row[0])


def _steps(path: Path, found: int) -> list[str]:
    versions = range(found, SCHEMA_VERSION)
    if found > SCHEMA_VERSION or not all(version in MIGRATIONS for version in versions):
        raise LedgerVersionError(
            f"{path} has schema {found}, this version of Nika knows {SCHEMA_VERSION}"
        )
    return [statement for version in versions for statement in MIGRATIONS[version]]


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    draft = target.with_name(f".{target.name}.part")
    draft.unlink(missing_ok=True)
    with contextlib.closing(_connect(draft)) as copy:
        connection.backup(copy)
    draft.replace(target)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=30, isolation_level=None)


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    lock = path.parent / "locks" / f"{path.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
