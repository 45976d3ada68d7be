"""Comparing a table with the versions of its dataset that came before it.

Belongs here: which earlier versions there are, and where their sketches and the comparison are
kept. Does not belong here: how tables are compared (`nika_pipelines.tables.drift`).
"""

from typing import TYPE_CHECKING, Any

from assets.stages import StageInput

if TYPE_CHECKING:
    from nika_pipelines.tables.drift import TableDrift
    from nika_pipelines.tables.sketch import TableSketch

SKETCH, DRIFT = "sketch", "drift"


def compare_with_earlier(given: StageInput, sketch: "TableSketch") -> "list[TableDrift]":
    """Keep a table's sketch, and how it differs from each earlier version, newest first."""
    from nika_pipelines.tables.drift import Baseline, compare
    from nika_pipelines.tables.sketch import TableSketch

    upload, store = given.upload, given.workspace.report_store
    store.write_document(upload.feed, upload.upload_id, SKETCH, sketch.to_json())
    limit = given.workspace.settings.drift_baselines
    found = []
    for earlier in given.workspace.ledger.earlier_versions(upload, limit) if limit else []:
        try:
            document = store.read_document(earlier.feed, earlier.upload_id, SKETCH)
        except FileNotFoundError:
            continue  # it was refused, or its statistics are still being made
        baseline = Baseline(earlier.upload_id, earlier.version or 1, earlier.received_at)
        found.append(compare(sketch, upload.received_at, TableSketch.from_json(document), baseline))
    store.write_document(
        upload.feed,
        upload.upload_id,
        DRIFT,
        {"schema_version": 1, "comparisons": [one.to_json() for one in found]},
    )
    return found


def stored_comparisons(given: StageInput) -> list[dict[str, Any]] | None:
    """The comparisons that the statistics of an upload left; None if they were made before any."""
    upload, store = given.upload, given.workspace.report_store
    try:
        document = store.read_document(upload.feed, upload.upload_id, DRIFT)
    except FileNotFoundError:
        return None
    comparisons: list[dict[str, Any]] = document["comparisons"]
    return comparisons
