"""Times as the ledger writes them."""

from datetime import UTC, datetime, timedelta


def utc_now() -> str:
    """The present moment as ISO 8601 UTC text with microseconds, which sorts as time does."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def later(seconds: float) -> str:
    """ISO 8601 UTC text of the moment so many seconds from now."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
