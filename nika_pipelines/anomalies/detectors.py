"""The detectors: plain functions that look at one column and return what they would flag.

To add one, write a function ``(ColumnView, Settings) -> Flags | None`` and put it into
`DETECTORS`; `engine` joins, ranks and words whatever it returns.

The classic thresholds (z 3.0, IQR 1.5, MAD 3.5) are only floors: z > 3 alone flags 2.7 of 1,000
normal values. What becomes a finding is decided by the score, which comes from the tail of the
column itself (`tails`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nika_pipelines.anomalies.columns import SIGMA_PER_MAD, ColumnView
from nika_pipelines.anomalies.records import Kind
from nika_pipelines.settings import Settings

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    Floats = NDArray[float64]
    Integers = NDArray[int64]

MISSING_FALSE_RUNS = 0.05
"""Runs of missing values expected in a file whose values are missing independently."""
SHORTEST_MISSING_RUN = 3
MOST_MISSING_SHARE = 0.5
MOST_MISSING_RUNS = 500


@dataclass(frozen=True)
class Flags:
    """What one detector flags in one column; the arrays run in parallel.

    Attributes:
        first: first data row of each flag, counted from 1; equal to `last` for single values.
        score: calibrated surprise, see `records.Anomaly.score`.
        strength: the detector's own statistic as a multiple of its threshold.
        low: the detector's own lower bound, None if it has none.
    """

    method: str
    kind: Kind
    first: "Integers"
    last: "Integers"
    value: "Floats"
    score: "Floats"
    strength: "Floats"
    low: float | None
    high: float | None


Detector = Callable[[ColumnView, Settings], Flags | None]


def z_score(view: ColumnView, settings: Settings) -> Flags | None:
    """Values more than so many standard deviations from the mean."""
    mean, std = view.profile.mean, view.profile.std
    if mean is None or not std:
        return None
    return _beyond(view, "z_score", mean, mean, settings.z_score_threshold * std)


def iqr(view: ColumnView, settings: Settings) -> Flags | None:
    """Values outside Tukey's fences: so many interquartile ranges beyond the quartiles."""
    q1, q3 = view.profile.q1, view.profile.q3
    if q1 is None or q3 is None or q3 <= q1:
        return None
    return _beyond(view, "iqr", q1, q3, settings.iqr_multiplier * (q3 - q1))


def mad(view: ColumnView, settings: Settings) -> Flags | None:
    """Values many median absolute deviations from the median (Iglewicz and Hoaglin, 1993)."""
    measures = view.measures
    if measures is None or measures.mad <= 0:
        return None
    reach = settings.mad_threshold * measures.mad * SIGMA_PER_MAD
    return _beyond(view, "mad", measures.median, measures.median, reach)


def missing_run(view: ColumnView, _: Settings) -> Flags | None:
    """Runs of missing values longer than independent misses would make.

    With a share q missing, n (1 - q) q^L runs of at least L are expected in n rows.
    """
    import numpy as np

    nulls, n = view.profile.nulls, view.rows
    if nulls < SHORTEST_MISSING_RUN or nulls >= MOST_MISSING_SHARE * n:
        return None
    share = nulls / n
    starts = math.log10(n * (1 - share) * view.gappy_columns)
    longest_usual = (starts - math.log10(MISSING_FALSE_RUNS)) / -math.log10(share)
    shortest = max(SHORTEST_MISSING_RUN, math.ceil(longest_usual))
    first, last = view.null_runs(shortest, MOST_MISSING_RUNS)
    length = (last - first + 1).astype(np.float64)
    return Flags(
        method="missing_run",
        kind="missing_data_pattern",
        first=first,
        last=last,
        value=length,
        score=-(starts + length * math.log10(share)),
        strength=length / shortest,
        low=0.0,
        high=float(shortest - 1),
    )


DETECTORS: list[Detector] = [z_score, iqr, mad, missing_run]
OUTLIER_METHODS = 3


def _beyond(
    view: ColumnView, method: str, lower: float, upper: float, reach: float
) -> Flags | None:
    """Flag what lies more than ``reach`` below ``lower`` or above ``upper``."""
    import numpy as np

    if view.measures is None or not math.isfinite(reach) or reach <= 0:
        return None
    rows, values = view.outside(lower - reach, upper + reach)
    with np.errstate(over="ignore"):
        strength = np.maximum(values - upper, lower - values) / reach
    return Flags(
        method=method,
        kind="statistical_outlier",
        first=rows,
        last=rows,
        value=values,
        score=view.scores(values),
        strength=strength,
        low=lower - reach,
        high=upper + reach,
    )
