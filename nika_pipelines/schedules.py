"""Schedules: what happens at a time of day."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from nika_pipelines.jobs import BUILD_DAILY_DIGEST
from nika_pipelines.settings import load_settings

_SETTINGS = load_settings()


@dg.schedule(
    name="daily_build_daily_digest",
    job=BUILD_DAILY_DIGEST,
    cron_schedule=_SETTINGS.digest_cron,
    execution_timezone=_SETTINGS.digest_time_zone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Renders yesterday's digest.",
)
def daily_build_daily_digest(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ask for the digest of the day before the tick, in the digest's time zone."""
    tick: datetime = context.scheduled_execution_time
    local = tick.astimezone(ZoneInfo(_SETTINGS.digest_time_zone))
    yesterday = (local - timedelta(days=1)).date().isoformat()
    return dg.RunRequest(run_key=yesterday, partition_key=yesterday)
