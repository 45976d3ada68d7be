"""A ledger of an older version is brought up to date once, whole, and after a copy of it."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from nika_pipelines.intake.states import UploadState
from resources import ledger_migrations
from resources.ledger import Ledger, LedgerVersionError, open_ledger
from resources.ledger_tables import SCHEMA_VERSION, metadata

UPLOADS_V1 = """
CREATE TABLE uploads (
    upload_id TEXT NOT NULL PRIMARY KEY, feed TEXT NOT NULL, original_name TEXT NOT NULL,
    stored_name TEXT NOT NULL, dataset TEXT NOT NULL, state TEXT NOT NULL,
    received_at TEXT NOT NULL, updated_at TEXT NOT NULL, tag TEXT, source_path TEXT,
    source_inode BIGINT, size_bytes BIGINT, sha256 TEXT, identity TEXT, version INTEGER,
    duplicate_of TEXT, error_code TEXT, message TEXT, run_id TEXT, batch_id TEXT,
    attempt INTEGER NOT NULL, worker_deaths INTEGER NOT NULL, not_before TEXT, finished_at TEXT,
    summary TEXT
)
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of schema 1 with one upload, as the first version wrote it."""
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(UPLOADS_V1)
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        connection.execute("INSERT INTO meta VALUES ('schema_version', '1')")
        connection.execute(
            "INSERT INTO uploads (upload_id, feed, original_name, stored_name, dataset, state,"
            " received_at, updated_at, attempt, worker_deaths)"
            " VALUES ('u1', 'tables', 'a.csv', 'a.csv', 'a', 'report_ready', 't', 't', 1, 0)"
        )
    connection.close()
    return path


def version_of(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        (found,) = connection.execute("SELECT value FROM meta").fetchone()
    connection.close()
    return str(found)


def test_an_old_ledger_keeps_its_uploads_and_gets_the_new_columns(old: Path) -> None:
    with open_ledger(old) as ledger:
        found = ledger.get("u1")
        assert found is not None
        assert (found.state, found.source_fingerprint) == (UploadState.REPORT_READY, None)
        ledger.advance("u1", UploadState.RECEIVED, source_fingerprint="1:2:3:4")
    assert version_of(old) == str(SCHEMA_VERSION)


def test_a_migrated_ledger_has_the_columns_and_indexes_of_a_new_one(
    old: Path, tmp_path: Path
) -> None:
    def shape(path: Path) -> tuple[set[str], set[str]]:
        with open_ledger(path):
            pass
        inspector = sa.inspect(sa.create_engine(f"sqlite:///{path}"))
        return (
            {column["name"] for column in inspector.get_columns("uploads")},
            set(inspector.get_table_names()),
        )

    assert shape(old) == shape(tmp_path / "new.sqlite")
    assert {"source_fingerprint", "unstable_since"} <= set(metadata.tables["uploads"].c.keys())
    indexes = sa.inspect(sa.create_engine(f"sqlite:///{old}")).get_indexes("uploads")
    found = {index["name"] for index in indexes}
    added = ("source_path", "source_fingerprint", "duplicate_of")
    assert {f"ix_uploads_{column}" for column in added} <= found


def test_the_old_ledger_is_kept_beside_the_new_one(old: Path) -> None:
    with open_ledger(old), open_ledger(old):
        pass
    copy = old.with_name("ledger.v1.bak.sqlite")
    assert version_of(copy) == "1"
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT upload_id FROM uploads").fetchall() == [("u1",)]
    connection.close()
    assert [one.name for one in old.parent.glob("*.part")] == []


def test_a_migration_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {1: (*ledger_migrations.MIGRATIONS[1], "ALTER TABLE nowhere ADD COLUMN x TEXT")}
    monkeypatch.setattr(ledger_migrations, "MIGRATIONS", steps)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        Ledger(old)
    monkeypatch.undo()
    assert version_of(old) == "1"
    with open_ledger(old) as ledger:
        assert ledger.get("u1") is not None


@pytest.mark.parametrize("version", ["0", "999"])
def test_a_ledger_of_an_unknown_version_is_refused_and_left_as_it_is(
    old: Path, version: str
) -> None:
    with sqlite3.connect(old) as connection:
        connection.execute("UPDATE meta SET value = ?", [version])
    connection.close()
    with pytest.raises(LedgerVersionError, match=version):
        Ledger(old)
    assert version_of(old) == version
    with sqlite3.connect(old) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert {name for (name,) in tables} == {"uploads", "meta"}
    connection.close()


def _open(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.record_error("INTERNAL", "here")


def test_processes_that_open_an_old_ledger_at_once_migrate_it_once(old: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_open, args=(old,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with open_ledger(old) as ledger:
        assert len(ledger.errors()) == 3


def test_what_is_deleted_is_forgotten_in_the_kept_ledgers_too(old: Path) -> None:
    secret = "x" * 40 + "Annegret"
    with sqlite3.connect(old) as connection:
        connection.execute("CREATE TABLE errors (upload_id TEXT, message TEXT)")
        connection.execute("INSERT INTO errors VALUES ('u1', ?), ('u2', 'other')", [secret])
        connection.execute("UPDATE uploads SET message = ?1, summary = ?1, identity = ?1", [secret])
    connection.close()
    copy = old.with_name("ledger.v1.bak.sqlite")
    ledger_migrations.migrate(old)
    assert secret.encode() in copy.read_bytes()

    ledger_migrations.erase_from_backups(old, "u1")

    assert all(b"Annegret" not in one.read_bytes() for one in old.parent.glob(f"{copy.name}*"))
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT state FROM uploads").fetchall() == [("deleted",)]
        told = connection.execute("SELECT message FROM errors").fetchall()
        assert told == [("(deleted)",), ("other",)]
    connection.close()
