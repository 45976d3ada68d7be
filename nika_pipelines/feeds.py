"""The feeds of the inbox, and how the system behind each is called in Dagster.

Light on purpose: the command line reads it before it decides whether it needs Dagster at all.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Feed:
    """A drop folder with a system behind it.

    Attributes:
        name: of the folder, the system and the asset group.
        job: the job that processes its uploads.
        partitions: the partition definition whose keys are its uploads.
    """

    name: str
    job: str
    partitions: str


KNOWN_FEEDS = ("tables", "images", "transactions", "stores", "behaviour")
"""Every drop folder that the inbox contract names, with or without a system yet."""

FEEDS: dict[str, Feed] = {
    "tables": Feed("tables", job="ingest_tables", partitions="table_uploads"),
}
"""The feeds that this version processes, one upload at a time."""
