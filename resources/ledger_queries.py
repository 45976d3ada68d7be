"""What is asked of the ledger about several uploads at once: the questions, as SQL.

Belongs here: which rows answer a question. Does not belong here: asking it (`ledger`).
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from nika_pipelines.intake.states import Upload, UploadState
from resources.ledger_tables import transitions
from resources.ledger_tables import uploads as table

# One statement for all paths, because thousands may be asked about at every look. A range, unlike
# LIKE, uses the index and knows no wildcards.
TAKEN_PATHS = sa.text(
    "SELECT value FROM json_each(:paths) WHERE"
    " EXISTS (SELECT 1 FROM uploads WHERE source_path = value) OR"
    " EXISTS (SELECT 1 FROM uploads WHERE source_path BETWEEN value || '.'"
    " AND value || '.' || char(1114111))"
)
"""Those of some paths from which a file was ever taken, or from them with an extension."""


def uploads(
    feed: str | None,
    states: Iterable[UploadState] | None,
    since: str | None,
    until: str | None,
    finished_since: str | None,
    limit: int | None,
) -> sa.Select[*tuple[Any, ...]]:
    """Uploads, newest first; null asks for all."""
    query = sa.select(table)
    if feed is not None:
        query = query.where(table.c.feed == feed)
    if states is not None:
        query = query.where(table.c.state.in_([state.value for state in states]))
    if since is not None:
        query = query.where(table.c.received_at >= since)
    if until is not None:
        query = query.where(table.c.received_at < until)
    if finished_since is not None:
        query = query.where(table.c.finished_at >= finished_since)
    query = query.order_by(table.c.received_at.desc(), table.c.upload_id.desc())
    return query if limit is None else query.limit(limit)


def runs_of(upload_id: str) -> sa.Select[str | None, int]:
    """The runs that worked on an upload, each with how many others are left of it."""
    mine = sa.select(transitions.c.run_id).where(transitions.c.upload_id == upload_id)
    last = sa.select(table.c.run_id).where(table.c.upload_id == upload_id)
    noted = sa.select(transitions.c.run_id, transitions.c.upload_id)
    held = sa.select(table.c.run_id, table.c.upload_id)
    pairs = sa.union(noted, held).subquery()
    gone = sa.select(table.c.upload_id).where(table.c.state == UploadState.DELETED.value)
    others = sa.func.count().filter(pairs.c.upload_id != upload_id, pairs.c.upload_id.not_in(gone))
    return (
        sa.select(pairs.c.run_id, others)
        .where(pairs.c.run_id.in_(sa.union(mine, last)))
        .group_by(pairs.c.run_id)
        .order_by(pairs.c.run_id)
    )


def finished_before(upload: Upload, identity: str) -> sa.Select[*tuple[Any, ...]]:
    """Finished uploads of an identity that were received before an upload, oldest first."""
    moment = sa.tuple_(sa.literal(upload.received_at), sa.literal(upload.upload_id))
    return (
        sa.select(table)
        .where(table.c.identity == identity)
        .where(table.c.feed == upload.feed)
        .where(table.c.state == UploadState.REPORT_READY.value)
        .where(sa.tuple_(table.c.received_at, table.c.upload_id) < moment)
        .order_by(table.c.received_at, table.c.upload_id)
    )


def sharers_of(upload_id: str, sha256: str) -> sa.Select[str]:
    """The ids of other uploads that rely on the same archived bytes, in order of arrival."""
    elsewhere = [UploadState.QUARANTINED.value, UploadState.DELETED.value]
    return (
        sa.select(table.c.upload_id)
        .where(table.c.sha256 == sha256, table.c.upload_id != upload_id)
        .where(table.c.state.not_in(elsewhere))
        .order_by(table.c.received_at, table.c.upload_id)
    )


def earlier_versions(upload: Upload, limit: int) -> sa.Select[*tuple[Any, ...]]:
    """The versions of an upload's dataset before it, newest first."""
    return (
        sa.select(table)
        .where(table.c.feed == upload.feed, table.c.dataset == upload.dataset)
        .where(table.c.version < upload.version, table.c.state != UploadState.DELETED.value)
        .order_by(table.c.version.desc())
        .limit(limit)
    )
