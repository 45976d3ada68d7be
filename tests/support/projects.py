"""A data folder with a real Dagster instance of its own, and the job that works on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from assets.batches import BATCH_TAG
from nika_pipelines.intake.states import Upload
from nika_pipelines.sensors import partition_range_tags
from nika_pipelines.settings import Settings
from resources.workspace import Workspace

CLEAN = "day,amount,city\n" + "".join(
    f"2026-01-{1 + n % 28:02d},{n % 17}.5,{'Kyiv' if n % 2 else 'Lviv'}\n" for n in range(60)
)


@dataclass
class Project:
    """One data folder under test."""

    settings: Settings
    instance: dg.DagsterInstance
    workspace: Workspace
    definitions: dg.Definitions

    def arrive(self, **files: str | bytes) -> list[Upload]:
        """Put files into the inbox and take them; ``a_csv`` means ``a.csv``."""
        folder = self.workspace.inbox.folder("tables")
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (folder / name.replace("_csv", ".csv").replace("_xlsx", ".xlsx")).write_bytes(data)
        return sorted(self.workspace.inbox.look("tables").taken, key=lambda one: one.upload_id)

    def run(
        self,
        uploads: Sequence[Upload],
        selection: Sequence[str] | None = None,
        batch: str | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run the job over uploads, in the order given."""
        keys = [upload.upload_id for upload in uploads]
        self.instance.add_dynamic_partitions("table_uploads", keys)
        if batch is not None:
            self.workspace.ledger.offer(keys, batch)
        tags = partition_range_tags(keys) | ({} if batch is None else {BATCH_TAG: batch})
        return self.definitions.resolve_job_def("ingest_tables").execute_in_process(
            instance=self.instance,
            tags=tags,
            asset_selection=None if selection is None else [dg.AssetKey(key) for key in selection],
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def now(self, upload: Upload) -> Upload:
        """The upload as the ledger knows it now."""
        found = self.workspace.ledger.get(upload.upload_id)
        assert found is not None
        return found

    def materialised(self, asset: str) -> list[str]:
        """Partitions of an asset that were materialised, once per event."""
        records = self.instance.fetch_materializations(dg.AssetKey(asset), limit=1000).records
        return sorted(str(record.partition_key) for record in records)
