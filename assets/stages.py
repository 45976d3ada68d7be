"""What a per-upload system is made of: stages, their checks, and what they are given and report.

Belongs here: the declarations that a system fills in. Does not belong here: how a run takes its
uploads through them (`batches`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from nika_pipelines.intake.names import display_name
from nika_pipelines.intake.states import Upload, UploadState
from resources.warehouse import Warehouse
from resources.workspace import Workspace


class DuplicateUpload(Exception):
    """The upload has the content and options of a finished one; nothing is computed again.

    Attributes:
        original: the finished upload.
        message: what is the same, for people, and where the result is.
    """

    def __init__(self, upload: Upload, original: Upload) -> None:
        """Point to the finished upload."""
        super().__init__(original.upload_id)
        self.original = original
        if (upload.original_name, upload.tag) == (original.original_name, original.tag):
            self.message = f"same content and name as {original.upload_id}"
        else:
            name = display_name(original.original_name)
            folder = f"{display_name(original.tag)}/" if original.tag else ""
            self.message = (
                f"alias: the content of {original.upload_id} under another name ({folder}{name});"
                " its result is there"
            )


@dataclass(frozen=True)
class StageCheck:
    """The outcome of one check of a stage: a `CheckSpec` name, and what was found."""

    name: str
    passed: bool
    metadata: Mapping[str, Any] = field(default_factory=dict)
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR


@dataclass(frozen=True)
class StageOutcome:
    """What a stage reports: metadata for the web UI, checks, and a summary for the ledger."""

    metadata: Mapping[str, Any]
    checks: Sequence[StageCheck] = ()
    summary: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class StageInput:
    """What a stage is given. `stage_times` holds the seconds of the stages before it."""

    upload: Upload
    workspace: Workspace
    run_id: str
    stage_times: Mapping[str, float]


@dataclass(frozen=True)
class CheckSpec:
    """A check that a stage evaluates: its name and what it promises."""

    name: str
    description: str


@dataclass(frozen=True)
class Stage:
    """One asset of a per-upload system.

    Attributes:
        asset: asset key.
        deps: assets that it reads.
        state: state of an upload while the stage works on it.
        run: does the work; raises `UploadRejected` when the file is at fault.
        description: what the web UI shows.
        kinds: technologies, shown as badges.
        checks: checks that `run` reports.
        freshness: when the asset counts as stale, if ever.
    """

    asset: str
    deps: tuple[str, ...]
    state: UploadState
    run: Callable[[StageInput], StageOutcome]
    description: str
    kinds: frozenset[str]
    checks: tuple[CheckSpec, ...] = ()
    freshness: dg.FreshnessPolicy | None = None


@dataclass(frozen=True)
class Chain:
    """A per-upload system.

    Attributes:
        feed: drop folder, group and name of the system.
        stages: in order.
        gate: asset and check that fail when a file is refused.
        partitions_def: its uploads.
        owners: who answers for it.
        finish: brings the warehouse up to date; called once per run, after the last upload.
    """

    feed: str
    stages: tuple[Stage, ...]
    gate: tuple[str, str]
    partitions_def: dg.DynamicPartitionsDefinition
    owners: tuple[str, ...]
    finish: Callable[[Workspace, Warehouse], None]
