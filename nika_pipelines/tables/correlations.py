"""Pearson correlations of the numeric columns, pairwise complete.

Identifiers and constant columns take no part. The number of pairs is bounded: their count grows
with the square of the columns, and a table of pairs that nobody reads is not worth a long scan.
"""

import math
from collections.abc import Iterator
from itertools import combinations, islice
from typing import TYPE_CHECKING

from nika_pipelines.tables.moments import Spread, scaled_expression
from nika_pipelines.tables.records import ColumnProfile, Correlation

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_COLUMNS = 40
"""780 pairs; the first columns in file order are taken."""
PAIR_ROWS = 400_000_000
"""Most pairs times rows, about ten seconds of work; fewer columns are taken in longer tables."""
FEWEST_ROWS = 3
BATCH_PAIRS = 200


def pearson_correlations(
    con: "DuckDBPyConnection",
    source: str,
    profiles: list[ColumnProfile],
    spreads: dict[str, Spread],
    rows: int,
) -> tuple[list[Correlation], str | None]:
    """Pearson's r of each pair of numeric columns, and a note if columns were left out."""
    eligible = [column.name for column in profiles if _is_measure(column, spreads)]
    names = eligible[: _columns_within_limits(rows)]
    found: list[Correlation] = []
    scaled = ", ".join(
        f"{scaled_expression(name, spreads[name])} AS d{place}" for place, name in enumerate(names)
    )
    pairs: Iterator[tuple[int, int]] = combinations(range(len(names)), 2)
    while batch := list(islice(pairs, BATCH_PAIRS)):
        sums = ", ".join(f"corr(d{a}, d{b}), regr_count(d{a}, d{b})" for a, b in batch)
        row = con.execute(f"SELECT {sums} FROM (SELECT {scaled} FROM {source})").fetchone() or ()
        for (a, b), r, n in zip(batch, row[::2], row[1::2], strict=True):
            if r is not None and n >= FEWEST_ROWS and math.isfinite(r):
                found.append(Correlation(names[a], names[b], max(-1.0, min(1.0, r)), n))
    if len(names) == len(eligible):
        return found, None
    return found, (f"Correlations cover the first {len(names)} of {len(eligible)} numeric columns.")


def _is_measure(column: ColumnProfile, spreads: dict[str, Spread]) -> bool:
    return column.name in spreads and not column.is_constant and column.semantic_type != "id"


def _columns_within_limits(rows: int) -> int:
    count = MOST_COLUMNS
    while count > 2 and count * (count - 1) // 2 * rows > PAIR_ROWS:
        count -= 1
    return count
