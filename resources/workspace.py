"""The workspace: every store of one data folder, opened together and handed to the assets."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from nika_pipelines.settings import Settings
from resources.archive import Archive
from resources.inbox import Inbox
from resources.lake import Lake
from resources.ledger import Ledger, open_ledger
from resources.originals import Originals
from resources.report_store import ReportStore
from resources.run_locks import RunLocks
from resources.sidecars import Sidecars


@dataclass(frozen=True)
class Workspace:
    """The stores below one data folder."""

    settings: Settings
    ledger: Ledger
    inbox: Inbox
    originals: Originals
    archive: Archive
    sidecars: Sidecars
    lake: Lake
    report_store: ReportStore
    run_locks: RunLocks


@contextmanager
def open_workspace(settings: Settings) -> Iterator[Workspace]:
    """Open every store of the data folder for the length of a block."""
    archive = Archive(settings.data)
    with open_ledger(settings.data / "ledger.sqlite") as ledger:
        yield Workspace(
            settings=settings,
            ledger=ledger,
            inbox=Inbox(settings, ledger),
            originals=Originals(archive, ledger),
            archive=archive,
            sidecars=Sidecars(settings.data),
            lake=Lake(settings.data),
            report_store=ReportStore(settings),
            run_locks=RunLocks(settings.data / "locks"),
        )


def workspace_resource(settings: Settings) -> dg.ResourceDefinition:
    """The workspace as a Dagster resource, opened per run or per look at the inbox."""

    @dg.resource(description="Ledger, inbox, archive, lake and reports of one data folder.")
    def workspace(_context: dg.InitResourceContext) -> Iterator[Workspace]:
        with open_workspace(settings) as opened:
            yield opened

    return workspace
