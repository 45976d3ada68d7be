"""How far is too far: the tail of one side of a column, fitted so that clean data stay quiet.

The model of the values beyond a threshold is the tail of Student's t distribution with unknown
scale and shape 1 / (degrees of freedom): shape 0 is the normal distribution, 1/3 is heavy, 1 is
Cauchy's. Light tails (uniform) are covered by shape 0, skewed ones (exponential, lognormal) by
shapes above it, both on the careful side. Three choices keep the promise about false flags:

* The largest exceedances are censored: they count as "beyond", not by their size, so a few
  outliers cannot stretch the tail until they look ordinary.
* Shape and scale are averaged over their posterior on a grid instead of being fitted as a point;
  a point estimate extrapolated by three decades is far too sure of itself. The prior leans
  towards light tails.
* A long column counts as at most `MOST_EVIDENCE` exceedances: more data do not make a model of
  the tail truer than it is.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    Floats = NDArray[float64]
    Integers = NDArray[int64]

FEWEST_EXCEEDANCES = 8
MOST_EVIDENCE = 600.0
NODES = 80
"""Long tails are read at this many evenly spaced order statistics."""
CENSORED_SHARE = 0.10
SHAPES = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.27, 0.35, 0.45, 0.6, 0.8, 1.0, 1.5, 2.0)
SHAPE_PRIOR = 0.3
"""Mean of the exponential prior on the shape."""
SCALES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.12, 1.25, 1.4, 1.6, 1.9, 2.3)
"""Scales on the grid, in units of the normal distribution with the same threshold."""
LOWEST_LOG10 = -30.0
"""Probabilities below 10 to this are all the same: impossible."""


@dataclass(frozen=True)
class Tail:
    """The distribution of distances from the median on one side of a column.

    Attributes:
        share: share of all values that lie beyond the threshold.
        threshold: distance from the median where the model begins.
        unit: scale of the normal distribution with the same share beyond the same threshold.
        shapes: places in `SHAPES` of the t distributions that are averaged.
        scales: their scales, in units.
        weights: their posterior probabilities, divided by what each has beyond the threshold.
    """

    share: float
    threshold: float
    unit: float
    shapes: "Integers"
    scales: "Floats"
    weights: "Floats"

    def log10_survival(self, distances: "Floats") -> "Floats":
        """Log10 of the probability that a value lies at least this far out; 0 at the threshold."""
        import numpy as np

        bound = self.threshold / self.unit
        # The upper limit only keeps absurd values finite.
        places = np.clip(distances / self.unit, bound, 1e100)
        if len(places) <= NODES:
            logs = self._log10(places)
        else:
            excess = np.log1p(places - bound)
            grid = np.linspace(0, float(excess.max()), 2 * NODES)
            logs = np.interp(excess, grid, self._log10(bound + np.expm1(grid)))
        return np.where(distances <= self.threshold, 0.0, np.maximum(logs, LOWEST_LOG10))

    def distance(self, log10_probability: float) -> float:
        """The distance whose survival is given, by bisection; the threshold if it lies inside."""
        import numpy as np

        def lies_inside(distance: float) -> bool:
            return bool(self.log10_survival(np.array([distance]))[0] > log10_probability)

        low, high = self.threshold, self.threshold + self.unit
        while lies_inside(high):
            low, high = high, high * 2
            if high > self.unit * 1e100:
                return math.inf
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if lies_inside(middle) else (low, middle)
        return high

    def _log10(self, places: "Floats") -> "Floats":
        import numpy as np

        survival = np.zeros(len(places))
        for shape in np.unique(self.shapes):
            same = self.shapes == shape
            logs = log_survival(int(shape), places[:, None] / self.scales[same])
            survival += np.exp(logs) @ self.weights[same]
        return np.log10(np.maximum(self.share * survival, 1e-300))


def tail_share(n: int) -> float:
    """The share of values that the model of a tail is fitted to: fewer, the more there are."""
    return 0.30 * min(1.0, math.sqrt(math.sqrt(500 / n)))


def fit_tail(distances: "Floats", n: int) -> Tail | None:
    """Fit the tail of one side of a column.

    Args:
        distances: positive distances from the median of the values on this side.
        n: number of values in the whole column.

    Returns:
        The tail, or None when too few different values lie on this side to speak of one.
    """
    import numpy as np

    wanted = math.ceil(tail_share(n) * n)
    threshold = 0.0
    exceeding = distances
    if wanted < len(distances):
        threshold = float(np.partition(distances, -wanted - 1)[-wanted - 1])
        exceeding = distances[distances > threshold]
    if len(exceeding) < FEWEST_EXCEEDANCES:
        return None
    share = len(exceeding) / n
    quantile = NormalDist().inv_cdf(1 - min(share, 0.45))
    unit = threshold / quantile if threshold > 0 else float(np.median(exceeding))
    shapes, scales, weights = _posterior(np.sort(exceeding) / unit, threshold / unit)
    return Tail(share, threshold, unit, shapes, scales, weights)


def _posterior(places: "Floats", bound: float) -> tuple["Integers", "Floats", "Floats"]:
    """Weigh every shape and scale by how well it explains the sorted places beyond ``bound``."""
    import numpy as np

    count = len(places)
    censored = max(2, math.ceil(CENSORED_SHARE * count))
    seen, limit = places[:-censored], places[-censored - 1]
    evidence = min(1.0, MOST_EVIDENCE / count)
    weight = evidence
    if len(seen) > NODES:
        weight = evidence * len(seen) / NODES
        seen = seen[((np.arange(NODES) + 0.5) / NODES * len(seen)).astype(int)]
    scales = np.array(SCALES)
    squares = np.square(seen[:, None] / scales)
    fits, beyond = [], []
    for index, shape in enumerate(SHAPES):
        inside = log_survival(index, bound / scales)
        fit = weight * (_log_density(shape, squares).sum(axis=0) - len(seen) * np.log(scales))
        fit += evidence * censored * log_survival(index, limit / scales)
        fits.append(fit - evidence * count * inside - shape / SHAPE_PRIOR)
        beyond.append(inside)
    likelihood = np.array(fits)
    weights = np.exp(likelihood - likelihood.max())
    shapes, places_of_scales = np.nonzero(weights > 1e-7 * weights.sum())
    kept = weights[shapes, places_of_scales]
    normalised = kept / kept.sum() / np.exp(np.array(beyond)[shapes, places_of_scales])
    return shapes, scales[places_of_scales], normalised


def _log_density(shape: float, squares: "Floats") -> "Floats":
    """The log density of Student's t (1 / degrees of freedom = shape) at the square roots."""
    import numpy as np

    if shape == 0:
        return -0.5 * squares - 0.5 * math.log(2 * math.pi)
    freedom = 1 / shape
    constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    constant -= 0.5 * math.log(freedom * math.pi)
    return constant - (freedom + 1) / 2 * np.log1p(squares / freedom)


def log_survival(index: int, places: "Floats") -> "Floats":
    """The log probability of a t variable of shape ``SHAPES[index]`` beyond non-negative places."""
    import numpy as np

    grid, table = _survival_table()
    logs = np.log(np.maximum(places, 1e-9))
    found: Floats = np.interp(logs, grid, table[index])
    # Beyond the table a t tail is a power, and a normal one is nothing.
    slope = 1 / SHAPES[index] if SHAPES[index] else 1e6
    found -= slope * np.maximum(logs - grid[-1], 0)
    return found


@lru_cache(maxsize=1)
def _survival_table() -> tuple["Floats", "Floats"]:
    """Log survival of every shape on a grid of log places, by integrating the density inwards."""
    import numpy as np

    grid = np.concatenate([np.linspace(math.log(1e-9), -4, 50), np.linspace(-3.99, 9, 2_600)])
    places = np.exp(grid)
    rows = []
    for shape in SHAPES:
        # Integrated over log places, from the far end, where the rest is a known power.
        slope = 1 / shape if shape else 1e6
        logs = _log_density(shape, np.square(places)) + grid
        end = max(float(logs[-1]) - math.log(slope), -1e4)
        steps = np.logaddexp(logs[1:], logs[:-1]) + np.log(np.diff(grid) / 2)
        sums = np.logaddexp.accumulate(np.concatenate([[end], np.maximum(steps[::-1], -1e4)]))
        rows.append(sums[::-1] - (sums[-1] - math.log(0.5)))
    return grid, np.array(rows)
