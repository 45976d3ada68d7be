"""Partition definitions: one key per upload. A key is never reused."""

import dagster as dg

from nika_pipelines.settings import load_settings

TABLE_UPLOADS = dg.DynamicPartitionsDefinition(name="table_uploads")
"""Uploads of feed ``tables``; the keys are upload ids in order of arrival."""

DAYS = dg.DailyPartitionsDefinition(
    start_date="2026-01-01", timezone=load_settings().digest_time_zone
)
"""Calendar days in the digest's time zone; the keys are YYYY-MM-DD."""
