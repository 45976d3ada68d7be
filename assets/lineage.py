"""Column schemas and column lineage of the per-upload assets, as the web UI draws them."""

from collections.abc import Sequence

import dagster as dg

from nika_pipelines.intake.records import Column

_MOST_COLUMNS = 200
_MOST_SOURCES = 20  # each figure names its sources, so their number multiplies
_RAW, _TABLE = dg.AssetKey("raw_upload"), dg.AssetKey("validated_table")


def _schema(**columns: str) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])


STATISTICS_SCHEMA = _schema(
    name="varchar",
    type="varchar",
    semantic_type="varchar",
    count="bigint",
    nulls="bigint",
    distinct="bigint",
    mean="double",
    std="double",
    min="double",
    q1="double",
    median="double",
    q3="double",
    max="double",
    skewness="double",
    kurtosis="double",
)
"""One row per column of the table."""

ANOMALIES_SCHEMA = _schema(
    id="varchar",
    kind="varchar",
    method="varchar",
    severity="varchar",
    score="double",
    column="varchar",
    row_start="bigint",
    row_end="bigint",
    value="double",
    effect="double",
)
"""One row per finding."""


def lineage_from_file(columns: Sequence[Column]) -> dg.TableColumnLineage:
    """Every column of the table comes from the column of that header in the file."""
    return dg.TableColumnLineage(
        {
            column.name: [dg.TableColumnDep(_RAW, column.source_name or column.name)]
            for column in columns[:_MOST_COLUMNS]
        }
    )


def lineage_to_table(schema: dg.TableSchema, columns: Sequence[Column]) -> dg.TableColumnLineage:
    """Every figure is computed from each of the table's columns in turn; the first are named."""
    sources = [dg.TableColumnDep(_TABLE, column.name) for column in columns[:_MOST_SOURCES]]
    return dg.TableColumnLineage({column.name: sources for column in schema.columns})
