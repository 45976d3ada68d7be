"""The tables of the ledger. A change needs a new `SCHEMA_VERSION` and a step of migration."""

import sqlalchemy as sa

SCHEMA_VERSION = 2

metadata = sa.MetaData()

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("upload_id", sa.Text, primary_key=True),
    sa.Column("feed", sa.Text, nullable=False),
    sa.Column("original_name", sa.Text, nullable=False),
    sa.Column("stored_name", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("received_at", sa.Text, nullable=False, index=True),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.Column("tag", sa.Text),
    sa.Column("source_path", sa.Text, index=True),
    sa.Column("source_inode", sa.BigInteger),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("sha256", sa.Text, index=True),
    sa.Column("identity", sa.Text, index=True),
    sa.Column("version", sa.Integer),
    sa.Column("duplicate_of", sa.Text, index=True),
    sa.Column("error_code", sa.Text),
    sa.Column("message", sa.Text),
    sa.Column("run_id", sa.Text, index=True),
    sa.Column("batch_id", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("worker_deaths", sa.Integer, nullable=False, default=0),
    sa.Column("not_before", sa.Text),
    sa.Column("finished_at", sa.Text, index=True),
    sa.Column("summary", sa.Text),
    sa.Column("source_fingerprint", sa.Text, index=True),
    sa.Column("unstable_since", sa.Text),
    sa.Index("ix_uploads_feed_dataset", "feed", "dataset"),
)
transitions = sa.Table(
    "transitions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("upload_id", sa.Text, nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text),
)
sightings = sa.Table(
    "sightings",
    metadata,
    sa.Column("feed", sa.Text, nullable=False, index=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("unchanged_since", sa.Float, nullable=False),
    sa.Column("first_seen", sa.Float, nullable=False),
)
notices = sa.Table(
    "notices",
    metadata,
    sa.Column("feed", sa.Text, nullable=False, index=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("first_seen", sa.Text, nullable=False),
    sa.Column("last_seen", sa.Text, nullable=False),
)
errors = sa.Table(
    "errors",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Text, nullable=False, index=True),
    sa.Column("run_id", sa.Text),
    sa.Column("upload_id", sa.Text),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
)
meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
