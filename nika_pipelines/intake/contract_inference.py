"""The first contract of a dataset, read off its first table.

Belongs here: which promises make sense for which column, and how far a later file may leave a
range that was only inferred. Does not belong here: checking promises (`contract_check`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nika_pipelines.intake.column_counts import unoptimized
from nika_pipelines.intake.contract_check import repeated_values
from nika_pipelines.intake.contract_file import Bound, ColumnRule, Contract
from nika_pipelines.intake.masking import masked_text
from nika_pipelines.intake.reading_options import NOTHING_SAID, ReadingOptions
from nika_pipelines.intake.records import Column
from nika_pipelines.sql import identifier, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

RANGE_SLACK = 0.25
"""Share of a numeric range by which the next file may leave it before an inferred contract warns.

The range of a file is easily left by the next of the same kind: of pairs of files with 100 normal
values, 75 % warned without slack, 37 % at a tenth of the range, 6 % at a quarter.
"""
_COLUMNS_PER_SCAN = 60
_MOST_LISTED_VALUES = 50


def infer_contract(
    dataset: str,
    columns: Sequence[Column],
    con: "DuckDBPyConnection",
    parquet: Path,
    reading: ReadingOptions = NOTHING_SAID,
) -> Contract:
    """Read a first contract off a typed table, of which it is true.

    Ranges are promised of measures, money and ordinals, value sets of categories and ordinal
    texts, uniqueness of ids. Dates and ids always bring new values, so they get no range. No value
    that tells of a person is written into a contract.

    Args:
        dataset: name of the dataset.
        columns: the table's columns.
        con: any connection.
        parquet: the typed table.
        reading: how a person said that the file is to be read; later files are read so, too.
    """
    rules: list[ColumnRule] = []
    for start in range(0, len(columns), _COLUMNS_PER_SCAN):
        rules += _inferred_rules(columns[start : start + _COLUMNS_PER_SCAN], con, parquet)
    return Contract(dataset, tuple(rules), reading=replace(reading, columns={}))


def with_slack(contract: Contract) -> Contract:
    """The contract with wider numeric ranges: by `RANGE_SLACK` of the range, never across zero."""
    return replace(contract, columns=tuple(_with_slack(rule) for rule in contract.columns))


def value_set(values: list[Any] | None) -> tuple[Bound, ...] | None:
    """The only values of a column, as a contract lists them; None if they are too many to list."""
    found = sorted(value for value in values or () if value is not None)
    if any(isinstance(value, str) and masked_text(value) != value for value in found):
        return None
    return tuple(found) if 0 < len(found) <= _MOST_LISTED_VALUES else None


def _inferred_rules(
    columns: Sequence[Column], con: "DuckDBPyConnection", parquet: Path
) -> Iterator[ColumnRule]:
    source = parquet_rows(parquet)
    facts: list[str] = ["count(*)"]
    for column in columns:
        name = identifier(column.name)
        ranged = _has_range(column)
        facts += [
            f"count({name})",
            f"min({name})" if ranged else "NULL",
            f"max({name})" if ranged else "NULL",
            # Typing found few different values: their list is small.
            f"list(DISTINCT {name})" if _has_value_set(column) else "NULL",
        ]
    with unoptimized(con):
        row = con.execute(f"SELECT {', '.join(facts)} FROM {source}").fetchone() or (0,)
    for n, column in enumerate(columns):
        filled, low, high, values = row[1 + 4 * n : 5 + 4 * n]
        yield ColumnRule(
            name=column.name,
            type=column.type,
            semantic_type=column.semantic_type,
            format=column.format,
            unit=column.unit,
            personal=False if column.cleared else column.personal or None,
            nullable=filled < row[0],
            unique=column.semantic_type == "id"
            and not repeated_values(con, parquet, column.name, limit=1),
            ge=low,
            le=high,
            isin=value_set(values),
        )


def _has_range(column: Column) -> bool:
    numeric = column.type in ("integer", "float") and not column.personal
    return numeric and column.semantic_type in ("measure", "money", "ordinal")


def _has_value_set(column: Column) -> bool:
    if column.personal:
        return False
    if column.type == "text":
        return column.semantic_type in ("category", "ordinal")
    return column.type == "integer" and column.semantic_type == "category"


def _with_slack(rule: ColumnRule) -> ColumnRule:
    import math

    low, high = rule.ge, rule.le
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return rule  # Dates are text here; half a range was set by hand.
    slack = RANGE_SLACK * (high - low)
    # A first negative value is news, however small.
    least = max(0, low - slack) if low >= 0 else low - slack
    most = min(0, high + slack) if high <= 0 else high + slack
    if rule.type == "integer":
        least, most = math.floor(least), math.ceil(most)
    if not math.isfinite(slack):
        return rule
    return replace(rule, ge=least, le=most)
