"""What the last look at the inbox saw: files that are still settling, and what was complained of.

Two tables of the ledger, replaced whole feed by feed at every look.
"""

from collections.abc import Iterable

import sqlalchemy as sa

from nika_pipelines.intake import names
from nika_pipelines.intake.listing import Notice
from nika_pipelines.intake.planner import Seen
from resources import ledger_tables as tables
from resources.clock import utc_now


class InboxMemory:
    """The memory of looks; reached as `Ledger.inbox`."""

    def __init__(self, writing: sa.Engine, reading: sa.Engine) -> None:
        """Use the ledger's engines: one that takes the write lock first, one that waits for nobody."""
        self._engine = writing
        self._reading = reading

    def settling(self, feed: str) -> dict[str, Seen]:
        """Files that were seen in a feed's folder and are not stable yet, by path."""
        with self._reading.connect() as connection:
            rows = (
                connection.execute(
                    sa.select(tables.sightings).where(tables.sightings.c.feed == feed)
                )
                .mappings()
                .all()
            )
        seen = [
            Seen(
                names.path_from_text(row["path"]),
                row["fingerprint"],
                row["unchanged_since"],
                row["first_seen"],
            )
            for row in rows
        ]
        return {one.path: one for one in seen}

    def replace_settling(self, feed: str, settling: Iterable[Seen]) -> None:
        """Remember exactly these files of a feed as not stable yet."""
        rows = [
            vars(one) | {"path": names.path_to_text(one.path), "feed": feed} for one in settling
        ]
        with self._engine.begin() as connection:
            connection.execute(tables.sightings.delete().where(tables.sightings.c.feed == feed))
            if rows:
                connection.execute(tables.sightings.insert(), rows)

    def notices(self) -> list[Notice]:
        """What lies in the inbox and cannot be taken, oldest first."""
        query = sa.select(tables.notices).order_by(tables.notices.c.first_seen)
        with self._reading.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Notice(names.path_from_text(row["path"]), row["code"], row["message"]) for row in rows
        ]

    def replace_notices(self, feed: str, notices: Iterable[Notice]) -> list[Notice]:
        """Remember exactly these notices of a feed and return those that are new."""
        now = utc_now()
        wanted = {(names.path_to_text(one.path), one.code): one for one in notices}
        with self._engine.begin() as connection:
            query = sa.select(tables.notices).where(tables.notices.c.feed == feed)
            rows = connection.execute(query).mappings().all()
            known = {(row["path"], row["code"]): row for row in rows}
            if known.keys() == wanted.keys():
                return []
            connection.execute(tables.notices.delete().where(tables.notices.c.feed == feed))
            noted = [
                {
                    "feed": feed,
                    "path": path,
                    "code": code,
                    "message": notice.message,
                    "first_seen": known[path, code]["first_seen"] if (path, code) in known else now,
                    "last_seen": now,
                }
                for (path, code), notice in wanted.items()
            ]
            if noted:
                connection.execute(tables.notices.insert(), noted)
        return [notice for key, notice in wanted.items() if key not in known]
