"""Partition definitions: uploads by feed, and calendar days."""

import dagster as dg

from nika_pipelines.feeds import FEEDS
from nika_pipelines.settings import load_settings

UPLOADS = {
    feed.name: dg.DynamicPartitionsDefinition(name=feed.partitions) for feed in FEEDS.values()
}
"""One key per upload, by feed. The keys are upload ids in order of arrival, never used again."""

DAYS = dg.DailyPartitionsDefinition(
    start_date="2026-01-01", timezone=load_settings().digest_time_zone, end_offset=1
)
"""Calendar days in the digest's time zone, today included; the keys are YYYY-MM-DD."""
