"""Which columns are judged, and what a detector gets to see of one.

Belongs here: eligibility, reading one column at a time, its centre, scale and fitted tails.
Does not belong here: thresholds and decisions (`detectors`, `engine`).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.anomalies.tails import Tail, fit_tail
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, parquet_rows
from nika_pipelines.tables.records import ColumnProfile, TableProfile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy import float64, int64
    from numpy.typing import NDArray

    Floats = NDArray[float64]
    Integers = NDArray[int64]

MOST_VALUES_IN_MEMORY = 2_000_000
"""Longer columns are judged by a sample of this size, and only their extremes are read."""
NAME_LIKE = ("id", "category", "name", "phone", "email")
SIGMA_PER_MAD = 1.4826
"""1 / Phi^-1(3/4): makes the median absolute deviation of a normal column its sigma."""


@dataclass(frozen=True)
class Measures:
    """Centre, scale and tails of a numeric column.

    Attributes:
        n: finite values in the whole column.
        mad: median absolute deviation from the median.
        sigma: robust sigma; not zero while the column is not constant.
        rows: 1-based data rows of `values`, ascending.
        values: finite values, all of them or a sample.
        is_sample: whether `values` are a sample.
    """

    n: int
    median: float
    mad: float
    sigma: float
    lower: Tail | None
    upper: Tail | None
    rows: "Integers"
    values: "Floats"
    is_sample: bool


@dataclass(frozen=True)
class ColumnView:
    """One column as the detectors see it.

    Attributes:
        looks: columns times methods times sides that share the file's limit on false flags.
        gappy_columns: columns with missing values, which share the limit on missing runs.
        measures: None when the column does not hold measurements.
    """

    con: "DuckDBPyConnection"
    parquet: Path
    rows: int
    profile: ColumnProfile
    looks: int
    gappy_columns: int
    measures: Measures | None

    def outside(self, low: float, high: float) -> tuple["Integers", "Floats"]:
        """Data rows and values below ``low`` or above ``high``, in file order."""
        measures = self.measures
        if measures is None or measures.is_sample:
            where = f"(v < '{low!r}'::DOUBLE OR v > '{high!r}'::DOUBLE)"
            return _read(self.con, self.parquet, self.profile, where)
        beyond = (measures.values < low) | (measures.values > high)
        return measures.rows[beyond], measures.values[beyond]

    def scores(self, values: "Floats") -> "Floats":
        """-log10 of the number of flags as extreme as each value to expect in such a file."""
        import numpy as np

        score = np.full(len(values), -math.inf)
        measures = self.measures
        if measures is None:
            return score
        for tail, sign in ((measures.upper, 1), (measures.lower, -1)):
            distances = (values - measures.median) * sign
            outer = distances > 0
            if tail is not None and outer.any():
                score[outer] = -tail.log10_survival(np.maximum(distances[outer] - self.step, 0))
        return score - math.log10(measures.n * self.looks)

    def limits(self, score: float) -> tuple[float | None, float | None]:
        """The values that score exactly ``score`` on either side; None on a side without tail."""
        measures = self.measures
        if measures is None:
            return None, None
        wanted = -score - math.log10(measures.n * self.looks)
        low, high = (
            None if tail is None else tail.distance(wanted) + self.step
            for tail in (measures.lower, measures.upper)
        )
        return (
            None if low is None else measures.median - low,
            None if high is None else measures.median + high,
        )

    @property
    def step(self) -> float:
        """A whole number stands for half a step around it when tails are continuous."""
        return 0.5 if self.profile.type == "integer" else 0.0

    def null_runs(self, shortest: int, most: int) -> tuple["Integers", "Integers"]:
        """First and last data rows of the longest runs of missing values, longest first."""
        column = identifier(self.profile.name)
        found = self.con.execute(
            f"SELECT min(r) AS first, max(r) AS last FROM (SELECT r, r - row_number() OVER "
            f"(ORDER BY r) AS run FROM (SELECT row_number() OVER () AS r, {column} AS v "
            f"FROM {parquet_rows(self.parquet)}) WHERE v IS NULL) GROUP BY run "
            f"HAVING count(*) >= {shortest} ORDER BY count(*) DESC, first LIMIT {most}"
        ).fetchnumpy()
        return found["first"], found["last"]


@dataclass(frozen=True)
class Refusal:
    """Why a column is not judged: for a list of such columns, and behind the name of this one.

    `by_nature` and `partly` are those of `records.Unjudged`.
    """

    reason: str
    brief: str
    by_nature: bool = False
    partly: bool = False


def eligible_columns(
    profile: TableProfile, settings: Settings
) -> tuple[list[ColumnProfile], dict[str, Refusal]]:
    """The columns that hold measurements, and why each other numeric column is not judged."""
    chosen: list[ColumnProfile] = []
    refused: dict[str, Refusal] = {}
    for column in profile.columns:
        if column.type not in ("integer", "float"):
            continue
        refusal = _refusal(column, profile.rows, settings)
        if refusal is None:
            chosen.append(column)
        else:
            refused[column.name] = refusal
    return chosen, refused


def _refusal(column: ColumnProfile, rows: int, settings: Settings) -> Refusal | None:
    values, needed = column.count - column.non_finite, settings.min_samples
    if column.personal:
        return Refusal("personal data, not measurements", "personal data", by_nature=True)
    if column.semantic_type in NAME_LIKE:
        brief = f"{column.semantic_type}, not a measurement"
        return Refusal("names or categories, not measurements", brief, by_nature=True)
    if values < needed:
        counted = f"{values:,} value" if values == 1 else f"{values:,} values"
        return Refusal(f"fewer than {needed:,} values", f"{counted}, {needed:,} needed")
    if column.is_constant:
        return Refusal("only one value throughout", "only one value throughout")
    if _is_row_counter(column, rows):
        return Refusal("counts the rows", "counts the rows", by_nature=True)
    if column.nulls > rows / 2:
        return Refusal("more than half empty", "more than half empty")
    return None


def _is_row_counter(column: ColumnProfile, rows: int) -> bool:
    return (
        column.type == "integer"
        and column.nulls == 0
        and column.distinct == rows
        and isinstance(column.min, int)
        and isinstance(column.max, int)
        and column.max - column.min == rows - 1
    )


def measure(con: "DuckDBPyConnection", parquet: Path, column: ColumnProfile) -> Measures:
    """Read a numeric column and fit its tails."""
    import numpy as np

    n = column.count - column.non_finite
    stride = math.ceil(n / MOST_VALUES_IN_MEMORY)
    rows, values = _read(con, parquet, column, f"hash(r) % {stride} = 0")
    median = float(column.median or 0.0)
    mad = float(np.median(np.abs(values - median)))
    return Measures(
        n=n,
        median=median,
        mad=mad,
        sigma=_sigma(column, mad),
        lower=fit_tail(_positive(median - values), len(values)),
        upper=fit_tail(_positive(values - median), len(values)),
        rows=rows,
        values=values,
        is_sample=stride > 1,
    )


def _positive(distances: "Floats") -> "Floats":
    return distances[distances > 0]


def _sigma(column: ColumnProfile, mad: float) -> float:
    """The first robust measure of scale that is not zero, in units of a normal sigma."""
    quartile_range = (column.q3 or 0.0) - (column.q1 or 0.0)
    return mad * SIGMA_PER_MAD or quartile_range / 1.349 or column.std or 0.0


def _read(
    con: "DuckDBPyConnection", parquet: Path, column: ColumnProfile, where: str
) -> tuple["Integers", "Floats"]:
    """The rows and finite values of a column in file order."""
    found = con.execute(
        f"SELECT r, v FROM (SELECT row_number() OVER () AS r, {identifier(column.name)}::DOUBLE AS v "
        f"FROM {parquet_rows(parquet)}) WHERE v IS NOT NULL AND isfinite(v) AND {where}"
    ).fetchnumpy()
    return found["r"], found["v"]
