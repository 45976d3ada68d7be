"""Dagster's memory of an upload: its events, log lines, partition and the runs made for it alone.

Dagster can wipe an asset, but no single partition of one (its open-source storage raises
`NotImplementedError`), so the rows are taken out of the event log's tables here. Only SQL that
SQLite and PostgreSQL share is used. The tables and their columns are those of the pinned Dagster.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dagster as dg

_EVENTS = (
    "FROM event_logs WHERE partition = :upload_id"
    # The results of checks name their partition only inside.
    " OR (dagster_event_type IS NOT NULL AND event LIKE :quoted ESCAPE '!'"
    " AND dagster_event_type LIKE 'ASSET!_%' ESCAPE '!')"
    # Log lines. An upload may be named after another one: its id goes on where this one ends.
    " OR (dagster_event_type IS NULL AND event LIKE :named ESCAPE '!'"
    " AND event NOT LIKE :longer ESCAPE '!')"
)
_CHECKS = "FROM asset_check_executions WHERE partition = :upload_id"
_TAGS = f"FROM asset_event_tags WHERE event_id IN (SELECT id {_EVENTS})"
_NEWEST = (
    # Dagster looks into the events for what is newest when it is not noted here.
    "UPDATE asset_keys SET cached_status_data = NULL, last_materialization = NULL "
    "WHERE last_materialization LIKE :quoted ESCAPE '!'"
)


def erase_from_history(
    instance: "dg.DagsterInstance",
    partitions: str,
    upload_id: str,
    runs: Sequence[str],
    runs_alone: Iterable[str],
) -> None:
    """Make Dagster forget an upload; safe to repeat.

    Args:
        instance: where runs and events are recorded.
        partitions: name of the partitions definition that the upload is a key of.
        upload_id: the upload.
        runs: every run that worked on it; they lose what they said about it.
        runs_alone: those of them that worked on nothing else; they are deleted.
    """
    storage: Any = instance.event_log_storage
    for run_id in runs:
        if instance.has_run(run_id):
            _execute(storage.run_connection(run_id), upload_id, [f"DELETE {_EVENTS}"])
    everything = [f"DELETE {_TAGS}", f"DELETE {_EVENTS}", f"DELETE {_CHECKS}", _NEWEST]
    _execute(storage.index_connection(), upload_id, everything)
    for run_id in runs_alone:
        if instance.has_run(run_id):
            instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.delete_dynamic_partition(partitions, upload_id)


def _execute(opening: AbstractContextManager[Any], upload_id: str, statements: list[str]) -> None:
    """Change one database of events, so that what is deleted cannot be read from its file."""
    import sqlalchemy as sa

    with opening as connection:
        if connection.dialect.name == "sqlite":
            # Deleted rows would stay readable in free pages of the file.
            connection.execute(sa.text("PRAGMA secure_delete = ON"))
        for statement, values in _with_values(statements, upload_id):
            connection.execute(sa.text(statement), values)
    if connection.dialect.name == "sqlite":
        alone = connection.engine.execution_options(isolation_level="AUTOCOMMIT")
        with alone.connect() as connection:
            # The write-ahead log still holds the rows as they were.
            connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))


def _with_values(statements: list[str], upload_id: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each statement with the values of those parameters that it names."""
    # Events are JSON, where letters beyond ASCII are spelled.
    written = json.dumps(upload_id)[1:-1]
    literal = "".join(f"!{one}" if one in "!%_" else one for one in written)
    values = {
        "upload_id": upload_id,
        "quoted": f'%"{literal}"%',
        "named": f"%{literal}%",
        "longer": f"%{literal}-%",
    }
    for statement in statements:
        yield statement, {key: value for key, value in values.items() if f":{key}" in statement}
