"""The intake ledger: which uploads there are, what state each is in, and who works on it.

The ledger, not Dagster's event log, decides what is done: it is written before a run exists and
survives its deletion. SQLite in write-ahead mode; every change is one immediate transaction, so
two processes never act on the same reading.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nika_pipelines.intake import names
from nika_pipelines.intake.states import (
    CLAIMED_STATES,
    FINAL_STATES,
    IN_WORK_STATES,
    Upload,
    UploadState,
)
from resources import ledger_queries as queries
from resources import ledger_tables as tables
from resources.clock import utc_now
from resources.inbox_memory import InboxMemory
from resources.ledger_migrations import LedgerVersionError, migrate
from resources.ledger_tables import SCHEMA_VERSION

__all__ = ["Ledger", "LedgerVersionError", "RecordedError", "UploadIdTakenError", "open_ledger"]


class UploadIdTakenError(RuntimeError):
    """Another upload has this id."""


@dataclass(frozen=True)
class RecordedError:
    """One recorded failure of a run or an upload."""

    at: str
    run_id: str | None
    upload_id: str | None
    code: str
    message: str


class Ledger:
    """The ledger in one SQLite file; open one per process with `open_ledger`."""

    def __init__(self, path: Path) -> None:
        """Open the ledger, making it when it is not there and bringing an older one up to date.

        Raises:
            LedgerVersionError: the file has a newer schema than this code.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        migrate(path)
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        sa.event.listen(self._engine, "connect", _configure_connection)
        sa.event.listen(self._engine, "begin", _begin)
        # Readers wait for nobody; whoever writes takes the write lock before reading.
        self._reading = self._engine.execution_options(nika_reads=True)
        self._prepare()
        self.inbox = InboxMemory(self._engine, self._reading)

    # ---- reading

    def get(self, upload_id: str) -> Upload | None:
        """The upload of this id, or None."""
        with self._reading.connect() as connection:
            query = sa.select(tables.uploads).where(tables.uploads.c.upload_id == upload_id)
            row = connection.execute(query).mappings().first()
        return _upload(row) if row else None

    def uploads(
        self,
        *,
        feed: str | None = None,
        states: Iterable[UploadState] | None = None,
        since: str | None = None,
        until: str | None = None,
        finished_since: str | None = None,
        limit: int | None = None,
    ) -> list[Upload]:
        """Uploads in order of arrival, newest last.

        Args:
            feed: only this feed.
            states: only these states.
            since: received at or after this ISO time.
            until: received before this ISO time.
            finished_since: became final at or after this ISO time.
            limit: only the newest so many.
        """
        query = queries.uploads(feed, states, since, until, finished_since, limit)
        with self._reading.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [_upload(row) for row in reversed(rows)]

    def counts(self, feed: str | None = None) -> dict[UploadState, int]:
        """How many uploads are in each state; states without uploads are left out."""
        query = sa.select(tables.uploads.c.state, sa.func.count()).group_by(tables.uploads.c.state)
        if feed is not None:
            query = query.where(tables.uploads.c.feed == feed)
        with self._reading.connect() as connection:
            return {UploadState(state): n for state, n in connection.execute(query)}

    def transitions(self, upload_id: str) -> list[tuple[UploadState, str]]:
        """The states that an upload went through, each with its time."""
        query = (
            sa.select(tables.transitions.c.state, tables.transitions.c.at)
            .where(tables.transitions.c.upload_id == upload_id)
            .order_by(tables.transitions.c.id)
        )
        with self._reading.connect() as connection:
            return [(UploadState(state), at) for state, at in connection.execute(query)]

    def runs_of(self, upload_id: str) -> dict[str, bool]:
        """The runs that worked on an upload, each with whether no other one is left of it."""
        query = queries.runs_of(upload_id)
        with self._reading.connect() as connection:
            return {run_id: not count for run_id, count in connection.execute(query) if run_id}

    def original_of(
        self, upload: Upload, identity: str, *, under_any_name: bool = False
    ) -> Upload | None:
        """The first finished upload of the same identity, received before this one.

        Args:
            upload: the upload that may repeat it.
            identity: content and options of both.
            under_any_name: whether one of another name or tag will do, if its extension is the
                same, which decides how bytes are read; one of the same name is preferred.
        """
        query = queries.finished_before(upload, identity)
        with self._reading.connect() as connection:
            earlier = [_upload(row) for row in connection.execute(query).mappings()]
        named = (upload.original_name, upload.tag)
        same = [one for one in earlier if (one.original_name, one.tag) == named]
        if under_any_name and not same:
            suffix = names.format_suffix(upload.stored_name).casefold()
            same = [
                one for one in earlier if names.format_suffix(one.stored_name).casefold() == suffix
            ]
        return same[0] if same else None

    def repeats_of(self, upload_id: str) -> list[Upload]:
        """Duplicates and aliases that point to an upload, in order of arrival."""
        query = (
            sa.select(tables.uploads)
            .where(tables.uploads.c.duplicate_of == upload_id)
            .order_by(tables.uploads.c.received_at, tables.uploads.c.upload_id)
        )
        with self._reading.connect() as connection:
            return [_upload(row) for row in connection.execute(query).mappings()]

    def taken_in_place(self, feed: str) -> list[tuple[str, str, bool]]:
        """Files that were taken where they lie: path, fingerprint, and whether that is finished.

        Paths are as `names.path_to_text` writes them.
        """
        columns = tables.uploads.c
        query = (
            sa.select(columns.source_path, columns.source_fingerprint, columns.state)
            .where(columns.feed == feed)
            .where(columns.source_fingerprint.is_not(None))
        )
        with self._reading.connect() as connection:
            rows = connection.execute(query).all()
        return [(path, mark, UploadState(state) in FINAL_STATES) for path, mark, state in rows]

    def came_from(self, paths: Iterable[str]) -> set[str]:
        """Those paths from which a file was ever taken, or from them with an extension.

        Args:
            paths: as `names.path_to_text` writes them.
        """
        with self._reading.connect() as connection:
            asked = {"paths": json.dumps(list(paths))}
            return set(connection.execute(queries.TAKEN_PATHS, asked).scalars())

    def is_shared(self, upload: Upload) -> bool:
        """Whether another upload relies on the same archived bytes."""
        return bool(self.sharers_of(upload))

    def sharers_of(self, upload: Upload) -> list[str]:
        """The other uploads that rely on the same archived bytes, in order of arrival."""
        if upload.sha256 is None:
            return []
        query = queries.sharers_of(upload.upload_id, upload.sha256)
        with self._reading.connect() as connection:
            return list(connection.execute(query).scalars())

    def earlier_versions(self, upload: Upload, limit: int) -> list[Upload]:
        """The versions of an upload's dataset before it, newest first."""
        query = queries.earlier_versions(upload, limit)
        with self._reading.connect() as connection:
            return [_upload(row) for row in connection.execute(query).mappings()]

    def unfinished(self, feed: str) -> list[Upload]:
        """Claimed uploads without a final state, in order of arrival."""
        return self.uploads(feed=feed, states=CLAIMED_STATES)

    # ---- arrival

    def register(self, upload: Upload) -> None:
        """Write down the intent to take a file, before it is moved.

        Raises:
            UploadIdTakenError: another upload has this id.
        """
        try:
            with self._engine.begin() as connection:
                connection.execute(tables.uploads.insert().values(**_row(upload)))
                _note_transition(connection, upload.upload_id, upload.state, upload.run_id)
        except sa.exc.IntegrityError as error:
            raise UploadIdTakenError(upload.upload_id) from error

    def forget(self, upload_id: str) -> None:
        """Take back the intent: the file vanished before it could be moved."""
        with self._engine.begin() as connection:
            connection.execute(
                tables.uploads.delete().where(tables.uploads.c.upload_id == upload_id)
            )
            connection.execute(
                tables.transitions.delete().where(tables.transitions.c.upload_id == upload_id)
            )

    def offer(
        self, upload_ids: Sequence[str], batch_id: str, not_before: str | None = None
    ) -> None:
        """Assign uploads to a batch that is about to be offered; counts one attempt each."""
        with self._engine.begin() as connection:
            connection.execute(
                tables.uploads.update()
                .where(tables.uploads.c.upload_id.in_(list(upload_ids)))
                .values(
                    batch_id=batch_id,
                    attempt=tables.uploads.c.attempt + 1,
                    not_before=not_before,
                    updated_at=utc_now(),
                )
            )

    def postpone(self, upload_ids: Sequence[str], not_before: str) -> None:
        """Keep sensors from offering uploads for a while: their run is being made elsewhere."""
        with self._engine.begin() as connection:
            connection.execute(
                tables.uploads.update()
                .where(tables.uploads.c.upload_id.in_(list(upload_ids)))
                .values(not_before=not_before)
            )

    # ---- work

    def advance(self, upload_id: str, state: UploadState, **changes: Any) -> Upload:
        """Move an upload to a state and note the time.

        Args:
            upload_id: the upload.
            state: the state it reached.
            **changes: further columns to set, by the names of `Upload`.

        Raises:
            KeyError: there is no such upload.
        """
        now = utc_now()
        values: dict[str, Any] = {"state": state.value, "updated_at": now} | changes
        values["finished_at"] = now if state in FINAL_STATES else None
        if "summary" in values and values["summary"] is not None:
            values["summary"] = json.dumps(values["summary"])
        this = tables.uploads.c.upload_id == upload_id
        with self._engine.begin() as connection:
            before = connection.execute(sa.select(tables.uploads.c.state).where(this)).scalar()
            if before is None:
                raise KeyError(upload_id)
            connection.execute(tables.uploads.update().where(this).values(**values))
            if before != state.value:
                _note_transition(connection, upload_id, state, changes.get("run_id"))
            return _upload(
                connection.execute(sa.select(tables.uploads).where(this)).mappings().one()
            )

    def erase(self, upload_id: str) -> Upload | None:
        """Make a final upload ``deleted`` and forget what was said about its content.

        Its id, names, dataset, times and SHA-256 stay, as proof of what was deleted when.

        Returns:
            The upload, or None when it is not final; safe to repeat.

        Raises:
            KeyError: there is no such upload.
        """
        this = tables.uploads.c.upload_id == upload_id
        blank = ("summary", "message", "error_code", "identity", "not_before", "batch_id")
        now = utc_now()
        values = dict.fromkeys(blank) | {"state": UploadState.DELETED.value, "updated_at": now}
        with self._engine.begin() as connection:
            before = connection.execute(sa.select(tables.uploads.c.state).where(this)).scalar()
            if before is None:
                raise KeyError(upload_id)
            if UploadState(before) not in FINAL_STATES:
                return None
            connection.execute(
                tables.uploads.update().where(this).values(**values, finished_at=now)
            )
            connection.execute(
                tables.errors.update()
                .where(tables.errors.c.upload_id == upload_id)
                .values(message="(deleted)")
            )
            if before != UploadState.DELETED.value:
                _note_transition(connection, upload_id, UploadState.DELETED, None)
            row = connection.execute(sa.select(tables.uploads).where(this)).mappings().one()
        self._empty_log()
        return _upload(row)

    def begin_work(
        self, upload_id: str, run_id: str, is_alive: Callable[[str], bool]
    ) -> Upload | None:
        """Take an upload on for a run, unless another living run has it in hand.

        Args:
            upload_id: the upload.
            run_id: the run that wants to work on it.
            is_alive: whether the worker of a run lives.

        Returns:
            The upload, or None when it is another's.
        """
        this = tables.uploads.c.upload_id == upload_id
        in_work = [state.value for state in IN_WORK_STATES]
        with self._engine.begin() as connection:
            row = connection.execute(sa.select(tables.uploads).where(this)).mappings().one()
            holder = row["run_id"] if row["state"] in in_work else None
            if holder is not None and holder != run_id and is_alive(holder):
                return None
            if row["state"] == UploadState.DELETED.value:
                return None
            connection.execute(tables.uploads.update().where(this).values(run_id=run_id))
            return _upload({**row, "run_id": run_id})

    def assign_version(self, upload_id: str) -> int:
        """Number the upload among those of its dataset, once; a rerun keeps its number."""
        with self._engine.begin() as connection:
            mine = connection.execute(
                sa.select(
                    tables.uploads.c.version, tables.uploads.c.feed, tables.uploads.c.dataset
                ).where(tables.uploads.c.upload_id == upload_id)
            ).one()
            if mine.version is not None:
                return int(mine.version)
            highest = connection.execute(
                sa.select(sa.func.max(tables.uploads.c.version))
                .where(tables.uploads.c.feed == mine.feed)
                .where(tables.uploads.c.dataset == mine.dataset)
            ).scalar()
            version = int(highest or 0) + 1
            connection.execute(
                tables.uploads.update()
                .where(tables.uploads.c.upload_id == upload_id)
                .values(version=version, updated_at=utc_now())
            )
            return version

    def release_run(self, run_id: str, *, charge: bool) -> list[Upload]:
        """Free the uploads of a dead run so that they are offered again.

        Args:
            run_id: the run whose worker is gone.
            charge: whether the worker died alone, so that the upload in work is a suspect.

        Returns:
            The uploads that were in work, after the change.
        """
        in_work = [state.value for state in IN_WORK_STATES]
        with self._engine.begin() as connection:
            suspects = connection.execute(
                sa.select(tables.uploads.c.upload_id)
                .where(tables.uploads.c.run_id == run_id)
                .where(tables.uploads.c.state.in_(in_work))
            ).scalars().all()  # fmt: skip
            connection.execute(
                tables.uploads.update()
                .where(tables.uploads.c.upload_id.in_(suspects))
                .values(
                    state=UploadState.RECEIVED.value,
                    run_id=None,
                    worker_deaths=tables.uploads.c.worker_deaths + (1 if charge else 0),
                    updated_at=utc_now(),
                )
            )
            for upload_id in suspects:
                _note_transition(connection, upload_id, UploadState.RECEIVED, run_id)
            rows = connection.execute(
                sa.select(tables.uploads).where(tables.uploads.c.upload_id.in_(suspects))
            ).mappings()
            return [_upload(row) for row in rows]

    # ---- errors

    def record_error(
        self, code: str, message: str, *, run_id: str | None = None, upload_id: str | None = None
    ) -> None:
        """Write down a failure of a run or of one upload."""
        with self._engine.begin() as connection:
            connection.execute(
                tables.errors.insert().values(
                    at=utc_now(), run_id=run_id, upload_id=upload_id, code=code, message=message
                )
            )

    def errors(self, since: str | None = None, until: str | None = None) -> list[RecordedError]:
        """Recorded failures, oldest first, of a span of ISO times."""
        query = sa.select(tables.errors).order_by(tables.errors.c.id)
        if since is not None:
            query = query.where(tables.errors.c.at >= since)
        if until is not None:
            query = query.where(tables.errors.c.at < until)
        with self._reading.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            RecordedError(row["at"], row["run_id"], row["upload_id"], row["code"], row["message"])
            for row in rows
        ]

    # ---- upkeep

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _empty_log(self) -> None:
        """Empty the write-ahead log, which still holds earlier versions of what was overwritten."""
        connection = self._engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()

    def _prepare(self) -> None:
        with self._engine.begin() as connection:
            tables.metadata.create_all(connection)
            version = {"key": "schema_version", "value": str(SCHEMA_VERSION)}
            connection.execute(tables.meta.insert().prefix_with("OR IGNORE").values(version))


@contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """Open the ledger for the length of a block."""
    ledger = Ledger(path)
    try:
        yield ledger
    finally:
        ledger.close()


def _configure_connection(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event below opens the transaction
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    # What is deleted or overwritten would stay readable in free pages of the file.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    reads = connection.get_execution_options().get("nika_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _note_transition(
    connection: sa.Connection, upload_id: str, state: UploadState, run_id: str | None
) -> None:
    connection.execute(
        tables.transitions.insert().values(
            upload_id=upload_id, state=state.value, at=utc_now(), run_id=run_id
        )
    )


def _row(upload: Upload) -> dict[str, Any]:
    summary = None if upload.summary is None else json.dumps(upload.summary)
    return vars(upload) | {"state": upload.state.value, "summary": summary}


def _upload(row: Any) -> Upload:
    summary = None if row["summary"] is None else json.loads(row["summary"])
    return Upload(**dict(row) | {"state": UploadState(row["state"]), "summary": summary})
