"""How a table differs from an earlier version of its dataset, by their sketches.

Belongs here: row counts, columns, empty cells, distributions, categories, freshness. Does not
belong here: what is kept of a table (`sketch`), which earlier versions there are, or calling a
difference an anomaly.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from nika_pipelines.tables.sketch import POINTS, ColumnSketch, TableSketch

if TYPE_CHECKING:
    import numpy as np

    Shares = np.ndarray[Any, np.dtype[np.float64]]

Level = Literal["stable", "moderate", "strong"]
LEVELS: tuple[Level, ...] = ("stable", "moderate", "strong")

MODERATE_PSI, STRONG_PSI = 0.1, 0.25
"""The usual reading of the index: below 0.1 no change, above 0.25 another population (Siddiqi,
Credit Risk Scorecards, 2006)."""

CHANCE = 0.001
"""A change that chance would bring more often than this is none, however large it looks."""

_BINS = 10
_NOTABLE_NULLS, _MANY_NULLS = 0.02, 0.2
_MOST_NAMED = 20
_NAME_CHARACTERS = 80


@dataclass(frozen=True)
class Baseline:
    """An earlier version to compare with; `received_at` is ISO 8601."""

    upload_id: str
    version: int
    received_at: str


@dataclass(frozen=True)
class ColumnDrift:
    """How one column differs.

    Attributes:
        psi: population stability index over the baseline's deciles, or over categories.
        ks: largest distance of the two cumulative distributions (Kolmogorov, Smirnov).
        ks_p: how often chance brings such a distance.
        median_then: median of the baseline; `median_now` of this table.
        new_categories: values that the baseline did not have, the first few.
        vanished_categories: values that only the baseline has, the first few.
        level: what all of it amounts to.
    """

    name: str
    null_share_then: float
    null_share_now: float
    psi: float | None = None
    ks: float | None = None
    ks_p: float | None = None
    median_then: float | None = None
    median_now: float | None = None
    new_categories: list[str] = field(default_factory=list)
    vanished_categories: list[str] = field(default_factory=list)
    level: Level = "stable"


@dataclass(frozen=True)
class TableDrift:
    """How a table differs from one earlier version.

    Attributes:
        gap_s: seconds between the arrivals of the two files.
        data_gap_s: seconds between the newest times in them; null without a time column.
        missing: columns that only the baseline has; `extra` those that only this table has.
        retyped: ``{column, then, now}``.
        compared: columns that both have with the same type.
        columns: of those, all of them.
    """

    baseline: Baseline
    rows_then: int
    rows_now: int
    rejected_share_then: float
    rejected_share_now: float
    gap_s: float
    data_gap_s: float | None
    missing: list[str]
    extra: list[str]
    retyped: list[dict[str, str]]
    reordered: bool
    compared: int
    columns: list[ColumnDrift]
    level: Level

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)


def compare(
    now: TableSketch, received_at: str, then: TableSketch, baseline: Baseline
) -> TableDrift:
    """Compare a table with an earlier version.

    Args:
        now: the table.
        received_at: when its file arrived, ISO 8601.
        then: the earlier version.
        baseline: which version that is.
    """
    before = {column.name: column for column in then.columns}
    after = {column.name: column for column in now.columns}
    common = [name for name in before if name in after]
    same = [name for name in common if before[name].type == after[name].type]
    columns = [_column(before[name], after[name], then.rows, now.rows) for name in same]
    missing = [name for name in before if name not in after]
    extra = [name for name in after if name not in before]
    retyped = [
        {"column": name, "then": before[name].type, "now": after[name].type}
        for name in common
        if name not in same
    ]
    levels = [column.level for column in columns] or ["stable"]
    level: Level = "strong" if missing or extra or retyped else max(levels, key=LEVELS.index)
    return TableDrift(
        baseline=baseline,
        rows_then=then.rows,
        rows_now=now.rows,
        rejected_share_then=_share(then.rejected, then.rows + then.rejected),
        rejected_share_now=_share(now.rejected, now.rows + now.rejected),
        gap_s=_seconds_between(baseline.received_at, received_at) or 0.0,
        data_gap_s=_seconds_between(then.newest, now.newest),
        missing=missing,
        extra=extra,
        retyped=retyped,
        reordered=common != [name for name in after if name in before],
        compared=len(same),
        columns=columns,
        level=level,
    )


def population_stability(
    then: "Sequence[float] | Shares", now: "Sequence[float] | Shares"
) -> float:
    """The population stability index of two counts over the same bins.

    The sum of (a - e) * ln(a / e) over the shares e of the baseline and a of the new table, which
    is the symmetric Kullback-Leibler divergence (Siddiqi, Credit Risk Scorecards, 2006, p. 136;
    Jeffreys 1946). A bin that only one of them leaves empty counts as half a value there, since the
    logarithm of zero has none.

    Args:
        then: counts of the baseline.
        now: counts of the new table, in the same order.
    """
    import numpy as np

    counts = np.asarray([then, now], dtype=float)
    expected, actual = (_filled_shares(row) for row in counts[:, counts.any(axis=0)])
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def kolmogorov_smirnov(then: ColumnSketch, now: ColumnSketch) -> tuple[float, float]:
    """The largest distance of two cumulative distributions, and how often chance brings it.

    The distance is exact where both sketches hold every value, and off by at most one step of the
    sketches elsewhere. The chance is the asymptotic one (Smirnov 1948) with Stephens' correction
    for small samples (Numerical Recipes, 3rd edition, section 14.3.3).
    """
    import numpy as np

    places = np.union1d(then.points or [], now.points or [])
    distance = float(np.max(np.abs(_below(then, places) - _below(now, places))))
    size = math.sqrt(then.sampled * now.sampled / (then.sampled + now.sampled))
    return distance, _chance_of_distance((size + 0.12 + 0.11 / size) * distance)


def _chance_of_distance(scaled: float) -> float:
    """Kolmogorov's distribution beyond a scaled distance: 2 * sum of (-1)^(k-1) exp(-2 k² x²)."""
    if scaled < 0.2:
        return 1.0  # the series converges too slowly, and the chance differs from 1 by 1e-12
    total = sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return float(min(1.0, max(0.0, 2 * total)))


def _filled_shares(counts: "Shares") -> "Shares":
    import numpy as np

    filled = np.where(counts > 0, counts, 0.5)
    shares: Shares = filled / filled.sum()
    return shares


def _below(sketch: ColumnSketch, places: "Shares") -> "Shares":
    """The share of values that are not greater than each place.

    Between two points lies at most a step of the sketch. Where more is gained from one to the next,
    it is the next one that holds it: a value that comes very often.
    """
    import numpy as np

    points = np.asarray(sketch.points)
    shares = np.concatenate([[0.0], np.asarray(sketch.ranks) / sketch.sampled])
    steps = np.searchsorted(points, places, side="right")
    found: Shares = shares[steps]
    if sketch.is_exact:
        return found
    between = np.flatnonzero((steps > 0) & (steps < points.size))
    behind = steps[between]
    low, high = points[behind - 1], points[behind]
    gained = np.minimum(shares[behind + 1] - shares[behind], 1 / (POINTS - 1))
    found[between] += gained * (places[between] - low) / (high - low)
    return found


def _column(then: ColumnSketch, now: ColumnSketch, rows_then: int, rows_now: int) -> ColumnDrift:
    empty_then, empty_now = _share(then.nulls, rows_then), _share(now.nulls, rows_now)
    found = ColumnDrift(now.name, empty_then, empty_now)
    levels = [_null_level(then.nulls, rows_then, now.nulls, rows_now)]
    if then.points and now.points:
        values, level = _numbers(then, now)
        levels.append(level)
        found = ColumnDrift(now.name, empty_then, empty_now, **values)
    elif then.categories and now.categories:
        values, level = _words(then.categories, now.categories)
        levels.append(level)
        found = ColumnDrift(now.name, empty_then, empty_now, **values)
    return ColumnDrift(**asdict(found) | {"level": max(levels, key=LEVELS.index)})


def _numbers(then: ColumnSketch, now: ColumnSketch) -> tuple[dict[str, Any], Level]:
    """Distances of two distributions. Both measures must speak: one of size, one of chance."""
    import numpy as np

    edges = _quantiles(then, [n / _BINS for n in range(1, _BINS)])
    bins_then = np.diff(np.concatenate([[0.0], _below(then, edges), [1.0]])) * then.sampled
    bins_now = np.diff(np.concatenate([[0.0], _below(now, edges), [1.0]])) * now.sampled
    psi = population_stability(bins_then, bins_now)
    distance, chance = kolmogorov_smirnov(then, now)
    medians = float(_quantiles(then, [0.5])[0]), float(_quantiles(now, [0.5])[0])
    values = {
        "psi": round(psi, 4),
        "ks": round(distance, 4),
        "ks_p": chance,
        "median_then": medians[0],
        "median_now": medians[1],
    }
    return values, _level(psi, chance)


def _words(then: dict[str, int], now: dict[str, int]) -> tuple[dict[str, Any], Level]:
    """The same for categories; whether chance brings the change is asked of the rarest cells."""
    names = sorted(then.keys() | now.keys())
    counts_then = [then.get(name, 0) for name in names]
    counts_now = [now.get(name, 0) for name in names]
    psi = population_stability(counts_then, counts_now)
    # By chance the index is about chi-square distributed, times this (Yurdakul 2018, theorem 1).
    by_chance = 1 / sum(counts_then) + 1 / sum(counts_now)
    chance = _chi_square_beyond(psi / by_chance, max(1, len(names) - 1))
    new = sorted((name for name in now if name not in then), key=lambda name: -now[name])
    gone = sorted((name for name in then if name not in now), key=lambda name: -then[name])
    values = {
        "psi": round(psi, 4),
        "new_categories": [name[:_NAME_CHARACTERS] for name in new[:_MOST_NAMED]],
        "vanished_categories": [name[:_NAME_CHARACTERS] for name in gone[:_MOST_NAMED]],
    }
    return values, _level(psi, chance)


def _chi_square_beyond(value: float, degrees: int) -> float:
    """How often chance exceeds a chi-square value (Wilson and Hilferty 1931)."""
    spread = 2 / (9 * degrees)
    score: float = (math.cbrt(value / degrees) - (1 - spread)) / math.sqrt(spread)
    return math.erfc(score / math.sqrt(2)) / 2


def _level(psi: float, chance: float) -> Level:
    if chance > CHANCE or psi < MODERATE_PSI:
        return "stable"
    return "strong" if psi >= STRONG_PSI else "moderate"


def _null_level(nulls_then: int, rows_then: int, nulls_now: int, rows_now: int) -> Level:
    """Whether the share of empty cells changed, by size and by the test of two proportions."""
    if not (rows_then and rows_now):
        return "stable"
    change = abs(nulls_now / rows_now - nulls_then / rows_then)
    pooled = (nulls_then + nulls_now) / (rows_then + rows_now)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / rows_then + 1 / rows_now))
    chance = math.erfc(change / spread / math.sqrt(2)) if spread else 1.0
    if change < _NOTABLE_NULLS or chance > CHANCE:
        return "stable"
    return "strong" if change >= _MANY_NULLS else "moderate"


def _quantiles(sketch: ColumnSketch, shares: Sequence[float]) -> "Shares":
    """The smallest points that hold these shares of the values, each once."""
    import numpy as np

    places = np.searchsorted(np.asarray(sketch.ranks), np.asarray(shares) * sketch.sampled)
    found: Shares = np.unique(np.asarray(sketch.points)[places])
    return found


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _seconds_between(then: str | None, now: str | None) -> float | None:
    if then is None or now is None:
        return None
    return (datetime.fromisoformat(now) - datetime.fromisoformat(then)).total_seconds()
